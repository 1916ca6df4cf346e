import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import expit, logit

from stages.common import io
from stages.evaluation.scored import Predictions
from stages.quantification.comparison import SMALLEST_SHOWN, best_method, compare
from stages.quantification.counting import Counting
from stages.quantification.quantifiers import PrevalenceMLP

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


def comparison(val, test, networks=None, **changed):
    return compare(learn(val, networks), val, test, **{"n_groups": 40, "seed": 888} | changed)


@pytest.fixture(scope="module")
def compared():
    return comparison(predictions(150, 6, 0), predictions(200, 6, 1))


def test_every_method_is_measured_on_every_draw(compared):
    """On test each figure lies within an interval of its own."""
    errors = {"val": {"ae", "ae_shifted"}, "test": {"ae", "rae", "ae_shifted", "rae_shifted"}}
    assert set(compared.metrics) == set(errors)
    for part, methods in compared.metrics.items():
        assert list(methods) == METHODS
        for result in methods.values():
            intervals = result.get("intervals", {})
            assert result.keys() - {"intervals"} == errors[part]
            assert all(result[error] > 0 for error in errors[part])
            assert intervals.keys() == (errors[part] if part == "test" else set())
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
    assert comparison(small, small).points.empty


def test_no_intervals_where_none_are_wanted():
    part = predictions(30, 4, 0)
    assert "intervals" not in comparison(part, part, intervals=False).metrics["test"]["pcc"]


def test_a_joint_model_adds_its_own_network():
    part = predictions(30, 4, 0)
    networks = {"mlp": PrevalenceMLP(4, 2), "clq": PrevalenceMLP(4, 3)}
    assert set(comparison(part, part, networks=networks).metrics["test"]) == {*METHODS, "clq"}


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
    compared = comparison(part, part)
    io.write_json(tmp_path / "metrics.json", compared.metrics)  # raises where a figure is not finite
