"""Errors on groups, by hand; their intervals by the jackknife; and every method measured on every draw."""

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.special import expit, logit

from stages.common import io
from stages.evaluation.scored import Predictions
from stages.quantification import comparison
from stages.quantification.comparison import (
    SMALLEST_SHOWN,
    best_method,
    compare,
    mean_errors,
    relative_errors,
    sample_errors,
)
from stages.quantification.counting import Counting
from stages.quantification.quantifiers import PrevalenceMLP
from stages.quantification.sampling import group_means, uniform_groups

shares = hnp.arrays(np.float64, (3, 4), elements=st.floats(0, 1))


def test_by_hand():
    # One sample of 5 documents: e = 0.1. Code 0: s(.2) = .25, s(.6) = 7/12; code 1: estimated exactly.
    true, estimated = np.array([[0.2, 1.0]]), np.array([[0.6, 1.0]])
    gap = 7 / 12 - 1 / 4
    first = 0.5 * (gap / (1 / 4) + gap / (3 / 4))
    assert mean_errors(true, estimated, np.array([5])) == pytest.approx({"ae": 0.2, "rae": first / 2})


@given(true=shares, estimated=shares, sizes=st.lists(st.integers(1, 10_000), min_size=3, max_size=3))
def test_relative_errors_are_the_formula_with_the_smoothing(true, estimated, sizes):
    sizes = np.array(sizes)
    epsilon = 1 / (2 * sizes[:, None])
    smooth_true, smooth_estimated = ((epsilon + p) / (2 * epsilon + 1) for p in (true, estimated))
    gap = np.abs(smooth_true - smooth_estimated)
    expected = (gap / smooth_true + gap / (1 - smooth_true)) / 2
    np.testing.assert_allclose(relative_errors(true, estimated, sizes), expected, rtol=1e-6, atol=1e-9)


def test_samples_then_codes(monkeypatch):
    rng = np.random.default_rng(0)
    true, estimated, sizes = rng.random((9, 5)), rng.random((9, 5)), rng.integers(1, 50, 9)
    monkeypatch.setattr(comparison, "BLOCK", 4)
    absolute, relative = sample_errors(true, estimated, sizes)
    for row in range(9):
        single = mean_errors(true[[row]], estimated[[row]], sizes[[row]])
        assert (absolute[row], relative[row]) == pytest.approx((single["ae"], single["rae"]), rel=1e-12)
    assert mean_errors(true, estimated, sizes)["ae"] == pytest.approx(np.abs(true - estimated).mean())


def test_all_or_none_in_a_group_of_one_is_finite():
    result = mean_errors(np.array([[0.0, 1.0]]), np.array([[1.0, 0.0]]), np.array([1]))
    assert result == pytest.approx({"ae": 1.0, "rae": 4 / 3})  # s(0) = 1/4, s(1) = 3/4


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\).*\(2, 4\)"):
        mean_errors(np.zeros((2, 3)), np.zeros((2, 4)), np.ones(2))


def test_a_patient_s_documents_share_a_fold_and_folds_are_of_like_size():
    patients = np.repeat(np.arange(120), 2)
    folds = comparison.deal_folds(patients, seed=3)
    assert np.array_equal(folds[::2], folds[1::2])
    counts = np.bincount(folds)
    assert len(counts) == comparison.FOLDS
    assert set(counts) <= {4, 6}
    assert not np.array_equal(folds, comparison.deal_folds(patients, seed=4))
    assert comparison.deal_folds(np.arange(3), seed=0).max() == 2  # fewer patients than folds


def test_groups_without_each_fold_by_hand():
    groups = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]], dtype=bool)
    folds = np.array([0, 0, 1, 1])
    expected = [[[0, 0, 1, 0], [0, 0, 0, 1]], [[1, 1, 0, 0], [0, 1, 0, 0]]]  # the second group is of one fold
    assert np.array_equal(comparison.without_each_fold(groups, folds), np.array(expected, dtype=bool))


def test_the_interval_is_that_of_student_s_distribution():
    """Of 1, 2 and 3: the standard error is the root of 2 / 3 x 2; t(0.975, 2) = 4.3027."""
    interval = comparison.jackknife_interval(10.0, [1.0, 2.0, 3.0])
    assert interval == pytest.approx([10 - 4.3027 * (4 / 3) ** 0.5, 14.9683], abs=1e-3)
    assert comparison.jackknife_interval(1.0, [1.0, 2.0, 3.0])[0] == 0


def test_it_finds_the_standard_error_of_a_mean_over_groups():
    """The mean over all groups of their means is nearly the documents' mean, whose standard error is known."""
    values = np.random.default_rng(0).normal(5, 1, (400, 1))
    groups = uniform_groups(400, 100, np.random.default_rng(1))
    replicates = comparison.without_each_fold(groups[groups.sum(axis=1) > 50], comparison.deal_folds(np.arange(400), 0))
    means = group_means(replicates.reshape(-1, 400), values).reshape(len(replicates), -1).mean(axis=1)
    low, high = comparison.jackknife_interval(5.0, means)
    assert (high - low) / 2 == pytest.approx(2.01 / 20, rel=0.25)


METHODS = ["lazy", "cc", "pcc", "mlp", "acc", "pacc", "emq"]


def predictions(documents, codes, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(np.linspace(-3, 1, codes), 2.0, (documents, codes))
    labels = sp.csr_array(rng.random(logits.shape) < expit(logits))
    return Predictions(labels, logits.astype(np.float32), np.arange(documents) // 2)


def learn(val, networks=None):
    torch.manual_seed(0)
    codes = val.targets.shape[1]
    tokens = np.arange(1, 1 + len(val.patients)), np.zeros(len(val.patients))
    platt = np.stack([np.ones(codes, np.float32), np.zeros(codes, np.float32)])
    return Counting.learn(
        val, networks or {"mlp": PrevalenceMLP(codes, 4)}, platt, tokens, np.full(codes, 0.1), n_samples=60, seed=888
    )


def compare_on(val, test, networks=None, **changed):
    return compare(learn(val, networks), val, test, **{"n_groups": 40, "seed": 888} | changed)


@pytest.fixture(scope="module")
def compared():
    return compare_on(predictions(150, 6, 0), predictions(200, 6, 1))


def test_every_method_is_measured_on_every_draw(compared):
    """On test each figure lies within an interval of its own."""
    errors = {"ae", "rae", "ae_shifted", "rae_shifted"}
    assert set(compared.metrics) == {"val", "test"}
    for part, methods in compared.metrics.items():
        assert list(methods) == METHODS
        for result in methods.values():
            intervals = result.get("intervals", {})
            assert result.keys() - {"intervals"} == errors
            assert all(result[error] > 0 for error in errors)
            assert intervals.keys() == (errors if part == "test" else set())
            assert all(0 <= low < result[name] < high for name, (low, high) in intervals.items())


def test_the_best_method_has_the_least_error_in_both_kinds_of_groups():
    assert best_method({"a": {"ae": 0.1, "ae_shifted": 0.5}, "b": {"ae": 0.2, "ae_shifted": 0.3}}) == "b"


def test_sizes_add_up_to_the_whole(compared):
    for method in METHODS:
        part = compared.by_size[compared.by_size["method"] == method]
        for error in ("ae", "rae"):
            mean = np.average(part[error], weights=part["samples"])
            assert mean == pytest.approx(compared.metrics["test"][method][error], rel=1e-6)


def test_points_are_the_same_groups_for_every_method(compared):
    true = [table["true"].to_numpy() for _, table in compared.points.groupby("method")]
    assert len(true) == len(METHODS)
    for other in true[1:]:
        np.testing.assert_array_equal(other, true[0])


def test_no_small_group_is_shown():
    small = predictions(SMALLEST_SHOWN - 1, 4, 0)
    assert compare_on(small, small).points.empty


def test_no_intervals_where_none_are_wanted():
    part = predictions(30, 4, 0)
    assert "intervals" not in compare_on(part, part, intervals=False).metrics["test"]["pcc"]


def test_a_joint_model_adds_its_own_network():
    part = predictions(30, 4, 0)
    networks = {"mlp": PrevalenceMLP(4, 2), "clq": PrevalenceMLP(4, 3)}
    assert set(compare_on(part, part, networks=networks).metrics["test"]) == {*METHODS, "clq"}


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((5, 3)), np.zeros((5, 3))),  # no code anywhere
        (np.zeros((5, 3)), np.ones((5, 3))),
        (np.ones((5, 3)), np.zeros((5, 3))),
        (np.full((1, 2), 0.5), np.array([[0, 1]])),  # one document
        (np.full((4, 1), 0.5), np.array([[0], [1], [1], [0]])),  # one code, ties
    ],
)
def test_degenerate_predictions_are_defined(probabilities, labels, tmp_path):
    logits = logit(np.clip(probabilities, 1e-9, 1 - 1e-9)).astype(np.float32)
    part = Predictions(sp.csr_array(labels), logits, np.arange(len(labels)))
    compared = compare_on(part, part)
    io.write_json(tmp_path / "metrics.json", compared.metrics)  # raises where a figure is not finite
