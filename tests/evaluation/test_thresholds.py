import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

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
