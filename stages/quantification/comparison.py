"""Comparison of all quantifiers on the paper's uniform groups and on groups with shifted prevalence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluation.scored import Predictions
from stages.quantification import errors
from stages.quantification.counting import Counting
from stages.quantification.errors import mean_errors, sample_errors
from stages.quantification.sampling import group_means, group_sizes, shifted_groups, uniform_groups

SIZE_EDGES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)  # lower ends of bands of group sizes
SMALLEST_SHOWN = 20  # documents; in smaller groups plots could identify single documents
JUDGED = ("ae", "ae_shifted")  # on validation, for choosing a quantifier
POINTS = 300  # in the plot of true against estimated prevalence


@dataclass(frozen=True)
class Comparison:
    metrics: dict[str, dict[str, dict[str, Any]]]  # val, test -> method -> ae, ae_shifted; on test rae too
    by_size: pd.DataFrame  # method, documents (mean size in the band), samples, ae, rae: test, groups by size
    points: pd.DataFrame  # method, true, estimated: single groups and codes of test, drawn at random


def compare(
    known: Counting,
    val: Predictions,
    test: Predictions,
    *,
    n_groups: int,
    seed: int,
    intervals: bool = True,
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
                found = metrics["test"][method]
                for error, values in replicates.items():
                    key = f"{error}{suffix}"
                    found.setdefault("intervals", {})[key] = errors.interval(found[key], values)

    metrics["val"] = {name: {key: found[key] for key in JUDGED} for name, found in metrics["val"].items()}
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
    replicates = errors.without_each_fold(groups, errors.deal_folds(part.patients, seed))
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
