"""Decision thresholds tuned for F1 on one set of documents, to be used on another: predict where p > threshold."""

import numpy as np
import scipy.sparse as sp

from stages.evaluation import ranking
from stages.evaluation.classification import ratio

PAPER = 0.5


def best_threshold(scores: np.ndarray, positives: np.ndarray) -> float:
    """The threshold of the highest F1 = 2 tp / (predicted + positive); nan without positives.

    `scores` of all cells, `positives` those of the positive ones, both ascending. Only a cut right below a
    positive can be best; the threshold lies half-way to the next lower score. Of equally good cuts the
    highest is taken.
    """
    if not len(positives):
        return float("nan")
    predicted = len(scores) - np.searchsorted(scores, positives, "left")
    true_positives = len(positives) - np.searchsorted(positives, positives, "left")
    quality = ratio(2 * true_positives, predicted + len(positives))
    best = positives[np.flatnonzero(quality == quality.max())[-1]]
    below = np.searchsorted(scores, best, "left") - 1
    lower = scores[below] if below >= 0 else scores.dtype.type(0)
    return float(min(lower + (best - lower) / 2, np.nextafter(best, lower - 1)))


def shared_threshold(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> float:
    """The one threshold of all codes with the highest micro-F1; 0.5 without any positive.

    Targets and probabilities are (N, C).
    """
    threshold = best_threshold(*ranking.pooled_scores(targets, probabilities))
    return PAPER if np.isnan(threshold) else threshold


def code_thresholds(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """Per code (C,) the threshold of its highest F1; the shared one for codes without a positive.

    Targets and probabilities are (N, C).
    """
    curves = ranking.scores_by_code(targets, probabilities)
    tuned = np.array([best_threshold(scores, positives) for scores, positives in curves])
    tuned = np.where(np.isnan(tuned), shared_threshold(targets, probabilities), tuned)
    return tuned.astype(probabilities.dtype)
