import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from stages.evaluation.scored import Predictions, Resampling
from stages.evaluation.selective import Pair, Thresholds, choose, error_bound, figures, states


def predictions(rng: np.random.Generator, n: int, n_codes: int = 6, slope: float = 1.0) -> Predictions:
    """Documents, each a patient, whose codes are true with the probability that is predicted (slope 1)."""
    logits = rng.normal(-2, 3, (n, n_codes)).astype(np.float32)
    targets = rng.random(logits.shape) < 1 / (1 + np.exp(-slope * logits))
    return Predictions(sp.csr_array(targets.astype(np.uint8)), logits, np.arange(n))


def test_the_bound_is_clopper_and_pearsons_for_a_decision_a_patient():
    """2 errors of 60 decisions: the share at which 2 or fewer have a probability of 0.1."""
    errors = np.zeros(60)
    errors[:2] = 1
    bound = error_bound(errors, np.arange(60))
    assert stats.binom.cdf(2, 60, bound) == pytest.approx(0.1, abs=1e-6)
    assert error_bound(np.zeros(60), np.arange(60)) == pytest.approx(1 - 0.1 ** (1 / 60))


def test_decisions_of_few_patients_count_for_less():
    """Of each patient ten equal decisions: as sure as one a patient."""
    errors = np.zeros(30)
    errors[:3] = 1
    alone = error_bound(errors, np.arange(30))
    assert error_bound(np.repeat(errors, 10), np.repeat(np.arange(30), 10)) == pytest.approx(alone)


def test_states_by_hand():
    """The last code has thresholds of its own."""
    by_code = {4: Pair(0.3, None)}
    accepted, reviewed = states(np.array([[0.9, 0.5, 0.1, 0.2, 0.4]]), Thresholds(Pair(0.8, 0.1), by_code))
    assert accepted.tolist() == [[True, False, False, False, True]]
    assert reviewed.tolist() == [[False, True, False, True, False]]
    accepted, reviewed = states(np.array([[0.9, 0.0]]), Thresholds(Pair(None, None), {}))
    assert not accepted.any() and reviewed.all()


def test_figures_by_hand():
    """Two documents: accepted 2 codes, 1 right; of 3 true ones 2 accepted or to review; one document needs nobody."""
    logits = np.array([[4.0, 0.0, -4.0], [4.0, -4.0, -4.0]], np.float32)
    targets = sp.csr_array(np.array([[1, 1, 0], [0, 0, 1]], np.uint8))
    thresholds = Thresholds(Pair(0.9, 0.1), {})
    result = figures(Predictions(targets, logits, np.arange(2)), thresholds, Resampling(np.arange(2), 0, 1))
    assert (result["precision"], result["automatic_documents"]) == (0.5, 0.5)
    assert result["accepted"] == pytest.approx(1 / 3)
    assert result["recall"] == pytest.approx(2 / 3)
    assert result["reviewed_per_document"] == 0.5


def test_too_few_documents_promise_nothing():
    assert choose(predictions(np.random.default_rng(1), 4), 0.95, 0.95) == ((None, None), {})


def test_a_frequent_code_keeps_the_promise_by_itself():
    """At 0.9 a code needs 176 validation documents. One that is worse than it says is no longer carried by others."""
    rng = np.random.default_rng(5)
    val, test = (predictions(rng, n) for n in (1500, 4000))
    for part in (val, test):  # three in ten of the first code's true documents are not
        targets = part.targets.toarray()
        targets[:, 0] &= rng.random(len(targets)) < 0.7
        part.targets[:] = sp.csr_array(targets)
    thresholds = choose(val, 0.9, 0.9)
    assert set(thresholds.by_code) == set(np.flatnonzero(val.targets.sum(axis=0) >= 176)) and 0 in thresholds.by_code
    accepted, _ = states(test.probabilities, thresholds)
    true = test.targets.toarray().astype(bool)
    for column in thresholds.by_code:
        if accepted[:, column].any():
            assert true[accepted[:, column], column].mean() > 0.88
    together = choose(Predictions(val.targets[:, :1], val.logits[:, :1], val.patients), 0.9, 0.9)
    assert together.by_code[0] == thresholds.by_code[0]


def test_promises_are_broken_no_more_often_than_said():
    """100 draws of validation documents, measured on 2,000 others: at most 10 %, with three standard errors of it."""
    rng = np.random.default_rng(2)
    whole = predictions(rng, 2000)
    kept: dict[str, list[bool]] = {"precision": [], "recall": []}
    for _ in range(100):
        result = figures(whole, choose(predictions(rng, 300), 0.9, 0.9), Resampling(whole.patients, 0, 1))
        for name, threshold in (("precision", "accept_above"), ("recall", "leave_below")):
            if result[threshold] is not None:
                kept[name].append(result[name] >= 0.9)
    for promises in kept.values():
        assert len(promises) > 75
        assert 0 < np.mean(~np.array(promises)) <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / 100)
