import math

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.metrics as sk
from scipy.special import expit
from sklearn.calibration import calibration_curve

from stages.evaluation import calibration as k


@pytest.fixture(scope="module")
def predictions() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets, logits and probabilities of 200 documents and 12 codes."""
    rng = np.random.default_rng(5)
    logits = rng.normal(-1, 2, (200, 12)).astype(np.float32)
    targets = (rng.random(logits.shape) < expit(0.6 * logits)).astype(np.uint8)
    return targets, logits, expit(logits)


def test_bins_are_closed_on_the_left_and_one_stands_alone():
    edges = np.linspace(0, 1, 21, dtype=np.float32)
    assert k.bin_of(edges, 20).tolist() == list(range(21))
    assert k.bin_of(np.nextafter(edges[1:], np.float32(0)), 20).tolist() == list(range(20))


def test_mece_by_hand():
    probabilities = np.array([[0.1, 0.9], [0.2, 0.9], [0.7, 0.4], [0.9, 0.2]])
    targets = np.array([[0, 1], [1, 1], [1, 1], [1, 0]])
    # two bins. code 0: |0.3 - 1| and |1.6 - 2|; code 1: |1.8 - 2| and |0.6 - 1|
    assert k.calibration_errors(k.Bins.count(targets, probabilities, 2)) == pytest.approx([1.1 / 4, 0.6 / 4])
    assert k.mece(targets, probabilities, bins=2) == pytest.approx((1.1 + 0.6) / 8)
    # pooled: low |0.3 + 0.6 - 2| and high |1.6 + 1.8 - 4|
    assert k.ece(targets, probabilities, bins=2) == pytest.approx((1.1 + 0.6) / 8)


def test_brier_and_log_loss_by_hand():
    logits = np.array([[0.0, math.log(3)]])
    targets = np.array([[1, 0]])
    assert k.brier(targets, expit(logits)) == pytest.approx((0.5**2 + 0.75**2) / 2)
    assert k.log_loss(targets, logits) == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_log_loss_of_large_logits_is_finite():
    assert k.log_loss(np.array([[0, 1]]), np.array([[1000.0, 1000.0]])) == 500


def test_agrees_with_scikit_learn(predictions):
    targets, logits, probabilities = predictions

    def error(truth: np.ndarray, probability: np.ndarray) -> float:
        observed, predicted = calibration_curve(truth, probability, n_bins=20)
        counts = np.histogram(probability, bins=20, range=(0, 1))[0]
        return float(np.sum(counts[counts > 0] * np.abs(observed - predicted)) / counts.sum())

    by_code = [error(*code) for code in zip(targets.T, probabilities.T, strict=True)]
    assert k.mece(targets, probabilities) == pytest.approx(np.mean(by_code), abs=1e-6)
    assert k.ece(targets, probabilities) == pytest.approx(error(targets.ravel(), probabilities.ravel()), abs=1e-6)
    assert k.brier(targets, probabilities) == pytest.approx(sk.brier_score_loss(targets.ravel(), probabilities.ravel()))
    expected = sk.log_loss(targets.ravel(), probabilities.ravel().astype(float))
    assert k.log_loss(targets, logits) == pytest.approx(expected, rel=1e-5)


def test_blocks_do_not_change_the_result(predictions, monkeypatch):
    targets, logits, probabilities = predictions
    whole = k.calibration_metrics(targets, logits, probabilities, 20)
    monkeypatch.setattr("stages.evaluation.ranking.BLOCK_CELLS", 50)
    assert k.calibration_metrics(sp.csr_array(targets), logits, probabilities, 20) == pytest.approx(whole, rel=1e-6)


@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (2, 1)])
def test_degenerate_input_is_defined(shape):
    logits = np.zeros(shape, dtype=np.float32)
    metrics = k.calibration_metrics(np.zeros(shape), logits, expit(logits), 20)
    assert all(math.isfinite(value) for value in metrics.values())
    if not logits.size:
        assert not any(metrics.values())


def test_reliability_diagram():
    probabilities = np.array([[0.1, 0.3], [0.95, 1.0]])
    table = k.reliability(k.Bins.count(np.array([[0, 1], [1, 1]]), probabilities, 2))
    assert table.mean_probability.tolist() == pytest.approx([0.2, 0.975])
    assert table.observed_rate.tolist() == [0.5, 1]
    assert table.cells.tolist() == [2, 2]
    assert table.perfect.tolist() == table.mean_probability.tolist()
