"""What counting knows, its intervals, and what speaks against a group."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import expit, logit

from stages.common.io import InputError
from stages.evaluation.scored import Predictions
from stages.quantification import drift
from stages.quantification.counting import N_BINS, Counting, bin_by_truth, bin_counts, bin_edges
from stages.quantification.posterior import count_intervals, shortest_intervals
from stages.quantification.quantifiers import PrevalenceMLP

CODES = 4


def documents(n, seed, prevalence=0.3, spread=1.5):
    """Documents whose logits are drawn by whether they carry a code: prior shift, unless their spread is another."""
    rng = np.random.default_rng(seed)
    targets = rng.random((n, CODES)) < prevalence
    logits = rng.normal(np.where(targets, 1.5, -2.0), spread)
    return Predictions(sp.csr_array(targets), logits.astype(np.float32), np.arange(n))


def learn(val):
    torch.manual_seed(0)
    platt, tokens = np.stack([np.ones(CODES), np.zeros(CODES)]), (np.arange(1, 1 + len(val.patients)), np.zeros(1))
    return Counting.learn(val, {"mlp": PrevalenceMLP(CODES, 3)}, platt, tokens, np.full(CODES, 0.3), 50, 1)


def test_documents_are_binned_by_hand():
    probabilities = np.array([[0.1, 0.9], [0.5, 0.5], [0.05, 0.2]])
    edges = np.array([0.1, 0.2, 0.3, 0.4, 0.6])
    np.testing.assert_array_equal(bin_counts(probabilities, edges), [[2, 0, 0, 0, 1, 0], [0, 1, 0, 0, 1, 1]])
    part = documents(200, 0)
    binned = bin_by_truth(part, bin_edges(part))
    assert binned.shape == (2, CODES, N_BINS)
    assert binned.sum() == 200 * CODES and binned[0].sum() == part.targets.nnz
    assert np.ptp(binned[0].sum(axis=0)) <= 1  # as many true codes in each bin


def test_what_was_learned_is_read_again(tmp_path):
    known, test = replace(learn(documents(100, 1)), method="emq"), documents(50, 2)
    known.save(tmp_path / "counting.safetensors")
    again = Counting.load(tmp_path / "counting.safetensors")
    assert again.method == "emq"
    groups = np.ones((1, 50), dtype=bool)
    for (name, estimate), (other, same) in zip(
        known.estimates(test.logits, groups), again.estimates(test.logits, groups), strict=True
    ):
        assert name == other
        np.testing.assert_array_equal(estimate, same)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "counting.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="holds no counting data"):
        Counting.load(path)


def test_estimates_are_those_of_quapy():
    """Golden values of QuaPy 0.2.3 (CC, PCC, ACC, PACC, EMQ fitted to the same probabilities).

    Its EMQ has no prior document, of which ours counts one beside the group's 80.
    """
    rng = np.random.default_rng(0)
    parts = []
    for n, prevalence in ((200, 0.3), (80, 0.6)):
        truth = rng.random(n) < prevalence
        probability = expit(rng.normal(np.where(truth, 1.5, -2), 1.5)).round(4)
        parts.append(Predictions(sp.csr_array(truth[:, None]), logit(probability)[:, None], np.arange(n)))
    platt = np.array([[1.0], [0.0]])
    known = Counting.learn(parts[0], {}, platt, (np.ones(200), np.zeros(200)), np.ones(1), 50, 1)
    result = {
        name: estimate.item() for name, estimate in known.estimates(parts[1].logits, np.ones((1, 80), dtype=bool))
    }
    golden = {"cc": 0.5625, "pcc": 0.5179425, "acc": 0.5765659645, "pacc": 0.5856622999}
    assert {name: result[name] for name in golden} == pytest.approx(golden, abs=1e-6)
    assert result["emq"] == pytest.approx(0.7540, abs=0.02)


def test_the_shortest_interval_by_hand():
    draws = np.concatenate([np.zeros(96), np.full(4, 9.0)])[:, None]
    np.testing.assert_array_equal(shortest_intervals(draws), [[0], [0]])
    np.testing.assert_array_equal(shortest_intervals(np.arange(100.0)[:, None]), [[0], [94]])


def test_a_code_that_probabilities_tell_apart_is_counted_exactly():
    binned = np.zeros((2, 1, 2))
    binned[0, 0], binned[1, 0] = [0, 5000], [5000, 0]
    low, high = count_intervals(binned, np.array([[70.0, 30.0]]), seed=0)
    assert low == high == 30


@pytest.mark.parametrize("prevalence", [0.05, 0.6])
def test_intervals_cover_the_true_number_whatever_the_prevalence(prevalence):
    """100 groups of 80 documents, each by another validation set: 95 % of 400 codes, give or take."""
    covered = 0
    for seed in range(100):
        val, group = documents(120, 2 * seed), documents(80, 2 * seed + 1, prevalence)
        edges = bin_edges(val)
        low, high = count_intervals(bin_by_truth(val, edges), bin_counts(group.probabilities, edges), seed)
        true = group.targets.sum(axis=0)
        covered += ((low <= true) & (true <= high)).sum()
    assert 0.915 <= covered / 400 <= 0.985


def test_a_hundred_times_the_group_is_no_less_sure():
    """Its shares are as sure as the rates are: not wider than a hundredth of it has them, nor a point."""
    val, group = documents(300, 0), documents(100, 1)
    known = learn(val)
    binned = bin_counts(group.probabilities, known.edges)
    small, large = (count_intervals(known.binned, n * binned, seed=3) / (100 * n) for n in (1, 100))
    assert (np.diff(large, axis=0) <= np.diff(small, axis=0)).all()
    assert (np.diff(large, axis=0) > 0.005).all()
    assert (large[0] < small.mean(axis=0) + 0.05).all() and (large[1] > small.mean(axis=0) - 0.05).all()


def test_prior_shift_is_no_refutation_and_another_wording_is():
    """p below 0.05 in one of twenty under prior shift; other logits are found."""
    p = []
    for seed in range(50):
        val, group = documents(300, 2 * seed), documents(200, 2 * seed + 1, prevalence=0.6)
        edges = bin_edges(val)
        p.extend(drift.mixture_p(bin_by_truth(val, edges), bin_counts(group.probabilities, edges)))
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.045)
    val, other = documents(300, 0), documents(200, 1, prevalence=0.6, spread=0.3)
    known = learn(val)
    binned = bin_counts(other.probabilities, known.edges)
    result = drift.compare_group(known, other.probabilities, np.full(200, 5000), np.zeros(200), binned)
    assert result.unlike == ["number of codes", "length"] and result.refuted


def test_empty_bins_are_joined():
    binned, group = drift.join_bins(np.array([[1.0, 4, 0, 2, 3], [9, 1, 0, 0, 0]]), np.arange(5.0))
    np.testing.assert_array_equal(binned, [[5, 5], [10, 0]])
    np.testing.assert_array_equal(group, [1, 9])
