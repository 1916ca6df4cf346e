"""Edin et al.'s convention: what is scored are the codes that occur in the evaluated part, and the documents with one.

Their program drops from every metric the codes that the part lacks, and then the documents left without any
(METHOD.md, section 10). Figures in this convention never stand in a column with those over all codes.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from stages.evaluation import classification, uncertainty

SHOWN = ("f1_micro", "f1_macro", "auc_micro", "auc_macro", "r_precision", "mean_average_precision")


def present_metrics(
    targets: sp.csr_array, probabilities: np.ndarray, threshold: float, ks: Sequence[int]
) -> dict[str, float]:
    """Micro and macro F1 of decisions above `threshold`, AUC, precision at k, mean average precision, R-precision.

    targets, probabilities: (N, C), cut here to the codes and documents that count. 0 where nothing is left.
    """
    targets, probabilities = cut(targets, probabilities)
    metrics = classification.decision_metrics(targets, probabilities > threshold)
    metrics |= classification.ranking_metrics(targets, probabilities, ks)
    shown = [*SHOWN, *(f"precision_at_{k}" for k in ks)]
    return {name: metrics[name] for name in shown}


def present_intervals(
    targets: sp.csr_array,
    probabilities: np.ndarray,
    threshold: float,
    ks: Sequence[int],
    patients: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, list[float]]:
    """95 % bootstrap intervals of the figures of `present_metrics` over the patients (N,); the codes stay the same."""
    kept = documents_with_a_code(targets)
    if not len(kept):
        return {}
    statistics = uncertainty.classification_statistics(*cut(targets, probabilities), ks, threshold)
    shown = {name: statistics[name] for name in [*SHOWN, *(f"precision_at_{k}" for k in ks)]}
    return uncertainty.intervals(shown, patients[kept], resamples, seed)


def cut(targets: sp.csr_array, probabilities: np.ndarray) -> tuple[sp.csr_array, np.ndarray]:
    """Both (N, C) without the codes that no document carries, and the documents that carry none: (N', C')."""
    codes = np.flatnonzero(classification.positives_by_code(targets))
    documents = documents_with_a_code(targets)
    return sp.csr_array(targets[documents][:, codes]), probabilities[np.ix_(documents, codes)]


def documents_with_a_code(targets: sp.csr_array) -> np.ndarray:
    """The rows of targets (N, C) that are not empty."""
    return np.flatnonzero(np.asarray(targets.sum(axis=1)))
