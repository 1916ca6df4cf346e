"""The report's plots, one idea each, with titles, units and a colour-blind safe palette.

A plot without data is None. Figures are made without pyplot, so no global state changes.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import wraps
from io import StringIO
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from tools.reporting.experiments import Experiment, Setting
from tools.reporting.metrics import ATTRIBUTIONS
from tools.reporting.metrics import QUANTIFIERS as METHODS

# Okabe and Ito's palette, with a grey.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
BLACK, GREY = "#000000", "#8A8A8A"
TYPE_COLOURS = {"CE": BLUE, "CE_MSAM": VERMILLION, "LE": GREEN, "LE_MSAM": PURPLE}
METHOD_COLOURS = {
    "lazy": GREY,
    "cc": BLUE,
    "pcc": SKY,
    "acc": GREEN,
    "pacc": ORANGE,
    "emq": PURPLE,
    "mlp": VERMILLION,
    "clq": BLACK,
}
STYLE = {
    "svg.hashsalt": "report",  # makes equal plots equal bytes
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.constrained_layout.use": True,
}


def svg(figure: Figure) -> str:
    """A figure as deterministic SVG text for embedding in a page."""
    text = StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    whole = text.getvalue()
    return whole[whole.index("<svg") :]


def styled(draw: Callable[..., Figure | None]) -> Callable[..., Figure | None]:
    """Draw in the report's style, independent of the user's."""

    @wraps(draw)
    def drawn(*arguments, **named) -> Figure | None:
        with mpl.rc_context({**mpl.rcParamsDefault, "backend": "agg", **STYLE}):
            return draw(*arguments, **named)

    return drawn


@styled
def f1_intervals(settings: Sequence[Setting]) -> Figure | None:
    """Micro-F1 of every setting, one dot per run, with its 95 % interval."""
    drawn = [setting for setting in settings if setting.values("classification.test.f1_micro").size]
    if not drawn:
        return None
    figure = Figure(figsize=(7, 0.9 + 0.36 * len(drawn)))
    axes = figure.subplots()
    for row, setting in enumerate(drawn):
        runs = setting.experiments
        for run, offset in zip(runs, _spread(len(runs), 0.2), strict=True):
            _dot(axes, run, "classification.test.f1_micro", row + offset, looks_of(setting))
    _rows_axis(axes, [setting.label for setting in drawn])
    axes.set_xlabel("micro-F1 on test, %, with its 95 % interval")
    axes.set_title("How well each model codes")
    return figure


@styled
def explanations(settings: Sequence[Setting]) -> Figure | None:
    """Each attribution's token F1, or comprehensiveness without annotated words, with 95 % intervals."""
    prefix, metric, words = "explanation.test.plausibility", "f1", "token F1"
    if not any(setting.values(f"{prefix}.random.{metric}").size for setting in settings):
        prefix, metric, words = "explanation.test.faithfulness", "comprehensiveness", "comprehensiveness"
    drawn = [setting for setting in settings if setting.values(f"{prefix}.random.{metric}").size]
    if not drawn:
        return None
    methods = [name for name in ATTRIBUTIONS if any(s.values(f"{prefix}.{name}.{metric}").size for s in drawn)]
    figure = Figure(figsize=(7, 1.1 + 0.42 * len(methods)))
    axes = figure.subplots()
    for row, method in enumerate(methods):
        for setting, offset in zip(drawn, _spread(len(drawn), 0.25), strict=True):
            looks = looks_of(setting) | {"label": setting.label if method == methods[-1] else None}
            _dot(axes, setting.experiments[0], f"{prefix}.{method}.{metric}", row + offset, looks)
    _rows_axis(axes, [ATTRIBUTIONS[method] for method in methods])
    axes.set_xlabel(f"{words} on test, %, with its 95 % bootstrap interval")
    axes.set_title("How well attributions find the evidence")
    if len(drawn) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _dot(axes: Axes, run: Experiment, key: str, row: float, looks: dict[str, Any]) -> None:
    """Draw a run's figure in percent, with its interval as a line, if it has one."""
    if (value := run.metrics.get(key)) is None:
        return
    prefix, _, metric = key.rpartition(".")
    if interval := run.metrics.get(f"{prefix}.intervals.{metric}"):
        axes.plot(100 * np.array(interval), [row, row], color=looks["color"], linewidth=2, alpha=0.55)
    axes.plot(100 * value, row, markersize=6, **looks | {"linestyle": ""})


def _spread(n: int, reach: float) -> np.ndarray:
    return np.linspace(-reach, reach, n) if n > 1 else np.zeros(n)


def _rows_axis(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)


@styled
def f1_against_M(settings: Sequence[Setting]) -> Figure | None:
    """Micro-F1 against the number of synonyms, a line per model and criterion."""
    lines: dict[tuple, list[Setting]] = {}
    for setting in settings:
        if setting.M and setting.values("classification.test.f1_micro").size:
            lines.setdefault((setting.type, setting.criterion, setting.other), []).append(setting)
    lines = {key: line for key, line in lines.items() if len(line) > 1}
    if not lines:
        return None
    figure = Figure(figsize=(5.2, 3.6))
    axes = figure.subplots()
    for (type_, criterion, other), line in lines.items():
        values = [100 * setting.values("classification.test.f1_micro") for setting in line]
        looks: dict[str, Any] = {"color": colour_of(line[0]), "linestyle": "-" if criterion == "MDP" else ":"}
        label = f"{type_} {criterion}" + (f" ({other})" if other else "")
        axes.plot([setting.M or 0 for setting in line], [runs.mean() for runs in values], "o", label=label, **looks)
        for setting, runs in zip(line, values, strict=True):
            axes.plot([setting.M or 0] * runs.size, runs, ".", color=colour_of(setting), alpha=0.4)
    _doubling_axis(axes, sorted({setting.M or 0 for line in lines.values() for setting in line}))
    axes.set_xlabel("synonyms per code, M")
    axes.set_ylabel("micro-F1 on test, %")
    axes.set_title("What more synonyms bring")
    axes.legend()
    return figure


@styled
def training_curves(settings: Sequence[Setting], metric: str = "val_f1_micro") -> Figure | None:
    """Validation micro-F1 by epoch, one line per run."""
    runs = [
        (setting, run.plots["training"])
        for setting in settings
        for run in setting.experiments
        if metric in run.plots.get("training", ())
    ]
    if not runs:
        return None
    figure = Figure(figsize=(6, 3.8))
    axes = figure.subplots()
    named = set()
    for setting, curve in runs:
        label = None if setting.label in named else setting.label
        named.add(setting.label)
        axes.plot(curve["epoch"], 100 * curve[metric], label=label, **looks_of(setting))
    axes.set_ylim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel("micro-F1 on validation, %")
    axes.set_title("How training went")
    axes.legend(loc="lower right")
    return figure


@styled
def reliability(settings: Sequence[Setting]) -> Figure | None:
    """Observed rate against mean probability on test, a line per setting (its first run)."""
    drawn = [setting for setting in settings if "reliability" in setting.experiments[0].plots]
    if not drawn:
        return None
    figure = Figure(figsize=(4.8, 4.8))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.annotate("perfect", (0.93, 0.93), color=GREY, rotation=45, ha="right", va="bottom", rotation_mode="anchor")
    for setting in drawn:
        tables = setting.experiments[0].plots
        table, scored = tables["reliability"], tables.get("reliability_open")
        axes.plot(table["mean_probability"], table["observed_rate"], label=setting.label, **looks_of(setting))
        if scored is not None and not (of_open := scored[scored["kind"] == "open"]).empty:
            looks = looks_of(setting) | {"linestyle": ":", "marker": "x", "label": f"{setting.label}, open codes"}
            axes.plot(of_open["mean_probability"], of_open["observed_rate"], **looks)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("mean predicted probability of a bin")
    axes.set_ylabel("share of its codes that are true")
    axes.set_title("Can probabilities be taken at their word?")
    axes.legend(loc="upper left")
    return figure


@styled
def true_and_estimated(points: pd.DataFrame | None, label: str) -> Figure | None:
    """Estimated against true prevalence of groups and codes, by quantifier; `points`: method, true, estimated."""
    if points is None or points.empty:
        return None
    methods = [method for method in METHODS if method in set(points["method"])]
    columns = min(4, len(methods))
    rows = -(-len(methods) // columns)
    figure = Figure(figsize=(2.4 * columns, 2.5 * rows + 0.6))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    most = min(1.0, 1.05 * float(points[["true", "estimated"]].to_numpy().max()))
    for panel, method in zip(panels.flat, methods, strict=False):
        part = points[points["method"] == method]
        panel.plot([0, most], [0, most], color=GREY, linewidth=1, linestyle="--")
        panel.plot(part["true"], part["estimated"], "o", color=METHOD_COLOURS[method], markersize=2.5, alpha=0.45)
        panel.set(xlim=(0, most), ylim=(0, most), aspect="equal")
        panel.set_title(METHODS[method], fontsize=10, fontweight="normal")
    for panel in panels.flat[len(methods) :]:
        panel.set_visible(False)
    figure.supxlabel("true prevalence in the group", fontsize=10)
    figure.supylabel("estimated prevalence", fontsize=10)
    figure.suptitle(f"True and estimated prevalence: {label}", x=0.01, ha="left", fontsize=11, fontweight="bold")
    return figure


def colour_of(setting: Setting) -> str:
    """The colour of a setting's type; joint models share their classifier's."""
    return TYPE_COLOURS.get(replace(setting.model, joint=False).name, BLACK)


def looks_of(setting: Setting) -> dict[str, Any]:
    """Colour, marker and line style of a setting; joint models have diamonds and dashed lines."""
    joint = setting.model.joint
    return {"color": colour_of(setting), "marker": "D" if joint else "o", "linestyle": "--" if joint else "-"}


def _doubling_axis(axes: Axes, ticks: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.xaxis.set_minor_formatter(NullFormatter())
