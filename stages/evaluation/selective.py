"""Selective coding: accept codes at a promised precision, leave codes out at a promised recall, review the rest.

Both thresholds are chosen on validation by fixed-sequence testing (learn then test, Angelopoulos et al. 2021): starting
from the strictest threshold, each is kept as long as the one-sided upper bound on its error rate, exact for independent
decisions (Clopper and Pearson 1934), is within the promise. A promise is then broken with probability at most `RISK`
on documents of the same kind. Since a patient's decisions are not independent, bounds use the effective number of
decisions: their number divided by the design effect (Kish 1965) of patients. Precision and recall are pooled over all
decisions, which is what a hospital counts, not averaged over documents. Codes with enough validation documents keep
both promises individually, with their own thresholds; all others keep them jointly.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from stages.evaluation import uncertainty
from stages.evaluation.classification import ratio
from stages.evaluation.scored import Predictions, Resampling

RISK = 0.1  # the probability that a promise is broken
TRIED = 200  # maximum number of thresholds tried
START = 4  # the strictest threshold has this many times the decisions that suffice without an error
ENOUGH = 2  # a code with this many times these decisions as positive documents gets its own thresholds


class Pair(NamedTuple):
    """A code is accepted above `accept` and left out at or below `leave`; None if nothing can be promised."""

    accept: float | None
    leave: float | None


class Thresholds(NamedTuple):
    """The shared pair of thresholds, and the pairs of columns that have their own."""

    shared: Pair
    by_code: dict[int, Pair]

    @property
    def accept_any(self) -> bool:
        return any(pair.accept is not None for pair in (self.shared, *self.by_code.values()))


def choose(val: Predictions, precision: float, recall: float) -> Thresholds:
    """The thresholds that keep both promises, from validation predictions."""
    enough = ENOUGH * max(_strictest(1 - precision), _strictest(1 - recall))
    frequent = val.targets.sum(axis=0) >= enough
    by_code = {int(column): _choose(val, np.array([column]), precision, recall) for column in np.flatnonzero(frequent)}
    return Thresholds(_choose(val, np.flatnonzero(~frequent), precision, recall), by_code)


def _strictest(allowed: float) -> int:
    """The number of decisions above the strictest threshold tried, for an allowed error rate."""
    return START * int(np.ceil(np.log(RISK) / np.log1p(-allowed)))


def _choose(val: Predictions, columns: np.ndarray, precision: float, recall: float) -> Pair:
    true, scores, patients = _cells(val, columns)
    order = np.argsort(-scores, kind="stable")
    accept = _last_kept(~true[order], scores[order], patients[order], 1 - precision)
    positive = np.flatnonzero(true)
    order = positive[np.argsort(scores[positive], kind="stable")]
    leave = _most_left(scores[order], patients[order], 1 - recall)
    if accept is not None and leave is not None:
        leave = min(leave, accept)
    return Pair(accept, leave)


def _cells(part: Predictions, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, probability and patient of all decisions (N * columns,) on some codes."""
    true = part.targets[:, columns].toarray().astype(bool)
    patient = np.unique(part.patients, return_inverse=True)[1]
    return true.ravel(), part.probabilities[:, columns].ravel(), np.repeat(patient, true.shape[1])


def error_bound(errors: np.ndarray, patients: np.ndarray) -> float:
    """The one-sided upper bound on the error rate of decisions (n,) with their patients (n,).

    Exact for the effective number of decisions. The design effect is the variance of residuals summed by patient over
    that of independent decisions, at least 1.
    """
    n, share = len(errors), errors.mean()
    by_patient = np.bincount(patients, errors - share)
    independent = n * share * (1 - share)
    effect = max(1.0, float((by_patient**2).sum() / independent)) if independent else 1.0
    n_effective = n / effect
    return float(stats.beta.ppf(1 - RISK, share * n_effective + 1, max(n_effective * (1 - share), 1e-9)))


def _last_kept(errors: np.ndarray, scores: np.ndarray, patients: np.ndarray, allowed: float) -> float | None:
    """The score just below the longest run of decisions, most certain first, that keeps the promise."""
    first = _strictest(allowed)
    last = max(first, int(np.flatnonzero(~errors)[-1]) + 1 if (~errors).any() else 0)
    kept = None
    for n in np.unique(np.geomspace(first, last, TRIED).astype(int)):
        if n >= len(scores):
            break
        if error_bound(errors[:n], patients[:n]) > allowed:
            break
        kept = float(scores[n])
    return kept


def _most_left(scores: np.ndarray, patients: np.ndarray, allowed: float) -> float | None:
    """The highest threshold on the true codes' ascending scores (P,) that leaves out too few to break the promise."""
    kept = None
    for n in range(len(scores)):  # the number left out
        missed = np.zeros(len(scores))
        missed[:n] = 1
        if error_bound(missed, patients) > allowed:
            break
        kept = float(np.nextafter(scores[n], scores.dtype.type(-1)))
    return kept


def figures(test: Predictions, thresholds: Thresholds, resampling: Resampling) -> dict[str, Any]:
    """What the promises amount to on test, with intervals over patients."""
    accepted, reviewed = states(test.probabilities, thresholds)
    targets = test.targets.toarray().astype(bool)
    n_right, n_true, n_reviewed = (accepted & targets).sum(1), targets.sum(1), reviewed.sum(1)
    shares = {  # summed over documents: above and below the line
        "precision": (n_right, accepted.sum(1)),
        "accepted": (n_right, n_true),
        "recall": (((accepted | reviewed) & targets).sum(1), n_true),
        "automatic_documents": (n_reviewed == 0, np.ones(len(targets))),
    }
    statistics = {
        name: uncertainty.from_columns(np.stack(pair, axis=1).astype(float), lambda sums: ratio(sums[:, 0], sums[:, 1]))
        for name, pair in shares.items()
    }
    return {
        "accept_above": thresholds.shared.accept,
        "leave_below": thresholds.shared.leave,
        "codes_of_their_own": len(thresholds.by_code),
        "reviewed_per_document": float(n_reviewed.mean()),
        **uncertainty.figures(statistics, resampling),
    }


def states(probabilities: np.ndarray, thresholds: Thresholds) -> tuple[np.ndarray, np.ndarray]:
    """Which codes (N, C) are accepted and which reviewed; without a promise none is accepted and none left out."""
    accept, leave = np.empty((2, probabilities.shape[1]))
    for column in range(probabilities.shape[1]):
        pair = thresholds.by_code.get(column, thresholds.shared)
        accept[column] = np.inf if pair.accept is None else pair.accept
        leave[column] = -np.inf if pair.leave is None else pair.leave
    accepted = probabilities > accept
    return accepted, ~accepted & (probabilities > leave)


def curve(test: Predictions, steps: int = 100) -> pd.DataFrame:
    """Precision of the accepted codes against the share of true codes accepted, on test."""
    true, scores, _ = _cells(test, np.arange(test.targets.shape[1]))
    hits = np.cumsum(true[np.argsort(-scores, kind="stable")])
    n = np.unique(np.geomspace(10, max(10, hits[-1] * 2), steps).astype(int))
    n = n[n <= len(hits)]
    return pd.DataFrame({"accepted": hits[n - 1] / max(1, hits[-1]), "precision": hits[n - 1] / n})
