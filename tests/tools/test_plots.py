"""Each plot: nothing without data, the same bytes each time, and its data as text where a reader looks for it."""

import pandas as pd
import pytest

from tools.reporting import plots
from tools.reporting.experiments import Experiment, settings_of
from tools.reporting.plots import draw


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
    "intervals": (SETTINGS, "CE_MSAM MDP 4"),
    "explanation": (SETTINGS, "token F1"),
    "synonyms": (SETTINGS, "synonyms per code"),
    "training": (SETTINGS, "micro-F1 on validation"),
    "reliability": (SETTINGS, "perfect"),
    "prevalence": (POINTS, "true in a group"),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_says_what_it_shows_and_is_the_same_each_time(name: str):
    given, words = DRAWN[name]
    text = draw(getattr(plots, name), given)
    assert words in text
    assert text == draw(getattr(plots, name), given)
    assert draw(getattr(plots, name), None if name == "prevalence" else []) is None


def test_a_plot_has_its_rows():
    """By hand: two runs of CE_MSAM at M = 4 and 8 make a line, CE none; ends of intervals are in percent."""
    assert [row["M"] for row in plots.synonyms(SETTINGS)] == [4, 8]
    first = next(plots.intervals(SETTINGS))
    assert (first["setting"], first["f1"], first["low"]) == ("CE", 50, 40)
    assert [row["observed"] for row in plots.reliability(SETTINGS)] == [0.2, 0.8]
