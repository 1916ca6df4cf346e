"""Quantification equals the authors' program: samples, errors, the network and its training."""

import json
import random
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from stages.quantification.comparison import mean_errors, sample_errors
from stages.quantification.quantifiers import PrevalenceMLP, fit_mlp
from stages.quantification.sampling import group_means, group_sizes, mean_of_means, membership

LAYERS = {"head_layer": "hidden", "final_layer": "output"}


@pytest.fixture(scope="module")
def folder(reference):
    return reference / "quantification"


@pytest.fixture(scope="module")
def samples(folder):
    return np.load(folder / "samples.npz", allow_pickle=False)


@pytest.fixture(scope="module")
def expected(folder):
    return json.loads((folder / "expected.json").read_text())


def groups_of(samples, part):
    """The authors' groups of one part; `train` ones are of validation documents."""
    documents = len(samples["val_true" if part == "train" else "test_true"])
    lists = [samples[f"{part}_idx"][start:end] for start, end in pairwise(samples[f"{part}_off"])]
    return membership(lists, documents)


def documents_of(samples, part, kind):
    return samples[f"{'val' if part == 'train' else 'test'}_{kind}"]


def network_of(arrays, prefix):
    """The network whose weights stand under `prefix` in the authors' names."""
    weights = {
        key.removeprefix(prefix).replace(theirs, ours): torch.from_numpy(arrays[key])
        for key in arrays
        if key.startswith(prefix)
        for theirs, ours in LAYERS.items()
        if theirs in key
    }
    hidden, codes = weights["hidden.weight"].shape
    network = PrevalenceMLP(codes, hidden)
    network.load_state_dict(weights)
    return network


def trace_names(reference_folder):
    return sorted(path.stem for path in reference_folder.glob("trace_*.npz"))


def test_the_authors_order_of_draws_gives_their_groups(samples):
    generator = random.Random(888)
    for part in ("train", "test"):
        ours = groups_of(samples, part)
        documents = ours.shape[1]
        lists = [generator.sample(range(documents), generator.randint(1, documents)) for _ in range(len(ours))]
        np.testing.assert_array_equal(membership(lists, documents), ours)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(("kind", "name"), [("true", "count"), ("pred", "cc"), ("prob", "pcc")])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_group_means(samples, part, kind, name, form):
    means = group_means(groups_of(samples, part), form(documents_of(samples, part, kind)))
    np.testing.assert_allclose(means, samples[f"{name}_{part}"], rtol=1e-9)


def test_errors_of_single_samples(samples):
    absolute, relative = sample_errors(
        samples["count_test"], samples["pcc_test"], group_sizes(groups_of(samples, "test"))
    )
    np.testing.assert_allclose(absolute, samples["ae_per_sample_test_pcc"], rtol=1e-9)
    np.testing.assert_allclose(relative, samples["rae_per_sample_test_pcc"], rtol=1e-9)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("method", ["cc", "pcc"])
def test_mean_errors(samples, expected, part, method):
    errors = mean_errors(samples[f"count_{part}"], samples[f"{method}_{part}"], group_sizes(groups_of(samples, part)))
    assert errors["ae"] == pytest.approx(expected[f"{part}_{method}"]["AE"], rel=1e-9)
    assert errors["rae"] == pytest.approx(expected[f"{part}_{method}"]["RAE"], rel=1e-9)


def test_lazy(samples, expected):
    lazy = mean_of_means(groups_of(samples, "train"), samples["val_prob"])
    np.testing.assert_allclose(lazy, samples["pcc_train"].mean(axis=0), rtol=1e-9)
    true = samples["count_test"]
    errors = mean_errors(true, np.broadcast_to(lazy, true.shape), group_sizes(groups_of(samples, "test")))
    assert errors["ae"] == pytest.approx(expected["test_lazy"]["AE"], rel=1e-9)
    assert errors["rae"] == pytest.approx(expected["test_lazy"]["RAE"], rel=1e-9)


def test_network(folder):
    arrays = np.load(folder / "mlp_forward.npz", allow_pickle=False)
    names = sorted({key.split("/")[0] for key in arrays})
    assert names
    for name in names:
        estimated = network_of(arrays, f"{name}/").estimate(arrays[f"{name}/x"])
        np.testing.assert_allclose(estimated, arrays[f"{name}/y"], atol=1e-5)


def test_training(folder, samples, expected):
    traces = trace_names(folder)
    assert traces
    for name in traces:
        trace, summary = np.load(folder / f"{name}.npz", allow_pickle=False), expected[name]
        network = network_of(trace, "init.")
        history = fit_mlp(
            network,
            samples["pcc_train"],
            samples["count_train"],
            iter(trace["batch_order"]),
            learning_rate=summary["lr"],
            delta=summary["huber_delta"],
            batch_size=summary["batch"],
            epochs=summary["epochs_max"],
            patience=summary["patience"],
        )
        assert len(history) == summary["epochs_run"]
        losses = [epoch["train_loss"] for epoch in history]
        np.testing.assert_allclose(losses, trace["epoch_mean_loss"], rtol=1e-4)
        assert int(np.argmin(losses)) == summary["best_epoch_index0"]
        for key, weight in network_of(trace, "saved_checkpoint.").state_dict().items():
            scale = weight.abs().max().item()
            np.testing.assert_allclose(network.state_dict()[key], weight, rtol=0, atol=1e-4 * scale)

        estimated = network.estimate(samples["pcc_test"])
        np.testing.assert_allclose(estimated, trace["test_out_best"], rtol=1e-4, atol=1e-5)
        errors = mean_errors(samples["count_test"], estimated, group_sizes(groups_of(samples, "test")))
        assert errors["ae"] == pytest.approx(summary["AE_selected"], rel=1e-4)
        assert errors["rae"] == pytest.approx(summary["RAE_selected"], rel=1e-4)
