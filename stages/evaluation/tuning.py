"""Tuning on validation after training: decision thresholds for F1, and recalibration of logits.

Targets are `(N, C)`, dense or sparse; probabilities and logits `(N, C)`. Predict where p > threshold.
"""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq
from scipy.special import expit

from stages.evaluation import ranking
from stages.evaluation.classification import ratio

PAPER = 0.5  # the paper's threshold
TEMPERATURES = (0.02, 50.0)
PRIOR = 1.0  # weight of ((a - 1)^2 + b^2) / 2 relative to a code's summed log loss
STEPS = 50
SMALL_STEP = 1e-4


def fit_temperature(targets: np.ndarray | sp.csr_array, logits: np.ndarray) -> float:
    """The temperature T in [0.02, 50] that minimises the log loss of sigmoid(logit / T) (Guo et al. 2017).

    Log loss is convex in 1 / T, with the slope sum of z (sigmoid(z / T) - y).
    """
    positive = logits[ranking.positive_cells(targets, logits.shape)].sum(dtype=np.float64)

    def slope(log_temperature: float) -> float:
        scale = logits.dtype.type(np.exp(-log_temperature))
        total = -positive
        for rows in ranking.row_blocks(logits.shape):
            block = logits[rows]
            total += np.multiply(block, expit(block * scale)).sum(dtype=np.float64)
        return total

    coldest, hottest = np.log(TEMPERATURES)
    if slope(coldest) <= 0:
        return TEMPERATURES[0]
    if slope(hottest) >= 0:
        return TEMPERATURES[1]
    return float(np.exp(brentq(slope, coldest, hottest, xtol=1e-4)))


def fit_platt(targets: np.ndarray | sp.csr_array, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slopes a (C,) and intercepts b (C,) that minimise each code's log loss of sigmoid(a z + b) (Platt 1999).

    Instead of Platt's smoothed targets, a weak prior keeps (a, b) near (1, 0), so that codes with few or no positives
    nearly keep their probabilities and separable codes stay finite.
    """
    documents, codes = ranking.positive_cells(targets, logits.shape)
    slopes, intercepts = np.ones(logits.shape[1], np.float32), np.zeros(logits.shape[1], np.float32)
    step = max(1, ranking.BLOCK_CELLS // max(1, logits.shape[0]))
    for start in range(0, logits.shape[1], step):
        block = np.ascontiguousarray(logits[:, start : start + step].T, dtype=np.float64)
        in_block = (codes >= start) & (codes < start + step)
        positive = np.zeros(block.shape, dtype=bool)
        positive[codes[in_block] - start, documents[in_block]] = True
        fitted = _newton(block, positive)
        slopes[start : start + step], intercepts[start : start + step] = fitted
    return slopes, intercepts


def _newton(logits: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Slopes and intercepts (2, c) for logits (c, N) by Newton's method."""
    fitted = np.stack([np.ones(len(logits)), np.zeros(len(logits))])
    open_codes = np.arange(len(logits))  # not converged yet
    loss = _objective(fitted, logits, positive)
    for _ in range(STEPS):
        current, z, y = fitted[:, open_codes], logits[open_codes], positive[open_codes]
        p = expit(current[0][:, None] * z + current[1][:, None])
        weight, gap = p * (1 - p), p - y
        gradient = np.stack([np.einsum("cn,cn->c", gap, z), gap.sum(axis=1)]) + PRIOR * (current - [[1], [0]])
        mixed = np.einsum("cn,cn->c", weight, z)
        by_slope, by_intercept = np.einsum("cn,cn,cn->c", weight, z, z) + PRIOR, weight.sum(axis=1) + PRIOR
        step = np.stack(
            [by_intercept * gradient[0] - mixed * gradient[1], by_slope * gradient[1] - mixed * gradient[0]]
        )
        step /= by_slope * by_intercept - mixed**2
        tried = _objective(current - step, z, y)
        while (worse := tried > loss[open_codes] + 1e-9).any():
            step[:, worse] /= 2
            tried[worse] = _objective(current[:, worse] - step[:, worse], z[worse], y[worse])
        fitted[:, open_codes], loss[open_codes] = current - step, tried
        open_codes = open_codes[np.abs(step).max(axis=0) > SMALL_STEP]
        if not len(open_codes):
            break
    return fitted


def _objective(parameters: np.ndarray, logits: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Summed log loss and prior (c,) of slopes and intercepts (2, c) for logits (c, N)."""
    z = parameters[0][:, None] * logits + parameters[1][:, None]
    prior = PRIOR / 2 * ((parameters - [[1], [0]]) ** 2).sum(axis=0)
    return np.logaddexp(0, z).sum(axis=1) - np.einsum("cn,cn->c", z, positive) + prior


def best_threshold(scores: np.ndarray, positives: np.ndarray) -> float:
    """The threshold with the highest F1 = 2 tp / (predicted + positive); nan without positives.

    `scores`: of all cells; `positives`: of the positive ones; both ascending. Only a cut just below a positive can be
    best, and the threshold is half-way to the next lower score. Ties go to the highest cut.
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
    """The common threshold with the highest micro-F1; 0.5 without any positive.

    Targets and probabilities are (N, C).
    """
    threshold = best_threshold(*ranking.pooled_scores(targets, probabilities))
    return PAPER if np.isnan(threshold) else threshold


def code_thresholds(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """The threshold (C,) with each code's highest F1; the shared one for codes without positives.

    Targets and probabilities are (N, C).
    """
    curves = ranking.scores_by_code(targets, probabilities)
    tuned = np.array([best_threshold(scores, positives) for scores, positives in curves])
    tuned = np.where(np.isnan(tuned), shared_threshold(targets, probabilities), tuned)
    return tuned.astype(probabilities.dtype)
