"""Calibration errors, Brier score and log loss.

Targets are `(N, C)`, dense or sparse; probabilities and logits `(N, C)`. Without documents every error is 0.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation import ranking
from stages.evaluation.classification import mean, ratio

RELIABILITY = ("mean_probability", "observed_rate", "perfect", "cells")  # columns of the diagram


@dataclass(frozen=True)
class Bins:
    """Cells by code and equal-width probability bin, each (C, bins + 1); the last bin is for probability 1 only.

    `cells`: their number; `probability`: the sum of their probabilities; `positives`: the number of true ones.
    """

    cells: np.ndarray
    probability: np.ndarray
    positives: np.ndarray

    @classmethod
    def count(cls, targets: np.ndarray | sp.csr_array, probabilities: np.ndarray, bins: int) -> "Bins":
        """Sort every cell into `bins` bins of equal width on [0, 1], closed on the left."""
        shape = (probabilities.shape[1], bins + 1)
        positives = probabilities[cells := ranking.positive_cells(targets, probabilities.shape)]
        flat = np.ravel_multi_index((cells[1], bin_of(positives, bins)), shape)
        binned = cls(np.zeros(shape), np.zeros(shape), np.bincount(flat, minlength=np.prod(shape)).reshape(shape))
        codes = np.arange(shape[0]) * shape[1]
        for rows in ranking.row_blocks(probabilities.shape):
            flat = (codes + bin_of(probabilities[rows], bins)).ravel()
            binned.cells[:] += np.bincount(flat, minlength=np.prod(shape)).reshape(shape)
            weights = probabilities[rows].ravel()
            binned.probability[:] += np.bincount(flat, weights, minlength=np.prod(shape)).reshape(shape)
        return binned

    def pool(self) -> "Bins":
        """The bins of all codes together, (1, bins + 1)."""
        return Bins(*(part.sum(axis=0, keepdims=True) for part in (self.cells, self.probability, self.positives)))


def bin_of(probabilities: np.ndarray, bins: int) -> np.ndarray:
    """The equal-width bin of each probability: [0, 1/bins) is bin 0, ..., and exactly 1 is bin `bins`."""
    edges = np.linspace(0, 1, bins + 1, dtype=probabilities.dtype)
    return np.searchsorted(edges, probabilities, side="right") - 1


def calibration_errors(bins: Bins) -> np.ndarray:
    """Expected calibration error per code (C,): sum over bins of share x |mean probability - observed rate|.

    share x |mean probability - observed rate| = |sum of probabilities - positives| / N.
    """
    return ratio(np.abs(bins.probability - bins.positives).sum(axis=1), bins.cells.sum(axis=1))


def mece(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray, bins: int = 20) -> float:
    """The mean over all codes of the expected calibration error of the positive probability (the paper's MECE)."""
    return mean(calibration_errors(Bins.count(targets, probabilities, bins)))


def ece(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray, bins: int = 20) -> float:
    """The expected calibration error of the positive probability over all decisions, codes pooled."""
    return mean(calibration_errors(Bins.count(targets, probabilities, bins).pool()))


def brier(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> float:
    """Brier score: the mean over cells of (p - y)^2 = (sum of p^2 + sum over positives of 1 - 2 p) / cells."""
    positives = probabilities[ranking.positive_cells(targets, probabilities.shape)].astype(np.float64)
    total = (1 - 2 * positives).sum()
    for rows in ranking.row_blocks(probabilities.shape):
        total += np.square(probabilities[rows], dtype=np.float64).sum()
    return float(ratio(total, probabilities.size))


def log_loss(targets: np.ndarray | sp.csr_array, logits: np.ndarray) -> float:
    """Mean over cells of -log P(y) = (sum of log(1 + exp z) - sum over positives of z) / cells, from logits z."""
    total = -logits[ranking.positive_cells(targets, logits.shape)].sum(dtype=np.float64)
    for rows in ranking.row_blocks(logits.shape):
        total += np.logaddexp(0, logits[rows]).sum(dtype=np.float64)
    return float(ratio(total, logits.size))


def calibration_metrics(
    targets: np.ndarray | sp.csr_array, logits: np.ndarray, probabilities: np.ndarray, bins: int
) -> dict[str, float]:
    """All calibration metrics of one set of predictions: `probabilities` is the sigmoid of `logits`."""
    binned = Bins.count(targets, probabilities, bins)
    return {
        "mece": mean(calibration_errors(binned)),
        "ece": mean(calibration_errors(binned.pool())),
        "brier": brier(targets, probabilities),
        "log_loss": log_loss(targets, logits),
    }


def reliability(bins: Bins) -> pd.DataFrame:
    """The reliability diagram over all decisions, one row per non-empty bin.

    Columns: mean_probability, observed_rate, perfect (= mean_probability, the diagonal), cells. The bin of
    probability 1 is part of the last one.
    """
    pooled = pd.DataFrame(
        {name: part[0] for name, part in vars(bins.pool()).items()}
        | {"bin": np.minimum(np.arange(bins.cells.shape[1]), bins.cells.shape[1] - 2)}
    )
    pooled = pooled.groupby("bin").sum().query("cells > 0")
    rate = pooled.probability / pooled.cells
    columns = (rate, pooled.positives / pooled.cells, rate, pooled.cells.astype(int))
    return pd.DataFrame(dict(zip(RELIABILITY, columns, strict=True))).reset_index(drop=True)
