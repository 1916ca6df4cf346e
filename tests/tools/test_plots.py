"""Each plot: nothing without data, the same bytes each time, and its data as text where a reader looks for it."""

import pandas as pd
import pytest

from tools.reporting import plots
from tools.reporting.experiments import Experiment, settings_of


def run(type_: str, f1: float, M: int = 4, **tables: pd.DataFrame) -> Experiment:
    params = {"model.type": type_, "synonyms.M": M, "synonyms.criterion": "MDP"}
    metrics = {
        "classification.test.f1_micro": f1,
        "classification.test.intervals.f1_micro": [f1 - 0.1, f1 + 0.1],
        "explanation.test.plausibility.random.f1": 0.02,
        "explanation.test.plausibility.attention.f1": 0.5,
    }
    return Experiment(f"{type_} {M}", params, metrics, tables)


TRAINING = pd.DataFrame({"epoch": [1, 2], "val_f1_micro": [0.5, 0.6]})
RELIABILITY = pd.DataFrame({"mean_probability": [0.1, 0.9], "observed_rate": [0.2, 0.8]})
POINTS = pd.DataFrame({"method": ["pcc", "mlp"], "true": [0.1, 0.3], "estimated": [0.2, 0.3]})
SETTINGS = settings_of(
    [run("CE", 0.5, training=TRAINING, reliability=RELIABILITY), run("CE_MSAM", 0.6), run("CE_MSAM", 0.7, M=8)]
)
DRAWN = {
    "f1_intervals": (lambda: plots.f1_intervals(SETTINGS), "CE_MSAM MDP 4"),
    "explanations": (lambda: plots.explanations(SETTINGS), "token F1"),
    "f1_against_M": (lambda: plots.f1_against_M(SETTINGS), "synonyms per code"),
    "training_curves": (lambda: plots.training_curves(SETTINGS), "micro-F1 on validation"),
    "reliability": (lambda: plots.reliability(SETTINGS), "perfect"),
    "true_and_estimated": (lambda: plots.true_and_estimated(POINTS, "CE"), "true prevalence in the group"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_says_what_it_shows_and_is_the_same_each_time(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(plots.STYLE, "svg.fonttype", "none")  # text as text
    draw, words = DRAWN[name]
    text = plots.svg(draw())
    assert words in text
    assert text == plots.svg(draw())


@pytest.mark.parametrize("draw", [plots.f1_intervals, plots.explanations, plots.f1_against_M, plots.training_curves])
def test_nothing_is_drawn_without_data(draw):
    assert draw([]) is None


def test_no_group_is_drawn_without_a_table():
    assert plots.true_and_estimated(None, "") is None
