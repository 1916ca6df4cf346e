"""Errors of estimated prevalences, and their intervals.

Intervals come from the delete-a-group jackknife over patients (Kott 2001): patients are divided into folds, and errors
on the same groups are recomputed without each fold. Unlike a resample, in which documents repeat, a group without a
fold is an ordinary group with about a fiftieth fewer documents.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from stages.evaluation.uncertainty import LEVEL

FOLDS = 50
SAMPLES = 40  # of the groups that errors are averaged over; what matters is that folds share them
BLOCK = 64  # samples per block, to stay in the processor's cache


def absolute_errors(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """|p - p'| of every sample and code, (S, C)."""
    _check_shapes(true, estimated)
    return np.abs(np.subtract(true, estimated, dtype=np.float64))


def relative_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The relative error of every sample and code, (S, C), averaged over the code's presence and absence.

    With e = 1 / (2 |sample|) and the smoothing s(p) = (e + p) / (2e + 1):

        (|s(p) - s(p')| / s(p) + |s(p) - s(p')| / (1 - s(p))) / 2

    Since s is linear, this is |p - p'| (1 + 2e) / (2 (e + p) (e + 1 - p)), which needs a single division.
    """
    epsilon = 0.5 / np.asarray(sizes, dtype=np.float64)[:, None]
    scale = (epsilon + true) * (epsilon + 1 - true)
    errors = absolute_errors(true, estimated)
    errors /= scale
    errors *= 0.5 + epsilon
    return errors


def sample_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AE and RAE of each sample, the means of both errors over codes: two arrays (S,)."""
    _check_shapes(true, estimated)
    absolute, relative = np.empty(len(true)), np.empty(len(true))
    for start in range(0, len(true), BLOCK):
        rows = slice(start, start + BLOCK)
        absolute[rows] = absolute_errors(true[rows], estimated[rows]).mean(axis=1)
        relative[rows] = relative_errors(true[rows], estimated[rows], sizes[rows]).mean(axis=1)
    return absolute, relative


def mean_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    """AE and RAE, averaged over codes and then over samples."""
    absolute, relative = sample_errors(true, estimated, sizes)
    return {"ae": float(absolute.mean()), "rae": float(relative.mean())}


def _check_shapes(true: np.ndarray, estimated: np.ndarray) -> None:
    if true.shape != estimated.shape:
        raise ValueError(f"true prevalences have shape {true.shape}, estimated ones {estimated.shape}")


def deal_folds(patients: np.ndarray, seed: int) -> np.ndarray:
    """The fold (N,) of each document, from 0; patients are not split, and folds differ by at most one patient."""
    names, patient = np.unique(patients, return_inverse=True)
    dealt = np.random.default_rng([seed, 6]).permutation(len(names)) % min(FOLDS, max(1, len(names)))
    return dealt[patient]


def without_each_fold(groups: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The groups (S, N) without the members of each fold (N,) in turn: (F, S', N) booleans.

    Groups within a single fold are left out, so the others always keep a member.
    """
    kept = folds != np.arange(folds.max(initial=-1) + 1)[:, None]
    some = groups[:SAMPLES]
    some = some[(some @ kept.T).all(axis=1)]
    return some & kept[:, None]


def interval(estimate: float, replicates: Sequence[float] | np.ndarray) -> list[float]:
    """The 95 % interval [low, high], at least 0, around an error, from its values without each fold (F,)."""
    n_folds = len(replicates)
    error = np.sqrt((n_folds - 1) * np.var(replicates))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n_folds - 1) * error)
    return [max(0.0, estimate - reach), estimate + reach]
