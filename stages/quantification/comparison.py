"""All quantifiers side by side, on the paper's uniform groups and on groups of shifted prevalence."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation.classification import positives_by_code
from stages.evaluation.scored import Predictions
from stages.quantification import errors
from stages.quantification.errors import mean_errors, sample_errors
from stages.quantification.quantifiers import PrevalenceMLP, adjusted, expectation_maximisation, rates
from stages.quantification.sampling import (
    group_means,
    group_sizes,
    mean_of_means,
    shifted_groups,
    training_groups,
    uniform_groups,
)

SIZE_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)  # lower ends of the bands of group sizes
SMALLEST_SHOWN = 20  # documents: plots show no smaller group, in which single documents could be told
Recalibration = Callable[[np.ndarray], np.ndarray]  # of logits (N, C)
POINTS = 300  # of the plot of true against estimated prevalence


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    metrics: dict[str, dict[str, dict[str, Any]]]  # val, test -> method -> ae, rae; on test also *_shifted, intervals
    by_band: pd.DataFrame  # method, band, codes, ae, rae: test, codes by training frequency
    by_size: pd.DataFrame  # method, documents (mean size in the band), samples, ae, rae: test, groups by size
    points: pd.DataFrame  # method, true, estimated: single groups and codes of test, drawn at random


def compare(
    val: Predictions,
    test: Predictions,
    networks: Mapping[str, PrevalenceMLP],
    *,
    recalibration: Recalibration,
    bands: Mapping[str, np.ndarray],
    train_samples: int,
    test_samples: int,
    seed: int,
    intervals: bool = True,
) -> Comparison:
    """The errors of every quantifier in groups of validation and of test documents, on test with 95 % intervals.

    `networks` names the trained networks (`mlp`, and `clq` for a joint model); `bands` are boolean masks (C,) of codes
    by training frequency; `recalibration` maps logits to those of probabilities that EMQ may take at their word. What
    quantifiers must know of the classifier comes from the validation documents, so their
    figures on `val` are optimistic, those on `test` are not.
    """
    known = _Known.learn(val, networks, recalibration, train_samples, seed)
    on_val: dict[str, dict[str, Any]] = {}
    on_test: dict[str, dict[str, Any]] = {}
    by_band, by_size, points = [], [], []
    groups = uniform_groups(len(val.probabilities), test_samples, np.random.default_rng([seed, 2]))
    for method, true, estimated, sizes in known.estimates(val, groups):
        on_val[method] = mean_errors(true, estimated, sizes)

    uniform = uniform_groups(len(test.probabilities), test_samples, np.random.default_rng([seed, 3]))
    for method, true, estimated, sizes in known.estimates(test, uniform):
        on_test[method] = mean_errors(true, estimated, sizes)
        by_band.append(_by_band(true, estimated, sizes, bands).assign(method=method))
        by_size.append(_by_size(true, estimated, sizes).assign(method=method))
        points.append(_points(true, estimated, sizes, seed).assign(method=method))

    shifted = shifted_groups(test.targets, test_samples, np.random.default_rng([seed, 4]))
    for method, true, estimated, sizes in known.estimates(test, shifted):
        on_test[method] |= {f"{name}_shifted": error for name, error in mean_errors(true, estimated, sizes).items()}

    if intervals:
        for suffix, groups in (("", uniform), ("_shifted", shifted)):
            for method, replicates in _without_each_fold(known, test, groups, seed).items():
                metrics = on_test[method]
                for error, values in replicates.items():
                    key = f"{error}{suffix}"
                    metrics.setdefault("intervals", {})[key] = errors.interval(metrics[key], values)

    tables = (_method_first(tables) for tables in (by_band, by_size, points))
    return Comparison({"val": on_val, "test": on_test}, *tables)


@dataclass(frozen=True)
class _Known:
    """What the quantifiers know before they see a group."""

    lazy: np.ndarray  # (C,) mean PCC of the training samples
    decision_rates: tuple[np.ndarray, np.ndarray]
    probability_rates: tuple[np.ndarray, np.ndarray]
    prior: np.ndarray  # (C,) prevalence among the validation documents
    networks: Mapping[str, PrevalenceMLP]
    recalibration: Recalibration

    @classmethod
    def learn(
        cls,
        val: Predictions,
        networks: Mapping[str, PrevalenceMLP],
        recalibration: Recalibration,
        n_samples: int,
        seed: int,
    ) -> "_Known":
        groups = training_groups(len(val.probabilities), n_samples, seed)
        return cls(
            lazy=mean_of_means(groups, val.probabilities),
            decision_rates=rates(decisions(val.probabilities), val.targets),
            probability_rates=rates(val.probabilities, val.targets),
            prior=positives_by_code(val.targets) / val.targets.shape[0],  # exactly 1 where every document has a code
            networks=networks,
            recalibration=recalibration,
        )

    def estimates(
        self, part: Predictions, groups: np.ndarray
    ) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
        """Each method's name, true prevalences and its estimates, both (S, C), and the sizes of the groups (S,).

        One method after the other, so that only one's estimates are in memory.
        """
        true, sizes = group_means(groups, part.targets), group_sizes(groups)
        pcc = group_means(groups, part.probabilities)
        cc = group_means(groups, decisions(part.probabilities))
        yield "lazy", true, np.broadcast_to(self.lazy, pcc.shape), sizes
        yield "cc", true, cc, sizes
        yield "pcc", true, pcc, sizes
        for name, network in self.networks.items():
            yield name, true, network.estimate(pcc), sizes
        yield "acc", true, adjusted(cc, *self.decision_rates), sizes
        yield "pacc", true, adjusted(pcc, *self.probability_rates), sizes
        calibrated = part.recalibrate(self.recalibration).probabilities
        yield "emq", true, expectation_maximisation(groups, calibrated, self.prior), sizes


def _without_each_fold(
    known: _Known, part: Predictions, groups: np.ndarray, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Method -> `ae` and `rae` (F,) without each fold of patients; nothing where no group spans two folds."""
    replicates = errors.without_each_fold(groups, errors.deal_folds(part.patients, seed))
    n_folds, n_groups, n_documents = replicates.shape
    if n_folds < 2 or not n_groups:
        return {}
    errors_of = {}
    for method, *sample in known.estimates(part, replicates.reshape(-1, n_documents)):
        means = (values.reshape(n_folds, n_groups).mean(axis=1) for values in sample_errors(*sample))
        errors_of[method] = dict(zip(("ae", "rae"), means, strict=True))
    return errors_of


def decisions(probabilities: np.ndarray) -> sp.csr_array:
    """The codes that are assigned: probability above 0.5; sparse (N, C)."""
    return sp.csr_array(probabilities > 0.5)


def _by_band(
    true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray, bands: Mapping[str, np.ndarray]
) -> pd.DataFrame:
    """AE and RAE of the codes of each frequency band; bands without codes are left out."""
    rows = [
        {"band": band, "codes": int(mask.sum()), **mean_errors(true[:, mask], estimated[:, mask], sizes)}
        for band, mask in bands.items()
        if mask.any()
    ]
    return pd.DataFrame(rows, columns=["band", "codes", "ae", "rae"])


def _by_size(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> pd.DataFrame:
    """AE and RAE of the groups of similar size, a row per band of sizes; bands without groups are left out."""
    absolute, relative = sample_errors(true, estimated, sizes)
    table = pd.DataFrame({"documents": sizes, "ae": absolute, "rae": relative})
    grouped = table.groupby(np.digitize(sizes, SIZE_EDGES))
    table = grouped.mean()
    table.insert(1, "samples", grouped.size())
    return table.reset_index(drop=True)


def _points(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray, seed: int) -> pd.DataFrame:
    """True and estimated prevalence of some single groups and codes, the same for every method."""
    shown = np.flatnonzero(sizes >= SMALLEST_SHOWN)
    rng = np.random.default_rng([seed, 5])
    cells = rng.choice(shown.size * true.shape[1], min(POINTS, shown.size * true.shape[1]), replace=False)
    rows, columns = np.divmod(np.sort(cells), true.shape[1])
    rows = shown[rows]
    return pd.DataFrame({"true": true[rows, columns], "estimated": estimated[rows, columns]})


def _method_first(tables: list[pd.DataFrame]) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    return table[["method", *table.columns.drop("method")]]
