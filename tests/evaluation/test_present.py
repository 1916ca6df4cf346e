"""Edin et al.'s convention and CodiEsp's official one, on cases made by hand."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import f1_score

from stages.evaluation import official
from stages.evaluation.breakdowns import cut, present_intervals, present_metrics

TARGETS = sp.csr_array(np.array([[1, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]], dtype=np.uint8))
PROBABILITIES = np.array([[0.9, 0.8, 0.1, 0.4], [0.2, 0.9, 0.1, 0.7], [0.9, 0.9, 0.9, 0.9]])


def test_by_hand():
    """Codes 1 and 2 occur nowhere, document 2 carries nothing: 4 of 12 cells count, 2 of 3 true ones are found."""
    metrics = present_metrics(TARGETS, PROBABILITIES, 0.5, [1, 2])
    assert metrics["f1_micro"] == pytest.approx(0.8)  # tp 2, fp 0, fn 1
    assert metrics["f1_macro"] == pytest.approx((1 + 2 / 3) / 2)
    assert metrics["precision_at_1"] == 1.0
    assert metrics["precision_at_2"] == pytest.approx(0.75)
    assert metrics["mean_average_precision"] == 1.0
    assert metrics["r_precision"] == 1.0
    assert metrics["auc_macro"] == 1.0  # of code 0 alone: code 3 has no document without
    assert present_metrics(TARGETS, PROBABILITIES, 0.3, [1])["f1_micro"] == 1.0


def test_against_scikit_learn():
    rng = np.random.default_rng(3)
    targets = sp.csr_array((rng.random((40, 12)) < 0.08).astype(np.uint8))
    probabilities = rng.random((40, 12))
    wanted, scores = cut(targets, probabilities)
    assert 0 < wanted.shape[0] < 40
    metrics = present_metrics(targets, probabilities, 0.6, [5])
    for average in ("micro", "macro"):
        expected = f1_score(wanted.toarray(), scores > 0.6, average=average, zero_division=0)
        assert metrics[f"f1_{average}"] == pytest.approx(expected)


def test_intervals_are_of_the_same_figures():
    """Around each; and those of the codes and documents that are left, were they all there is."""
    rng = np.random.default_rng(3)
    targets = sp.csr_array((rng.random((60, 12)) < 0.08).astype(np.uint8))
    probabilities = np.clip(0.6 * targets.toarray() + 0.5 * rng.random((60, 12)), 0, 1)
    patients = np.arange(60) // 2
    metrics = present_metrics(targets, probabilities, 0.45, [5])
    found = present_intervals(targets, probabilities, 0.45, [5], patients, 200, 1)
    assert found.keys() == metrics.keys()
    assert all(low <= metrics[name] <= high for name, (low, high) in found.items())
    assert found["f1_micro"][0] < found["f1_micro"][1]
    kept = np.flatnonzero(targets.toarray().any(axis=1))
    alone = present_intervals(*cut(targets, probabilities), 0.45, [5], patients[kept], 200, 1)
    assert alone == found


def test_nothing_present_is_defined():
    nothing = sp.csr_array((3, 4), dtype=np.uint8)
    assert present_intervals(nothing, PROBABILITIES, 0.5, [1], np.arange(3), 5, 1) == {}
    metrics = present_metrics(nothing, PROBABILITIES, 0.5, [1])
    assert all(value == 0.0 for value in metrics.values())


GOLD = {"a": ["N44.8", "R69"], "b": ["I10"], "c": ["Z99"]}


def test_map_by_hand():
    """a: hits at ranks 1 and 3; b: at rank 2; c is never predicted, and counts."""
    ranked = {"a": ["n44.8", "i10", "r69", "N44.8"], "b": ["r69", "i10"]}
    expected = ((1 / 1 + 2 / 3) / 2 + 1 / 2 + 0) / 3
    assert official.mean_average_precision(GOLD, ranked) == pytest.approx(expected)
    assert official.mean_average_precision({}, ranked) == 0.0


def test_the_official_figures_as_functions_of_the_cases():
    """With each case once they are the figures; a case that is left out takes its codes along."""
    ranked = {"a": ["n44.8", "i10", "r69"], "b": ["r69", "i10"], "c": ["z98"]}
    statistics = official.micro_statistics(GOLD, ranked)
    once = np.ones((1, 3))
    for name, value in official.micro(GOLD, ranked).items():
        assert statistics[name].at(once)[0] == pytest.approx(value)
    of_map = official.map_statistic(GOLD, ranked)
    assert of_map.at(once)[0] == pytest.approx(official.mean_average_precision(GOLD, ranked))
    assert of_map.at(np.array([[0.0, 2.0, 0.0]]))[0] == pytest.approx(1 / 2)
    assert statistics["precision"].at(np.array([[1.0, 0.0, 0.0]]))[0] == pytest.approx(2 / 3)


def test_micro_by_hand():
    """Two of three distinct pairs are right, two of four gold ones found."""
    found = official.micro(GOLD, {"a": ["N44.8", "n44.8", "x"], "b": ["I10"]})
    assert found == {"precision": pytest.approx(2 / 3), "recall": 0.5, "f1": pytest.approx(4 / 7)}
    assert official.micro(GOLD, {})["f1"] == 0.0


def test_what_the_label_set_cannot_reach_and_the_form_of_the_script():
    assert official.unreachable(GOLD, ["N44.8", "I10"]) == 0.5
    assert official.tsv({"b": ["I10"], "a": ["R69", "R69"]}) == "a\tr69\nb\ti10\n"
