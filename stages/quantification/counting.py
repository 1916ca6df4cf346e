"""Everything that the quantifiers learn from validation, needed to count the codes of a group of documents.

`evaluate` writes it so that a model can count codes in new notes (`tools.count_codes`) without those documents.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.special import expit

from stages.common.io import named_damage, whole_file
from stages.evaluation.classification import positives_by_code
from stages.evaluation.scored import Predictions
from stages.quantification.quantifiers import PrevalenceMLP, adjust, build_mlp, expectation_maximisation, rates
from stages.quantification.sampling import group_means, mean_of_means, training_groups

N_BINS = 6  # probability bins with equal numbers of true codes


@dataclass(frozen=True)
class Counting:
    """What validation (N documents, C codes) tells about the classifier."""

    lazy: np.ndarray  # (C,) mean PCC of the training samples
    decision_rates: np.ndarray  # (2, C) mean decision for documents with and without the code
    probability_rates: np.ndarray  # (2, C) the same for probabilities
    prior: np.ndarray  # (C,) prevalence
    training: np.ndarray  # (C,) prevalence in training
    platt: np.ndarray  # (2, C) slope and intercept of each code's calibrated logit
    edges: np.ndarray  # (N_BINS - 1,) between probability bins
    binned: np.ndarray  # (2, C, N_BINS) documents with and without the code, by bin
    assigned: np.ndarray  # (N,) ascending: expected number of codes per document, the sum of its probabilities
    n_tokens: np.ndarray  # (N,) ascending
    unknown: np.ndarray  # (N,) ascending: share of unknown tokens
    networks: Mapping[str, PrevalenceMLP] = field(default_factory=dict)
    method: str = ""  # the quantifier with the lowest error on groups of validation documents

    @classmethod
    def learn(
        cls,
        val: Predictions,
        networks: Mapping[str, PrevalenceMLP],
        platt: np.ndarray,
        tokens: tuple[np.ndarray, np.ndarray],
        training: np.ndarray,
        n_samples: int,
        seed: int,
    ) -> "Counting":
        """From validation predictions, networks trained on them, and numbers of tokens (all, unknown) per document.

        `training` (C,): prevalences in training.
        """
        groups = training_groups(len(val.probabilities), n_samples, seed)
        edges = bin_edges(val)
        n_tokens, n_unknown = tokens
        return cls(
            lazy=mean_of_means(groups, val.probabilities),
            decision_rates=np.stack(rates(decisions(val.probabilities), val.targets)),
            probability_rates=np.stack(rates(val.probabilities, val.targets)),
            prior=positives_by_code(val.targets) / val.targets.shape[0],  # exactly 1 for a code of every document
            training=training,
            platt=np.asarray(platt),
            edges=edges,
            binned=bin_by_truth(val, edges),
            assigned=np.sort(val.probabilities.sum(axis=1, dtype=np.float64)),
            n_tokens=np.sort(n_tokens),
            unknown=np.sort(n_unknown / n_tokens),
            networks=networks,
        )

    def estimates(self, logits: np.ndarray, groups: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Each method's name and estimates (S, C) for groups (S, N) of documents with logits (N, C).

        Methods are computed one at a time to save memory.
        """
        probabilities = expit(logits)
        pcc = group_means(groups, probabilities)
        cc = group_means(groups, decisions(probabilities))
        yield "lazy", np.broadcast_to(self.lazy, pcc.shape)
        yield "cc", cc
        yield "pcc", pcc
        for name, network in self.networks.items():
            yield name, network.estimate(pcc)
        yield "acc", adjust(cc, *self.decision_rates)
        yield "pacc", adjust(pcc, *self.probability_rates)
        slopes, intercepts = self.platt
        yield "emq", expectation_maximisation(groups, expit(logits * slopes + intercepts), self.prior)

    def save(self, path: Path) -> None:
        tensors = {name: torch.from_numpy(np.ascontiguousarray(getattr(self, name))) for name in ARRAYS}
        for name, network in self.networks.items():
            tensors |= {f"{name}.{key}": weight.cpu().contiguous() for key, weight in network.state_dict().items()}
        with whole_file(path) as partial:
            save_file(tensors, partial, {"method": self.method})

    @classmethod
    def load(cls, path: Path) -> "Counting":
        """Read what `save` wrote. Raises InputError if it is missing or damaged."""
        with named_damage(path, "counting data"):
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
                method = file.metadata()["method"]
            networks: dict[str, dict[str, torch.Tensor]] = {}
            for name in tensors.keys() - set(ARRAYS):
                network, _, key = name.partition(".")
                networks.setdefault(network, {})[key] = tensors[name]
            built = {name: build_mlp(networks[name]) for name in sorted(networks)}
            return cls(**{name: tensors[name].numpy() for name in ARRAYS}, networks=built, method=method)


ARRAYS = [entry.name for entry in fields(Counting) if entry.name not in ("networks", "method")]


def decisions(probabilities: np.ndarray) -> sp.csr_array:
    """The assigned codes (probability above 0.5), sparse (N, C)."""
    return sp.csr_array(probabilities > 0.5)


def bin_edges(val: Predictions) -> np.ndarray:
    """The edges between bins with equal numbers of the true codes' probabilities."""
    rows, columns = val.targets.nonzero()
    scores = val.probabilities[rows, columns]
    return np.quantile(scores, np.arange(1, N_BINS) / N_BINS) if len(scores) else np.linspace(0, 1, N_BINS + 1)[1:-1]


def bin_by_truth(part: Predictions, edges: np.ndarray) -> np.ndarray:
    """The number of documents with and without each code by probability bin, (2, C, N_BINS)."""
    targets = part.targets.toarray().astype(bool)
    return np.stack([bin_counts(part.probabilities, edges, mask) for mask in (targets, ~targets)])


def bin_counts(probabilities: np.ndarray, edges: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """The number of probabilities (N, C), restricted to `mask` (N, C), in each bin: (C, N_BINS)."""
    n_codes = probabilities.shape[1]
    cells = np.searchsorted(edges, probabilities) + np.arange(n_codes) * N_BINS
    counted = cells.ravel() if mask is None else cells[mask]
    return np.bincount(counted, minlength=n_codes * N_BINS).reshape(n_codes, N_BINS).astype(np.float64)
