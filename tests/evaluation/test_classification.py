import math

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.metrics as sk
from scipy.special import expit

from stages.evaluation import classification as c

TARGETS = np.array([[1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 0, 0]])
DECISIONS = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=bool)


@pytest.fixture(scope="module")
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Targets and probabilities of 120 documents and 30 codes, no ties; one code is never true, one never predicted."""
    rng = np.random.default_rng(3)
    targets = (rng.random((120, 30)) < np.linspace(0.05, 0.5, 30)).astype(np.uint8)
    targets[:, 0] = 0
    logits = (2 * targets - 1.5 + rng.standard_normal(targets.shape)).astype(np.float32)
    logits[:, 1] -= 20
    return targets, expit(logits)


def test_counts_by_hand():
    counts = c.counts_by_code(TARGETS, DECISIONS)
    assert counts.true_positives.tolist() == [2, 0, 1]
    assert counts.false_positives.tolist() == [1, 0, 0]
    assert counts.false_negatives.tolist() == [0, 0, 1]
    counts = c.counts_by_document(TARGETS, DECISIONS)
    assert counts.true_positives.tolist() == [1, 1, 0, 1]
    assert counts.false_positives.tolist() == [0, 1, 0, 0]
    assert counts.false_negatives.tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("targets", [TARGETS, sp.csr_array(TARGETS)])
@pytest.mark.parametrize("decisions", [DECISIONS, sp.csr_array(DECISIONS)])
def test_decision_metrics_by_hand(targets, decisions):
    metrics = c.decision_metrics(targets, decisions)
    assert metrics == pytest.approx(
        {
            "precision_micro": 3 / 4,
            "precision_macro": (2 / 3 + 0 + 1) / 3,
            "recall_micro": 3 / 4,
            "recall_macro": (1 + 0 + 1 / 2) / 3,
            "f1_micro": 3 / 4,
            "f1_macro": (4 / 5 + 0 + 2 / 3) / 3,
            "accuracy_micro": 3 / 5,
            "accuracy_macro": (2 / 3 + 0 + 1 / 2) / 3,
            "f1_macro_mullenbach": 2 * (5 / 9) * (1 / 2) / (5 / 9 + 1 / 2),
        }
    )


def test_ranking_metrics_by_hand():
    probabilities = np.array([[0.9, 0.8, 0.7, 0.1], [0.1, 0.2, 0.3, 0.4], [0.5, 0.4, 0.3, 0.2]])
    targets = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])  # ranks 1 and 3; 4; none
    metrics = c.ranking_metrics(targets, probabilities, [1, 3])
    assert metrics["precision_at_1"] == pytest.approx(1 / 3)
    assert metrics["precision_at_3"] == pytest.approx(2 / 9)
    assert metrics["recall_at_1"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert metrics["recall_at_3"] == pytest.approx(1 / 3)
    assert metrics["f1_at_3"] == pytest.approx(2 * (2 / 9) * (1 / 3) / (2 / 9 + 1 / 3))
    assert metrics["r_precision"] == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert metrics["mean_average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 4 + 0) / 3)
    # code 0: positives .9 and .1 against the negative .5; code 2: positive .7 against .3 and .3
    assert metrics["auc_macro"] == pytest.approx((1 / 2 + 1) / 2)


def test_agrees_with_scikit_learn(predictions):
    targets, probabilities = predictions
    decisions = probabilities > 0.5
    measured = c.decision_metrics(targets, decisions) | c.ranking_metrics(targets, probabilities)
    for average in ("micro", "macro"):
        for name, function in (
            ("precision", sk.precision_score),
            ("recall", sk.recall_score),
            ("f1", sk.f1_score),
            ("accuracy", sk.jaccard_score),
        ):
            expected = function(targets, decisions, average=average, zero_division=0)
            assert measured[f"{name}_{average}"] == pytest.approx(expected, rel=1e-12)
    both = (targets.max(axis=0) == 1) & (targets.min(axis=0) == 0)
    assert measured["auc_micro"] == pytest.approx(sk.roc_auc_score(targets, probabilities, average="micro"), rel=1e-12)
    assert measured["auc_macro"] == pytest.approx(sk.roc_auc_score(targets[:, both], probabilities[:, both]), rel=1e-12)
    some = targets.any(axis=1)
    expected = sk.label_ranking_average_precision_score(targets[some], probabilities[some]) * some.mean()
    assert measured["mean_average_precision"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("targets", "probabilities"),
    [
        (np.zeros((3, 4)), np.full((3, 4), 0.7)),  # no positives
        (np.ones((3, 4)), np.full((3, 4), 0.2)),  # no predictions, no negatives
        (np.zeros((3, 4)), np.zeros((3, 4))),  # neither
        (np.eye(1, 4), np.full((1, 4), 0.5)),  # one document, all tied
        (np.zeros((0, 4)), np.zeros((0, 4))),  # no documents
        (np.array([[1]]), np.array([[0.9]])),  # one cell
    ],
)
def test_degenerate_input_is_defined(targets, probabilities):
    for form in (targets, sp.csr_array(targets)):
        metrics = c.decision_metrics(form, probabilities > 0.5) | c.ranking_metrics(form, probabilities, [2])
        assert all(math.isfinite(value) and 0 <= value <= 1 for value in metrics.values())
        if not targets.any():
            assert not any(metrics.values())
