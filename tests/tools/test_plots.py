import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from tools.reporting import plots
from tools.reporting.experiments import Experiment, settings_of

METHODS = ["lazy", "cc", "pcc", "mlp", "clq", "acc", "pacc", "emq"]


def run(type_="CE", f1=0.6, M=4, criterion="MDP", seed=1, tables=None):
    params = {"model.type": type_, "synonyms.M": M, "synonyms.criterion": criterion, "train.seed": seed}
    metrics = {"classification.test.f1_micro": f1, "classification.test.intervals.f1_micro": [f1 - 0.02, f1 + 0.02]}
    return Experiment(f"{type_}-{seed}", params, metrics, tables or {})


def drawn_lines(figure):
    return [line for axes in figure.axes for line in axes.lines]


def assert_readable(figure):
    """Titled, with both axes named."""
    shared = figure.get_suptitle() and figure.get_supxlabel() and figure.get_supylabel()
    for axes in figure.axes:
        assert shared or (axes.get_title(loc="left") and axes.get_xlabel())


def test_f1_intervals_are_in_percent_and_one_dot_a_run():
    figure = plots.f1_intervals(settings_of([run(), run(f1=0.7, seed=2), run("LE", 0.5)]))
    assert_readable(figure)
    dots = sorted(float(line.get_xdata()[0]) for line in drawn_lines(figure) if len(line.get_xdata()) == 1)
    assert dots == pytest.approx([50, 60, 70])
    bars = [line.get_xdata() for line in drawn_lines(figure) if len(line.get_xdata()) == 2]
    assert any(bar == pytest.approx([58, 62]) for bar in bars)


def test_evidence_has_a_row_for_each_attribution_and_a_dot_for_each_model():
    def explained(type_, part, metric):
        experiment = run(type_, 0.5)
        for method, value in (("attention", 0.6), ("random", 0.02)):
            experiment.metrics[f"evidence.test.{part}.{method}.{metric}"] = value
            experiment.metrics[f"evidence.test.{part}.{method}.intervals.{metric}"] = [value - 0.01, value + 0.01]
        return experiment

    for part, metric, said in (
        ("plausibility", "f1", "token F1"),
        ("faithfulness", "comprehensiveness", "comprehensiveness"),
    ):
        figure = plots.evidence(settings_of([explained("CE_MSAM", part, metric), explained("LE_MSAM", part, metric)]))
        assert_readable(figure)
        [axes] = figure.axes
        assert [label.get_text() for label in axes.get_yticklabels()] == ["attention", "random"]
        assert axes.get_xlabel().startswith(said)
        dots = sorted(float(line.get_xdata()[0]) for line in drawn_lines(figure) if len(line.get_xdata()) == 1)
        assert dots == pytest.approx([2, 2, 60, 60])
    assert plots.evidence(settings_of([run("CE", 0.4)])) is None


def test_f1_against_M_draws_what_was_run_at_several_M():
    runs = [run("CE_MSAM", 0.5, M=1), run("CE_MSAM", 0.6, M=2), run("LE_MSAM", 0.7, M=2), run("CE", 0.4)]
    figure = plots.f1_against_M(settings_of(runs))
    assert_readable(figure)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["CE_MSAM MDP"]
    assert plots.f1_against_M(settings_of(runs[2:])) is None


def test_diversity_starts_at_zero_and_leaves_M_1_out():
    table = pd.DataFrame({"M": [1, 2, 4] * 2, "method": ["MDP"] * 3 + ["rand"] * 3, "diversity": [0, 0.6, 0.5] * 2})
    figure = plots.diversity_against_M(table)
    assert_readable(figure)
    assert figure.axes[0].get_ylim()[0] == 0
    assert [line.get_xdata().tolist() for line in drawn_lines(figure) if len(line.get_xdata())] == [[2, 4], [2, 4]]


def test_training_curves():
    curve = pd.DataFrame({"epoch": [1, 2, 3], "val_f1_micro": [0.1, 0.4, 0.5]})
    figure = plots.training_curves(settings_of([run(tables={"training": curve}), run("LE")]))
    assert_readable(figure)
    assert figure.axes[0].get_ylim() == (0, 100)
    [line] = drawn_lines(figure)
    assert line.get_ydata().tolist() == [10, 40, 50]


def test_reliability_is_square_from_0_to_1():
    table = pd.DataFrame({"mean_probability": [0.1, 0.9], "observed_rate": [0.2, 0.8]})
    figure = plots.reliability(settings_of([run(tables={"reliability": table})]))
    assert_readable(figure)
    axes = figure.axes[0]
    assert axes.get_xlim() == axes.get_ylim() == (0, 1)
    assert axes.get_aspect() == 1


def test_f1_against_frequency_leaves_out_codes_that_cannot_be_scored():
    table = pd.DataFrame(
        {
            "training_documents": [0, 5, 50, 500],
            "documents": [3, 0, 4, 9],
            "f1": [0.1, 0.2, 0.3, 0.4],
            "kind": ["diagnosis"] * 4,
        }
    )
    figure = plots.f1_against_frequency(table, "CE")
    assert_readable(figure)
    assert figure.axes[0].get_xscale() == "log"
    [line] = drawn_lines(figure)
    assert line.get_ydata().tolist() == pytest.approx([30, 40])


def test_true_and_estimated_has_a_panel_a_method_on_one_scale():
    points = pd.DataFrame(
        {"method": METHODS * 5, "true": np.linspace(0, 0.4, 40), "estimated": np.linspace(0.1, 0.3, 40)}
    )
    figure = plots.true_and_estimated(points, "CE_CLQ")
    assert_readable(figure)
    assert {axes.get_title() or axes.get_title(loc="left") for axes in figure.axes} >= {"PCC", "CLQ's MLP"}
    assert {axes.get_xlim() for axes in figure.axes} == {axes.get_ylim() for axes in figure.axes}
    assert figure.axes[0].get_xlim() == pytest.approx((0, 0.42))


def test_errors_by_size_and_by_frequency():
    sizes = pd.DataFrame({"method": ["pcc", "pcc", "mlp"], "documents": [1.0, 100.0, 10.0], "ae": [0.1, 0.01, 0.05]})
    figure = plots.error_against_size(sizes, "CE")
    assert_readable(figure)
    assert figure.axes[0].get_xscale() == figure.axes[0].get_yscale() == "log"
    bands = pd.DataFrame({"method": ["pcc"] * 2, "band": ["1-10", "501+"], "codes": [7, 3], "rae": [2.0, 0.1]})
    figure = plots.error_by_frequency(bands, "CE")
    assert_readable(figure)
    assert figure.axes[0].get_ylim()[0] == 0
    assert figure.axes[0].get_xticklabels()[0].get_text() == "1-10\n7 codes"


def test_nothing_to_draw_is_none():
    empty = pd.DataFrame(columns=["method", "true", "estimated", "documents", "ae", "band", "codes", "rae"])
    unmeasured = settings_of([Experiment("x", {"model.type": "CE"}, {})])
    assert plots.f1_intervals(unmeasured) is None
    assert plots.training_curves(unmeasured) is None
    assert plots.reliability(unmeasured) is None
    for draw in (
        plots.true_and_estimated,
        plots.error_against_size,
        plots.error_by_frequency,
        plots.f1_against_frequency,
    ):
        assert draw(None, "") is None
        assert draw(empty, "") is None
    assert plots.diversity_against_M(None) is None


def test_equal_plots_are_equal_bytes_whatever_the_users_style():
    settings = settings_of([run(), run("LE", 0.5)])
    first = plots.svg(plots.f1_intervals(settings))
    with mpl.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        assert plots.svg(plots.f1_intervals(settings)) == first
    assert first.startswith("<svg") and "<dc:date>" not in first


def test_colours_are_told_apart():
    used = [*plots.TYPE_COLOURS.values()]
    assert len(set(used)) == len(used)
    methods = [colour for colour, _ in plots.METHOD_LOOKS.values()]
    assert len(set(methods)) == len(methods) == len(METHODS)
    okabe_ito = {"#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#000000", plots.GREY}
    assert {*used, *methods} <= okabe_ito
