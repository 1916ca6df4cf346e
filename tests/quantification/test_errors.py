import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.quantification import comparison as errors
from stages.quantification.comparison import mean_errors, relative_errors, sample_errors

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
    monkeypatch.setattr(errors, "BLOCK", 4)
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
