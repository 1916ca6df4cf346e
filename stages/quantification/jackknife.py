"""How sure the errors of quantifiers are: the delete-a-group jackknife over patients (Kott 2001).

Patients are dealt into folds, and the errors computed anew without each of them, in the same groups. Unlike a resample,
in which documents repeat, a group without a fold is an ordinary group, and one of a fiftieth fewer documents.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from stages.evaluation.uncertainty import LEVEL

FOLDS = 50
SAMPLES = 40  # groups, of those that the errors are the means of: what matters is that all folds share them


def folds_of(patients: np.ndarray, seed: int) -> np.ndarray:
    """The fold (N,) of each document, 0 ...; documents of one patient share it, and folds differ by one patient."""
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
