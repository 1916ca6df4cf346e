"""Quantifiers, which estimate the prevalence of every code in a group of documents.

Counting quantifiers use a group's decisions (CC) or probabilities (PCC). Adjusted ones (ACC, PACC, EMQ) correct them
code by code, using what is known about the classifier from documents it was not trained on. The MLP learns the
correction for all codes together.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit, logit
from torch import Tensor, nn
from torch.nn.functional import huber_loss

from stages.common import io
from stages.common.io import InputError
from stages.common.runner import progress_bar
from stages.quantification.sampling import group_means, group_sizes

HELD_OUT = 0.2  # share of the samples used for early stopping

# EMQ considers prevalences with log odds from -12 to 12, on a grid that is densest near the prior, where most answers
# are: fractions of the way from the prior down (negative) and up (positive).
FURTHEST = 12.0
LADDER = np.sinh(np.linspace(-3, 3, 41)) / np.sinh(3)


class PrevalenceMLP(nn.Module):
    """Estimates prevalences (..., C) from mean probabilities (..., C) by two linear layers with sigmoids."""

    def __init__(self, n_codes: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(n_codes, hidden)
        self.output = nn.Linear(hidden, n_codes)

    def forward(self, pcc: Tensor) -> Tensor:
        return torch.sigmoid(self.output(torch.sigmoid(self.hidden(pcc))))

    @torch.inference_mode()
    def estimate(self, pcc: np.ndarray) -> np.ndarray:
        """The same for arrays: float32 (S, C) -> float32 (S, C)."""
        given = torch.from_numpy(np.asarray(pcc, dtype=np.float32)).to(self.hidden.weight.device)
        return self(given).cpu().numpy()


def save_mlp(model: PrevalenceMLP, folder: Path) -> None:
    weights = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    io.write_json(folder / "config.json", {"codes": model.hidden.in_features, "hidden": model.hidden.out_features})


def load_mlp(folder: Path, name: str = "model.safetensors") -> PrevalenceMLP:
    """Read a network that `save_mlp` or joint training wrote. Raises InputError if it is missing or damaged."""
    with io.named_damage(folder / name, "quantifier"):
        return build_mlp(load_file(folder / name))


def build_mlp(weights: dict[str, Tensor]) -> PrevalenceMLP:
    """The network with these weights. Raises KeyError, ValueError or RuntimeError if they are not a network's."""
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise ValueError("weights are not finite numbers")
    hidden, n_codes = weights["hidden.weight"].shape
    network = PrevalenceMLP(n_codes, hidden)
    network.load_state_dict(weights)
    return network.eval()


def shuffle_epochs(n_samples: int, seed: int) -> Iterator[np.ndarray]:
    """A random order of the samples for each epoch, indefinitely."""
    rng = np.random.default_rng(seed)
    while True:
        yield rng.permutation(n_samples)


def hold_out(pcc: np.ndarray, prevalence: np.ndarray, seed: int) -> tuple[tuple, tuple]:
    """Split samples randomly: four fifths for training, one fifth for early stopping, each as (PCC, prevalence)."""
    held = max(1, round(HELD_OUT * len(pcc)))
    if held == len(pcc):
        raise InputError("quantifier.train_samples: early stopping on held-out samples needs 2 samples at least")
    order = np.random.default_rng([seed, 1]).permutation(len(pcc))
    learnt, watched = np.sort(order[held:]), np.sort(order[:held])
    return (pcc[learnt], prevalence[learnt]), (pcc[watched], prevalence[watched])


def fit_mlp(
    model: PrevalenceMLP,
    pcc: np.ndarray,
    prevalence: np.ndarray,
    orders: Iterator[np.ndarray],
    *,
    held_out: tuple[np.ndarray, np.ndarray] | None = None,
    learning_rate: float = 2e-4,
    delta: float = 0.5,
    batch_size: int = 32,
    epochs: int = 300,
    patience: int = 5,
) -> list[dict[str, float]]:
    """Train `model` in place to map the PCC (S, C) of samples to their true prevalences (S, C).

    AdamW on the Huber loss summed over a batch; `orders` yields the order of the samples for each epoch. Stops after
    more than `patience` consecutive epochs with a loss above the best, and restores the weights of the best epoch. The
    criterion is the loss on `held_out` samples or, without any, the training loss, as in the authors' program. Both
    are means over batches' worth of samples. Returns the losses of every epoch.
    """
    device = model.hidden.weight.device

    def tensors(arrays: tuple[np.ndarray, np.ndarray]) -> Iterator[Tensor]:
        return (torch.from_numpy(np.asarray(array, dtype=np.float32)).to(device) for array in arrays)

    given, wanted = tensors((pcc, prevalence))
    if held_out is not None:
        held_given, held_wanted = tensors(held_out)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, fused=True)
    best, best_weights, epochs_above = float("inf"), None, 0
    history = []
    for epoch in progress_bar(range(epochs), desc="train_quantifier, at most", unit="epoch"):
        order = torch.from_numpy(np.asarray(next(orders), dtype=np.int64)).to(device)
        batches = list(zip(given[order].split(batch_size), wanted[order].split(batch_size), strict=True))
        total = torch.zeros((), device=device)
        for batch, prevalences in batches:
            loss = huber_loss(model(batch), prevalences, reduction="sum", delta=delta)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        losses = {"epoch": epoch, "train_loss": total.item() / len(batches)}
        if held_out is not None:
            with torch.inference_mode():
                held_loss = huber_loss(model(held_given), held_wanted, reduction="sum", delta=delta).item()
            losses["val_loss"] = held_loss * batch_size / len(held_given)
        history.append(losses)
        current = losses["train_loss" if held_out is None else "val_loss"]
        if current <= best:
            best, epochs_above = current, 0
            best_weights = {name: weight.clone() for name, weight in model.state_dict().items()}
        else:
            epochs_above += 1
            if epochs_above > patience:
                break
    if best_weights is None:
        raise InputError("the quantifier's loss is not a number: lower quantifier.learning_rate in params.yaml")
    model.load_state_dict(best_weights)
    return history


def rates(values: np.ndarray | sp.sparray, targets: sp.csr_array) -> tuple[np.ndarray, np.ndarray]:
    """The mean of `values` (N, C) over documents with and without each code: two arrays (C,), NaN if there are none.

    For decisions these are the true- and false-positive rates, for probabilities their soft versions.
    """
    carriers = np.asarray(targets.sum(axis=0), dtype=np.float64)
    total = np.asarray(values.sum(axis=0), dtype=np.float64)
    with_code = np.asarray(targets.astype(np.float64).multiply(values).sum(axis=0))
    others = targets.shape[0] - carriers
    with np.errstate(invalid="ignore", divide="ignore"):
        true_rate, false_rate = with_code / carriers, (total - with_code) / others
    return np.where(carriers > 0, true_rate, np.nan), np.where(others > 0, false_rate, np.nan)


def adjust(estimate: np.ndarray, true_rate: np.ndarray, false_rate: np.ndarray) -> np.ndarray:
    """ACC and PACC: solve estimate = p tpr + (1 - p) fpr for the prevalence p, clipped to [0, 1]; (S, C).

    `estimate` is CC with the rates of decisions, or PCC with those of probabilities (Forman 2008; Bella et al. 2010).
    A code whose rates are unknown, equal or reversed cannot be adjusted and keeps its estimate.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        solved = np.clip((estimate - false_rate) / (true_rate - false_rate), 0.0, 1.0)
    return np.where(true_rate > false_rate, solved, estimate)


def expectation_maximisation(groups: np.ndarray, probabilities: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """EMQ: the prevalences under which each group's probabilities are most likely; (S, C).

    `probabilities` (N, C) are those of a classifier trained at prevalence `prior` (C,). At another prevalence q, whose
    log odds differ by t, a document's probability would be f(t) = sigmoid(logit p + t); the algorithm of Saerens,
    Latinne and Decaestecker (2002) repeats q <- mean f(t) until convergence. Here the prior counts as one additional
    document, so that a group that says nothing about a code keeps it.

    The likelihood is concave, so q is below its only fixed point as long as mean f(t) is above q. This is evaluated on
    a fixed grid of shifts t, with one matrix product each for all groups and codes, and the crossing is interpolated
    between two grid points in log odds, where it is almost linear. A code that no or every document had in training
    keeps its PCC.
    """
    sizes = group_sizes(groups)[:, None]
    known = np.abs(logit(prior)) < FURTHEST
    start = np.where(known, prior, 0.5)
    start_odds = logit(start)
    log_odds = logit(np.clip(probabilities, 1e-7, 1 - 1e-7).astype(np.float32, copy=False))

    shifts = [share * (FURTHEST - np.sign(share) * start_odds) for share in LADDER]
    solution = np.tile(shifts[0], (len(groups), 1))  # if mean f(t) is below q from the start
    below, gap_below = shifts[0], np.full_like(solution, -1.0)
    for shift in progress_bar(shifts, desc="EMQ", leave=False):
        moved = expit(log_odds + shift.astype(np.float32))
        expected = (sizes * group_means(groups, moved) + start) / (sizes + 1)
        gap = logit(expected) - (start_odds + shift)
        crosses = (gap_below > 0) & (gap <= 0)
        share = gap_below / np.where(crosses, gap_below - gap, 1.0)
        np.copyto(solution, below + (shift - below) * share, where=crosses)
        below, gap_below = shift, gap
    solution = np.where(gap_below > 0, shifts[-1], solution)
    return np.where(known, expit(start_odds + solution), group_means(groups, probabilities))
