import numpy as np
import pytest

from stages.quantification import comparison as errors
from stages.quantification.sampling import group_means, uniform_groups


def test_a_patient_s_documents_share_a_fold_and_folds_are_of_like_size():
    patients = np.repeat(np.arange(120), 2)
    folds = errors.deal_folds(patients, seed=3)
    assert np.array_equal(folds[::2], folds[1::2])
    counts = np.bincount(folds)
    assert len(counts) == errors.FOLDS
    assert set(counts) <= {4, 6}
    assert not np.array_equal(folds, errors.deal_folds(patients, seed=4))
    assert errors.deal_folds(np.arange(3), seed=0).max() == 2  # fewer patients than folds


def test_groups_without_each_fold_by_hand():
    groups = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 0, 1]], dtype=bool)
    folds = np.array([0, 0, 1, 1])
    expected = [[[0, 0, 1, 0], [0, 0, 0, 1]], [[1, 1, 0, 0], [0, 1, 0, 0]]]  # the second group is of one fold
    assert np.array_equal(errors.without_each_fold(groups, folds), np.array(expected, dtype=bool))


def test_the_interval_is_that_of_student_s_distribution():
    """Of 1, 2 and 3: the standard error is the root of 2 / 3 x 2; t(0.975, 2) = 4.3027."""
    interval = errors.jackknife_interval(10.0, [1.0, 2.0, 3.0])
    assert interval == pytest.approx([10 - 4.3027 * (4 / 3) ** 0.5, 14.9683], abs=1e-3)
    assert errors.jackknife_interval(1.0, [1.0, 2.0, 3.0])[0] == 0


def test_it_finds_the_standard_error_of_a_mean_over_groups():
    """The mean over all groups of their means is nearly the documents' mean, whose standard error is known."""
    values = np.random.default_rng(0).normal(5, 1, (400, 1))
    groups = uniform_groups(400, 100, np.random.default_rng(1))
    replicates = errors.without_each_fold(groups[groups.sum(axis=1) > 50], errors.deal_folds(np.arange(400), 0))
    means = group_means(replicates.reshape(-1, 400), values).reshape(len(replicates), -1).mean(axis=1)
    low, high = errors.jackknife_interval(5.0, means)
    assert (high - low) / 2 == pytest.approx(2.01 / 20, rel=0.25)
