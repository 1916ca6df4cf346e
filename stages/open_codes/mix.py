"""One score for trained and open codes: a logistic regression on features of a (document, code) pair.

    score = b + w1 log(count + 1/2) + w2 trained + w3 logit of a trained code + w4 logit of an open one
              + w5 .. w7 similarity by windows of 3, 6 and 12 words + w8 overlap of letters

Fitted on validation documents, never on test, over codes (including open ones) with known truth. The score is a
probability, so one threshold serves all codes (METHOD.md, section 15).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stages.common.io import InputError
from stages.evaluation import tuning

WINDOWS = ((3, 2), (6, 3), (12, 6))  # words per window, and the step between windows
FEATURES = (
    *("count", "trained", "logit_trained", "logit_open"),
    *(f"similarity_{size}" for size, _ in WINDOWS),
    "overlap",
)
STRENGTH = 1.0  # C of the logistic regression


@dataclass(frozen=True)
class Mix:
    """Weights of `FEATURES` and the intercept; probabilities above `threshold` are assigned."""

    weights: dict[str, float]
    intercept: float
    threshold: float

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probabilities (n,) of pairs with features (n, F)."""
        return expit(features @ np.array([self.weights[name] for name in FEATURES]) + self.intercept)


def fit(features: np.ndarray, targets: np.ndarray) -> Mix:
    """Fit the mix to validation pairs (n, F) and their truth (n,), with the threshold of the best F1.

    Raises InputError if nothing can be learned.
    """
    if not 0 < targets.sum() < len(targets):
        raise InputError("open codes: no pair of validation document and code is true, so nothing can be fitted")
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale == 0] = 1
    model = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-6).fit((features - centre) / scale, targets)
    weights = model.coef_[0] / scale
    mix = Mix(dict(zip(FEATURES, weights.tolist(), strict=True)), float(model.intercept_[0] - weights @ centre), 0.5)
    return replace(mix, threshold=threshold_of(mix.probabilities(features), targets))


def threshold_of(scores: np.ndarray, targets: np.ndarray) -> float:
    return tuning.best_threshold(np.sort(scores), np.sort(scores[targets]))


def stack(rows: Mapping[str, np.ndarray | float], n_codes: int) -> np.ndarray:
    """Features (K, F) of some codes, from an array or a constant per feature."""
    return np.stack([np.broadcast_to(np.asarray(rows[name], np.float64), n_codes) for name in FEATURES], axis=1)
