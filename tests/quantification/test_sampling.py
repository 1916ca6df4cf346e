import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stages.quantification import sampling
from stages.quantification.sampling import (
    group_means,
    group_sizes,
    mean_of_means,
    membership,
    shifted_groups,
    uniform_groups,
)


def test_means_by_hand():
    groups = membership([[0], [0, 2], [2, 1, 0]], n_documents=3)
    values = np.array([[1.0, 0.0], [0.5, 0.25], [0.0, 1.0]])
    expected = [[1.0, 0.0], [0.5, 0.5], [0.5, 1.25 / 3]]
    np.testing.assert_allclose(group_means(groups, values), expected, rtol=1e-15)
    assert group_sizes(groups).tolist() == [1, 2, 3]


def test_uniform_groups_have_every_size_and_no_member_twice():
    groups = uniform_groups(5, 4000, np.random.default_rng(1))
    counts = np.bincount(group_sizes(groups), minlength=6)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / 4000, 0.2, atol=0.03)
    np.testing.assert_allclose(groups.mean(axis=0), 0.6, atol=0.03)  # every document equally often


@given(data=st.data(), documents=st.integers(1, 8), codes=st.integers(1, 5), samples=st.integers(1, 6))
def test_means_equal_the_loop_for_all_forms_and_blocks(data, documents, codes, samples):
    labels = data.draw(hnp.arrays(np.uint8, (documents, codes), elements=st.integers(0, 1)))
    groups = uniform_groups(documents, samples, np.random.default_rng(data.draw(st.integers(0, 99))))
    loop = np.array([labels[group].mean(axis=0) for group in groups])
    for values in (labels, labels.astype(np.float64), sp.csr_array(labels), sp.csr_array(labels.astype(bool))):
        means = group_means(groups, values)
        assert means.dtype == np.float64
        np.testing.assert_allclose(means, loop, rtol=1e-12)
    assert group_means(groups, labels.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(mean_of_means(groups, labels), loop.mean(axis=0), rtol=1e-12, atol=1e-15)


def test_blocks_do_not_change_the_means(monkeypatch):
    rng = np.random.default_rng(3)
    groups, values = uniform_groups(20, 17, rng), rng.random((20, 4))
    whole = group_means(groups, values)
    monkeypatch.setattr(sampling, "BLOCK", 5)
    np.testing.assert_allclose(group_means(groups, values), whole, rtol=1e-15)
    np.testing.assert_allclose(group_means(groups, sp.csr_array(values)), whole, rtol=1e-15)


def test_shifted_groups_move_the_prevalence_over_the_whole_range():
    targets = sp.csr_array((np.arange(200) < 20).astype(np.uint8)[:, None])  # one code, 10 %
    groups = shifted_groups(targets, 500, np.random.default_rng(0))
    prevalence = group_means(groups, targets)[:, 0]
    assert group_sizes(groups).min() >= 1
    quarters = np.histogram(prevalence, bins=4, range=(0, 1))[0]
    assert quarters.min() > 80
    assert prevalence.mean() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("targets", [np.zeros((6, 3)), np.ones((6, 3)), np.ones((1, 1))])
def test_shifted_groups_without_anything_to_shift_are_uniform(targets):
    groups = shifted_groups(sp.csr_array(targets), 10, np.random.default_rng(5))
    np.testing.assert_array_equal(groups, uniform_groups(len(targets), 10, np.random.default_rng(5)))


@given(seed=st.integers(0, 1000))
def test_shifted_groups_are_never_empty(seed):
    rng = np.random.default_rng(seed)
    targets = sp.csr_array(rng.random((7, 3)) < 0.3)
    assert group_sizes(shifted_groups(targets, 20, rng)).min() >= 1
