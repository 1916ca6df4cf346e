"""Thresholds of the best F1, temperatures and Platt's slopes: by hand, against a search, against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stages.evaluation import classification as c
from stages.evaluation import tuning

LEVELS = st.sampled_from(np.linspace(0, 1, 6, dtype=np.float32))
PROBABILITIES = arrays(np.float32, (8, 4), elements=LEVELS)
TARGETS = arrays(np.uint8, (8, 4), elements=st.integers(0, 1))


def test_best_threshold_by_hand():
    scores = np.array([0.1, 0.2, 0.4, 0.8])
    assert tuning.best_threshold(scores, np.array([0.4, 0.8])) == pytest.approx(0.3)
    assert tuning.best_threshold(scores, np.array([0.1])) == pytest.approx(0.05)
    assert np.isnan(tuning.best_threshold(scores, scores[:0]))


def test_of_equally_good_cuts_the_highest_is_taken():
    scores, positives = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.1, 0.9])  # F1 is 2/3 for one and for all four
    assert tuning.best_threshold(scores, positives) == pytest.approx(0.6)


def test_neighbouring_scores_stay_apart():
    upper = np.float32(0.3)
    lower = np.nextafter(upper, np.float32(0))
    scores = np.array([lower, upper])
    threshold = np.float32(tuning.best_threshold(scores, scores[1:]))
    assert (scores > threshold).tolist() == [False, True]


@settings(max_examples=60, deadline=None)
@given(TARGETS, PROBABILITIES)
def test_no_other_threshold_is_better(targets, probabilities):
    shared = tuning.shared_threshold(targets, probabilities)
    by_code = tuning.code_thresholds(targets, probabilities)
    result = c.decision_metrics(targets, probabilities > shared)["f1_micro"]
    by_code_found = c.f1(c.counts_by_code(targets, probabilities > by_code))
    for other in np.linspace(-0.1, 0.9, 6):
        decisions = probabilities > np.float32(other)
        assert result >= sk.f1_score(targets.ravel(), decisions.ravel(), zero_division=0) - 1e-12
        assert (by_code_found >= c.f1(c.counts_by_code(targets, decisions)) - 1e-12).all()


def test_without_positives_the_papers_threshold_is_kept():
    probabilities = np.full((3, 2), 0.3, dtype=np.float32)
    assert tuning.shared_threshold(np.zeros((3, 2)), probabilities) == 0.5
    assert tuning.code_thresholds(np.zeros((3, 2)), probabilities).tolist() == [0.5, 0.5]


def test_a_code_without_positives_takes_the_shared_threshold():
    targets = np.array([[1, 0], [0, 0], [0, 0]])
    probabilities = np.array([[0.4, 0.3], [0.2, 0.1], [0.1, 0.1]], dtype=np.float32)
    by_code = tuning.code_thresholds(targets, probabilities)
    assert by_code[1] == np.float32(tuning.shared_threshold(targets, probabilities))
    assert by_code[0] == pytest.approx(0.3)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn with P(y) = expit(0.5 z - 1) from logits z of 4,000 documents and 3 codes."""
    rng = np.random.default_rng(11)
    logits = rng.normal(0, 3, (4000, 3)).astype(np.float32)
    return (rng.random(logits.shape) < expit(0.5 * logits - 1)).astype(np.uint8), logits


def test_temperature_is_found_again():
    rng = np.random.default_rng(2)
    logits = rng.normal(-1, 3, (5000, 4)).astype(np.float32)
    targets = rng.random(logits.shape) < expit(logits / 2.5)
    assert tuning.fit_temperature(targets, logits) == pytest.approx(2.5, rel=0.05)


@pytest.mark.parametrize(("right", "expected"), [(True, 0), (False, 1)])
def test_temperature_stays_within_bounds(right, expected):
    logits = np.array([[3.0, -3.0], [-3.0, 3.0]], dtype=np.float32)
    temperature = tuning.fit_temperature((logits > 0) == right, logits)
    assert temperature == tuning.TEMPERATURES[expected]


def test_slope_and_intercept_are_found_again(drawn):
    slopes, intercepts = tuning.fit_platt(*drawn)
    assert slopes == pytest.approx(np.full(3, 0.5), abs=0.05)
    assert intercepts == pytest.approx(np.full(3, -1), abs=0.15)


def test_platt_agrees_with_scikit_learn_where_the_prior_is_weak(drawn):
    targets, logits = drawn
    slopes, intercepts = tuning.fit_platt(targets, logits)
    for code in range(3):
        model = LogisticRegression(C=np.inf).fit(logits[:, [code]], targets[:, code])
        assert slopes[code] == pytest.approx(model.coef_[0, 0], abs=2e-3)
        assert intercepts[code] == pytest.approx(model.intercept_[0], abs=2e-3)


def test_platt_minimises_its_objective():
    rng = np.random.default_rng(4)
    logits, targets = rng.normal(2, 3, (12, 6)), rng.random((12, 6)) < 0.3
    slopes, intercepts = tuning.fit_platt(targets, logits)
    for code in range(6):

        def objective(parameters, z=logits[:, code], y=targets[:, code]):
            scaled = parameters[0] * z + parameters[1]
            return (np.logaddexp(0, scaled) - y * scaled).sum() + ((parameters - [1, 0]) ** 2).sum() / 2

        best = minimize(objective, np.array([1.0, 0.0]), tol=1e-9)
        assert [slopes[code], intercepts[code]] == pytest.approx(best.x, abs=1e-3)


@pytest.mark.parametrize("targets", [np.zeros((6, 2)), np.ones((6, 2)), np.eye(6, 2)])
@pytest.mark.parametrize("scale", [0, 1, 1000])
def test_degenerate_input_is_defined(targets, scale):
    logits = scale * np.linspace(-1, 1, 12, dtype=np.float32).reshape(6, 2)
    slopes, intercepts = tuning.fit_platt(targets, logits)
    assert np.isfinite(slopes).all()
    assert np.isfinite(intercepts).all()
    assert np.isfinite(tuning.fit_temperature(targets, logits))


def test_codes_are_fitted_one_by_one(drawn, monkeypatch):
    targets, logits = drawn
    together = tuning.fit_platt(targets, logits)
    monkeypatch.setattr("stages.evaluation.ranking.BLOCK_CELLS", 1)
    assert np.array_equal(together, tuning.fit_platt(targets, logits))
