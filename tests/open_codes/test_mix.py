import numpy as np
import pytest
from scipy.special import expit

from stages.common.io import InputError
from stages.open_codes.mix import FEATURES, Mix, fit, threshold_of


def test_a_mix_is_a_logistic_regression():
    mix = Mix(dict.fromkeys(FEATURES, 0.0) | {"count": 2.0, "overlap": -1.0}, 0.5, 0.5)
    row = np.array([[3.0 if name == "count" else 4.0 if name == "overlap" else 9.0 for name in FEATURES]])
    assert mix.probabilities(row)[0] == pytest.approx(expit(2 * 3 - 4 + 0.5))


def test_the_fit_finds_what_made_the_truth():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(20_000, len(FEATURES))) * 3 + 1
    truth = rng.random(20_000) < expit(0.7 * features[:, 0] - 0.4 * features[:, -1] - 2)
    mix = fit(features, truth)
    weights = [mix.weights[name] for name in FEATURES]
    assert weights[0] == pytest.approx(0.7, abs=0.05)
    assert weights[-1] == pytest.approx(-0.4, abs=0.05)
    assert np.abs(weights[1:-1]).max() < 0.05
    assert mix.intercept == pytest.approx(-2, abs=0.15)
    assert mix.probabilities(features).mean() == pytest.approx(truth.mean(), abs=1e-3)


def test_the_threshold_is_that_of_the_best_f1():
    """Assigned one by one: F1 2/3, 2/4, 4/5 and 4/6, so the cut is below the third."""
    scores, truth = np.array([0.9, 0.2, 0.7, 0.4]), np.array([True, False, False, True])
    assert threshold_of(scores, truth) == pytest.approx(0.3)


@pytest.mark.parametrize("truth", [np.zeros(4, bool), np.ones(4, bool)])
def test_nothing_to_learn_from(truth: np.ndarray):
    with pytest.raises(InputError, match="nothing can be fitted"):
        fit(np.zeros((4, len(FEATURES))), truth)
