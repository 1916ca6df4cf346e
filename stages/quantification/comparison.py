"""Errors of all quantifiers on the paper's uniform groups and on groups with shifted prevalence, with intervals.

Intervals come from the delete-a-group jackknife over patients (Kott 2001): patients are divided into folds, and errors
on the same groups are recomputed without each fold. Unlike a resample, in which documents repeat, a group without a
fold is an ordinary group with about a fiftieth fewer documents.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from stages.evaluation.scored import Predictions
from stages.evaluation.uncertainty import LEVEL
from stages.quantification.counting import Counting
from stages.quantification.sampling import group_means, group_sizes, shifted_groups, uniform_groups

FOLDS = 50
SAMPLES = 40  # of the groups that errors are averaged over; what matters is that folds share them
BLOCK = 64  # samples per block, to stay in the processor's cache
SIZE_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)  # lower ends of bands of group sizes
SMALLEST_SHOWN = 20  # documents; in smaller groups plots could identify single documents
JUDGED = ("ae", "ae_shifted")  # on validation, for choosing a quantifier
POINTS = 300  # in the plot of true against estimated prevalence


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


def jackknife_interval(estimate: float, replicates: Sequence[float] | np.ndarray) -> list[float]:
    """The 95 % interval [low, high], at least 0, around an error, from its values without each fold (F,)."""
    n_folds = len(replicates)
    error = np.sqrt((n_folds - 1) * np.var(replicates))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n_folds - 1) * error)
    return [max(0.0, estimate - reach), estimate + reach]


@dataclass(frozen=True)
class Comparison:
    metrics: dict[str, dict[str, dict[str, Any]]]  # val, test -> method -> ae, rae, ae_shifted, rae_shifted
    by_size: pd.DataFrame  # method, documents (mean size in the band), samples, ae, rae: test, groups by size
    points: pd.DataFrame  # method, true, estimated: single groups and codes of test, drawn at random


def compare(
    known: Counting, val: Predictions, test: Predictions, *, n_groups: int, seed: int, intervals: bool = True
) -> Comparison:
    """Every quantifier's errors on groups of validation and of test documents, on test with 95 % intervals.

    The quantifiers were fitted on the validation documents, so figures on `val` are optimistic and those on `test` are
    not.
    """
    metrics: dict[str, dict[str, dict[str, Any]]] = {"val": {}, "test": {}}
    by_size: list[pd.DataFrame] = []
    points: list[pd.DataFrame] = []
    for draw, (name, part) in enumerate((("val", val), ("test", test))):
        uniform = uniform_groups(len(part.probabilities), n_groups, np.random.default_rng([seed, 2 + draw]))
        for method, true, estimated, sizes in _samples(known, part, uniform):
            metrics[name][method] = mean_errors(true, estimated, sizes)
            if name == "test":
                for tables, table in (
                    (by_size, _by_size(true, estimated, sizes)),
                    (points, _points(true, estimated, sizes, seed)),
                ):
                    table.insert(0, "method", method)
                    tables.append(table)
        shifted = shifted_groups(part.targets, n_groups, np.random.default_rng([seed, (7, 4)[draw]]))
        for method, *sample in _samples(known, part, shifted):
            metrics[name][method] |= {f"{key}_shifted": error for key, error in mean_errors(*sample).items()}

    if intervals:
        for suffix, groups in (("", uniform), ("_shifted", shifted)):
            for method, replicates in _without_each_fold(known, test, groups, seed).items():
                figures = metrics["test"][method]
                for error, values in replicates.items():
                    key = f"{error}{suffix}"
                    figures.setdefault("intervals", {})[key] = jackknife_interval(figures[key], values)

    return Comparison(metrics, *(pd.concat(tables, ignore_index=True) for tables in (by_size, points)))


def best_method(val_metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The quantifier with the lowest absolute error over both kinds of groups of validation documents."""
    return min(val_metrics, key=lambda method: sum(val_metrics[method][key] for key in JUDGED))


def _samples(
    known: Counting, part: Predictions, groups: np.ndarray
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray]]:
    """Each method's name, true and estimated prevalences (S, C), and the group sizes (S,)."""
    true, sizes = group_means(groups, part.targets), group_sizes(groups)
    for method, estimated in known.estimates(part.logits, groups):
        yield method, true, estimated, sizes


def _without_each_fold(
    known: Counting, part: Predictions, groups: np.ndarray, seed: int
) -> dict[str, dict[str, np.ndarray]]:
    """Method -> `ae` and `rae` (F,) without each fold of patients; empty if no group spans two folds."""
    replicates = without_each_fold(groups, deal_folds(part.patients, seed))
    n_folds, n_groups, n_documents = replicates.shape
    if n_folds < 2 or not n_groups:
        return {}
    errors_of = {}
    for method, *sample in _samples(known, part, replicates.reshape(-1, n_documents)):
        means = (values.reshape(n_folds, n_groups).mean(axis=1) for values in sample_errors(*sample))
        errors_of[method] = dict(zip(("ae", "rae"), means, strict=True))
    return errors_of


def _by_size(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> pd.DataFrame:
    """AE and RAE by band of group sizes, without empty bands."""
    absolute, relative = sample_errors(true, estimated, sizes)
    table = pd.DataFrame({"documents": sizes, "ae": absolute, "rae": relative})
    grouped = table.groupby(np.digitize(sizes, SIZE_EDGES))
    table = grouped.mean()
    table.insert(1, "samples", grouped.size())
    return table.reset_index(drop=True)


def _points(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray, seed: int) -> pd.DataFrame:
    """True and estimated prevalence for a sample of groups and codes, the same for every method."""
    shown = np.flatnonzero(sizes >= SMALLEST_SHOWN)
    rng = np.random.default_rng([seed, 5])
    cells = rng.choice(shown.size * true.shape[1], min(POINTS, shown.size * true.shape[1]), replace=False)
    rows, columns = np.divmod(np.sort(cells), true.shape[1])
    rows = shown[rows]
    return pd.DataFrame({"true": true[rows, columns], "estimated": estimated[rows, columns]})
