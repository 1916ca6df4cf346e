import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from stages.evaluation import tuning


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
