import numpy as np
import pytest
import scipy.sparse as sp
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit, logit

from stages.common.io import InputError
from stages.quantification.quantifiers import (
    PrevalenceMLP,
    adjust,
    expectation_maximisation,
    fit_mlp,
    hold_out,
    load_mlp,
    rates,
    save_mlp,
    shuffle_epochs,
)
from stages.quantification.sampling import group_means, group_sizes, membership, uniform_groups


def constant_network(codes, hidden, value):
    """A network whose every weight is 0 but for the output's bias: it estimates `value` whatever it sees."""
    network = PrevalenceMLP(codes, hidden)
    for weight in network.parameters():
        torch.nn.init.zeros_(weight)
    torch.nn.init.constant_(network.output.bias, float(logit(value)))
    return network


def test_network_by_hand():
    network = PrevalenceMLP(1, 1)
    for weight, value in zip(network.parameters(), (2.0, -1.0, 3.0, 0.5), strict=True):
        torch.nn.init.constant_(weight, value)
    expected = expit(3.0 * expit(2.0 * 0.25 - 1.0) + 0.5)
    assert network.estimate(np.array([[0.25]])) == pytest.approx(expected, abs=1e-6)


def test_network_survives_saving(tmp_path):
    torch.manual_seed(1)
    network = PrevalenceMLP(4, 3)
    save_mlp(network, tmp_path)
    pcc = np.random.default_rng(0).random((5, 4))
    np.testing.assert_array_equal(load_mlp(tmp_path).estimate(pcc), network.estimate(pcc))


def test_loading_says_what_is_wrong(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(InputError, match=r"model\.safetensors does not exist"):
        load_mlp(tmp_path)
    save_mlp(PrevalenceMLP(4, 3), tmp_path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(InputError, match=r"model\.safetensors holds no quantifier"):
        load_mlp(tmp_path)
    save_file({"hidden.weight": torch.zeros(3, 4), "output.weight": torch.zeros(4, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"other\.safetensors holds no quantifier"):
        load_mlp(tmp_path, "other.safetensors")


def test_the_network_learns_a_correction():
    rng = np.random.default_rng(0)
    pcc = rng.random((400, 3))
    prevalence = pcc**2 * 0.5
    torch.manual_seed(0)
    network = PrevalenceMLP(3, 16)
    history = fit_mlp(network, pcc, prevalence, shuffle_epochs(400, 0), learning_rate=0.02, epochs=40)
    assert history[-1]["train_loss"] < history[0]["train_loss"] / 10
    assert np.abs(network.estimate(pcc) - prevalence).mean() < 0.03 < np.abs(pcc - prevalence).mean()


def test_original_stopping_looks_at_the_training_loss_and_validation_at_the_held_out_samples():
    # What is held out contradicts what is trained on: learning makes it worse from the first epoch on.
    pcc = np.full((64, 2), 0.5)
    rising, falling = np.full((64, 2), 0.9), np.full((64, 2), 0.1)
    original = constant_network(2, 2, 0.5)
    history = fit_mlp(original, pcc, rising, shuffle_epochs(64, 0), learning_rate=0.05, epochs=12, patience=3)
    assert len(history) == 12
    assert original.estimate(pcc).mean() > 0.6

    watched = constant_network(2, 2, 0.5)
    history = fit_mlp(
        watched, pcc, rising, shuffle_epochs(64, 0), held_out=(pcc, falling), learning_rate=0.05, epochs=12, patience=3
    )
    assert len(history) == 5  # the best is the first epoch; the fourth one above it ends the training
    one_epoch = constant_network(2, 2, 0.5)
    fit_mlp(one_epoch, pcc, rising, shuffle_epochs(64, 0), learning_rate=0.05, epochs=1)
    np.testing.assert_array_equal(watched.estimate(pcc), one_epoch.estimate(pcc))


def test_a_training_that_diverges_is_refused():
    pcc = np.full((8, 2), np.nan)
    with pytest.raises(InputError, match=r"quantifier\.learning_rate"):
        fit_mlp(PrevalenceMLP(2, 2), pcc, pcc, shuffle_epochs(8, 0), patience=1)


def test_hold_out_is_a_partition():
    pcc = np.arange(20.0)[:, None]
    (train, train_true), (held, held_true) = hold_out(pcc, pcc + 100, seed=3)
    assert len(held) == 4
    assert sorted([*train[:, 0], *held[:, 0]]) == list(range(20))
    np.testing.assert_array_equal(train_true, train + 100)
    np.testing.assert_array_equal(held_true, held + 100)
    with pytest.raises(InputError, match=r"quantifier\.train_samples"):
        hold_out(pcc[:1], pcc[:1], seed=3)


def test_rates_by_hand():
    targets = sp.csr_array(np.array([[1, 0], [1, 0], [0, 0]]))
    for form in (np.asarray, sp.csr_array):
        true_rate, false_rate = rates(form(np.array([[0.9, 0.2], [0.7, 0.4], [0.5, 0.0]])), targets)
        np.testing.assert_allclose(true_rate, [0.8, np.nan])
        np.testing.assert_allclose(false_rate, [0.5, 0.2])


def test_adjusted_cuts_and_leaves_what_it_cannot_solve():
    seen = np.array([[0.05, 0.95, 0.4, 0.4, 0.4]])
    true_rate = np.array([0.9, 0.9, np.nan, 0.5, 0.2])
    false_rate = np.array([0.1, 0.1, 0.2, 0.5, 0.6])
    np.testing.assert_allclose(adjust(seen, true_rate, false_rate), [[0.0, 1.0, 0.4, 0.4, 0.4]])


def saerens(probabilities, prior, rounds=5_000):
    """EMQ as it was published, for one group and one code, but for the prior as one document more."""
    prevalence = prior
    for _ in range(rounds):
        with_code = prevalence / prior * probabilities
        without = (1 - prevalence) / (1 - prior) * (1 - probabilities)
        prevalence = ((with_code / (with_code + without)).sum() + prior) / (len(probabilities) + 1)
    return prevalence


def test_emq_is_the_fixed_point_of_the_published_iteration():
    rng = np.random.default_rng(0)
    probabilities = rng.beta(0.5, 1.0, (60, 6)).astype(np.float32)
    prior = np.array([0.01, 0.1, 0.3, 0.5, 0.7, 0.99])
    groups = membership([rng.choice(60, size, replace=False) for size in (5, 20, 60)], 60)
    result = expectation_maximisation(groups, probabilities, prior)
    for row, group in enumerate(groups):
        for code in range(6):
            expected = saerens(probabilities[group, code].astype(float), prior[code])
            assert result[row, code] == pytest.approx(expected, abs=1e-3)


def test_emq_at_its_ends():
    everyone = np.ones((1, 3), dtype=bool)
    probabilities = np.array([[0.0, 1.0, 0.3, 0.3], [0.0, 1.0, 0.6, 0.6], [0.0, 1.0, 0.6, 0.6]])
    result = expectation_maximisation(everyone, probabilities, np.array([0.2, 0.2, 0.0, 1.0]))
    np.testing.assert_allclose(result[0, :2], [0.2 / 4, 3.2 / 4], rtol=1e-3)  # the prior is one document of four
    np.testing.assert_allclose(result[0, 2:], 0.5)  # no prior to start from: PCC


def test_every_quantifier_is_exact_where_the_classifier_is():
    rng = np.random.default_rng(0)
    labels = (rng.random((40, 3)) < [0.2, 0.5, 0.8]).astype(np.float64)
    groups = uniform_groups(40, 30, rng)
    true = group_means(groups, labels)
    np.testing.assert_allclose(adjust(true, *rates(labels, sp.csr_array(labels))), true, atol=1e-12)
    sizes, prior = group_sizes(groups)[:, None], labels.mean(axis=0)
    expected = (true * sizes + prior) / (sizes + 1)
    np.testing.assert_allclose(expectation_maximisation(groups, labels, prior), expected, atol=1e-4)


def test_weights_that_are_no_numbers_are_named(tmp_path):
    model = PrevalenceMLP(2, 3)
    save_mlp(model, tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file(weights | {"hidden.bias": torch.full((3,), torch.nan)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"not finite numbers.; remove it, and `dvc repro`"):
        load_mlp(tmp_path)


@pytest.mark.parametrize("n", [6, 7, 10, 13, 49])
@pytest.mark.parametrize("prior", [1.0, 1 - 2**-53])
def test_a_code_that_every_document_had_keeps_its_pcc(n, prior):
    """Also where a prior of n of n comes out as the number below 1: EMQ would answer 1 / (n + 1)."""
    probabilities = np.full((n, 1), 0.9)
    everyone = membership([np.arange(n)], n)
    assert expectation_maximisation(everyone, probabilities, np.array([prior]))[0, 0] == pytest.approx(0.9)
