"""How far estimated prevalences are from the true ones, and how sure these errors are.

Their intervals come from the delete-a-group jackknife over patients (Kott 2001): patients are dealt into folds, and the
errors computed again without each of them, in the same groups. Unlike a resample, in which documents repeat, a group
without a fold is an ordinary group, and one of a fiftieth fewer documents.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from stages.evaluation.uncertainty import LEVEL

FOLDS = 50
SAMPLES = 40  # groups, of those that the errors are the means of: what matters is that all folds share them
BLOCK = 64  # samples at a time, so that what is computed stays in the processor's cache


def absolute_errors(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """|p - p'| of every sample and code, (S, C)."""
    _check_shapes(true, estimated)
    return np.abs(np.subtract(true, estimated, dtype=np.float64))


def relative_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The relative error of every sample and code, (S, C), of both the code's presence and its absence.

    With e = 1 / (2 |sample|) and the smoothing s(p) = (e + p) / (2e + 1):

        (|s(p) - s(p')| / s(p) + |s(p) - s(p')| / (1 - s(p))) / 2

    As s is linear, that is |p - p'| (1 + 2e) / (2 (e + p) (e + 1 - p)), which takes one division.
    """
    epsilon = 0.5 / np.asarray(sizes, dtype=np.float64)[:, None]
    scale = (epsilon + true) * (epsilon + 1 - true)
    errors = absolute_errors(true, estimated)
    errors /= scale
    errors *= 0.5 + epsilon
    return errors


def sample_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AE and RAE of each sample: the mean over codes of both errors; two arrays (S,)."""
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
    """The fold (N,) of each document, 0 ...; documents of one patient share it; folds differ by one patient at most."""
    names, patient = np.unique(patients, return_inverse=True)
    dealt = np.random.default_rng([seed, 6]).permutation(len(names)) % min(FOLDS, max(1, len(names)))
    return dealt[patient]


def without_each_fold(groups: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The groups (S, N) without the members of each fold (N,) in turn: (F, S', N) booleans.

    Left out are groups whose members are all of one fold; the others keep a member each time.
    """
    kept = folds != np.arange(folds.max(initial=-1) + 1)[:, None]
    some = groups[:SAMPLES]
    some = some[(some @ kept.T).all(axis=1)]
    return some & kept[:, None]


def interval(estimate: float, replicates: Sequence[float] | np.ndarray) -> list[float]:
    """The 95 % interval [low, high], not below 0, around an error whose values without each fold (F,) are given."""
    n_folds = len(replicates)
    error = np.sqrt((n_folds - 1) * np.var(replicates))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n_folds - 1) * error)
    return [max(0.0, estimate - reach), estimate + reach]
