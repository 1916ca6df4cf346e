"""Classification and calibration metrics against the authors' program, on whatever cases the folder holds."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from stages.evaluation import calibration, classification
from stages.quantification.comparison import absolute_errors

EXACT = {"rel": 1e-9, "abs": 1e-9}
FLOAT32 = {"rel": 0, "abs": 1e-6}  # computed in float32 by the authors' program
FIRST = 50  # the authors' calibration error covers this many columns

NAMES = {
    f"{short}_{average}": f"{name}_{average}"
    for short, name in (("acc", "accuracy"), ("prec", "precision"), ("rec", "recall"), ("auc", "auc"))
    for average in ("macro", "micro")
} | {"f1_macro": "f1_macro_mullenbach", "f1_micro": "f1_micro"}


@pytest.fixture(scope="module")
def folder(reference: Path) -> Path:
    return reference / "metrics"


@pytest.fixture(scope="module")
def cases(folder: Path) -> dict:
    """name -> targets, logits, probabilities, expected"""
    loaded = {}
    for name, expected in json.loads((folder / "expected.json").read_text()).items():
        with np.load(folder / f"{name}.npz") as arrays:
            targets, logits = arrays["labels"], arrays["logits"]
        loaded[name] = targets, logits, expit(logits), expected
    return loaded


def ours(name: str) -> str:
    """The project's name of one of the authors' `all_metrics`."""
    for short, full in (("prec", "precision"), ("rec", "recall"), ("f1", "f1")):
        if name.startswith(f"{short}_at_"):
            return name.replace(short, full, 1)
    return NAMES[name]


def bounds_at(targets: np.ndarray, probabilities: np.ndarray, k: int, name: str) -> tuple[float, float]:
    """The least and the most that a metric at k can be, whichever of equal scores are counted."""
    result = []
    for tie_break in (1 - targets.astype(int), targets):
        order = np.lexsort((tie_break, probabilities), axis=1)[:, : -k - 1 : -1]
        hits = np.take_along_axis(targets, order, axis=1).sum(axis=1)
        true = targets.sum(axis=1)
        precision, recall = (hits / k).mean(), (hits[true > 0] / true[true > 0]).sum() / len(true)
        metrics = {"prec": precision, "rec": recall, "f1": float(classification.harmonic_mean(precision, recall))}
        result.append(metrics[name.partition("_")[0]])
    return result[0], result[1]


def test_cases_are_there(cases):
    assert len(cases) >= 1


def test_all_metrics(cases):
    compared = 0
    for case, (targets, _, probabilities, expected) in cases.items():
        if "raises" in expected["all_metrics"]:  # their AUC of a single row
            continue
        ks = [int(k) for k in expected["score_ties_at_k"]]
        measured = classification.decision_metrics(targets, probabilities > 0.5)
        measured |= classification.ranking_metrics(targets, probabilities, ks)
        for name, value in expected["all_metrics"].items():
            where = f"{case}: {name}"
            k = name.rpartition("_at_")[2]
            if value == "nan":
                assert measured[ours(name)] == 0, where
            elif expected["score_ties_at_k"].get(k):  # which of the tied codes are counted is implementation defined
                least, most = bounds_at(targets, probabilities, int(k), name)
                assert least - 1e-9 <= value <= most + 1e-9, where
                assert least - 1e-9 <= measured[ours(name)] <= most + 1e-9, where
            else:
                assert measured[ours(name)] == pytest.approx(value, **EXACT), where
            compared += 1
    assert compared > 0


def test_training_time_metrics(cases):
    for case, (targets, logits, probabilities, expected) in cases.items():
        theirs = expected["compute_metrics"]
        measured = classification.decision_metrics(targets, probabilities > 0.5)
        assert measured["f1_macro"] == pytest.approx(theirs["f1_macro"], **EXACT), case
        assert measured["f1_micro"] == pytest.approx(theirs["f1_micro"], **EXACT), case
        assert calibration.log_loss(targets, logits) == pytest.approx(theirs["classification"], **FLOAT32), case


def test_micro_average_over_the_most_frequent_codes(cases):
    """Their training-time precision and recall "at k" are micro averages over the k most frequent codes."""
    for case, (targets, _, probabilities, expected) in cases.items():
        for k, columns in expected["top_k_label_columns_used_by_compute_metrics"].items():
            counts = classification.counts_by_code(targets, probabilities > 0.5).select(np.array(columns)).pool()
            for name, metric in (("precision", classification.precision), ("recall", classification.recall)):
                value = expected["compute_metrics"][f"{name}_at_{k}"]
                assert float(metric(counts)) == pytest.approx(0 if value == "nan" else value, **EXACT), f"{case}: {k}"


def test_calibration_error(cases):
    for case, (targets, _, probabilities, expected) in cases.items():
        errors = calibration.calibration_errors(calibration.Bins.count(targets, probabilities, bins=20))
        assert errors[:FIRST] == pytest.approx(np.array(expected["ece_per_label_first50"]), **FLOAT32), case
        mece = calibration.mece(targets[:, :FIRST], probabilities[:, :FIRST])
        assert mece == pytest.approx(expected["compute_metrics"]["mece"], **FLOAT32), case


def test_calibration_error_covers_all_codes(cases):
    """Unlike theirs, ours does not stop at column 50."""
    for case, (targets, _, probabilities, _) in cases.items():
        if targets.shape[1] > FIRST:
            errors = calibration.calibration_errors(calibration.Bins.count(targets, probabilities, bins=20))
            assert calibration.mece(targets, probabilities) == pytest.approx(errors.mean(), **EXACT), case
            assert not math.isclose(errors.mean(), errors[:FIRST].mean()), case


def test_metrics_of_joint_training(cases, folder):
    """With a quantifier's outputs beside the logits, the metrics of the logits stay, and its errors are added."""
    for name, case in json.loads((folder / "expected_clq.json").read_text()).items():
        targets, _, probabilities, alone = cases[name]
        theirs = case["compute_metrics"]
        with np.load(folder / f"{name}.clq.npz") as arrays:
            errors = absolute_errors(arrays["quant_prevalences"], arrays["quant_outputs"])
        assert errors.mean() == pytest.approx(theirs["mae_avg"], **EXACT), name
        assert np.square(errors).mean() == pytest.approx(theirs["mse_avg"], **EXACT), name
        measured = classification.decision_metrics(targets, probabilities > 0.5)
        assert measured["f1_macro"] == pytest.approx(theirs["f1_macro"], **EXACT), name
        mece = calibration.mece(targets[:, :FIRST], probabilities[:, :FIRST])
        assert mece == pytest.approx(theirs["mece"], **FLOAT32), name
        assert alone["compute_metrics"]["mece"] == theirs["mece"], name
