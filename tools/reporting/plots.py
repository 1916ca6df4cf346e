"""The report's plots as SVG: their rows are collected here, and drawn as plots.yaml says in Vega-Lite."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from stages.common import outside
from tools.reporting.experiments import Experiment, Setting
from tools.reporting.metrics import SPECIFICATION

SPECIFIED = Path(__file__).with_name("plots.yaml")
PLOTS = outside.parse_yaml(outside.read_text(SPECIFIED), SPECIFIED)
ATTRIBUTIONS = SPECIFICATION["tables"]["explanation"]["variants"]
QUANTIFIERS = SPECIFICATION["tables"]["quantification"]["variants"]
F1 = "classification.test.f1_micro"

Rows = Iterator[dict[str, Any]]


def draw(plot: Callable[..., Rows], given: Any, of: str = "") -> str | None:
    """A plot of the rows that one of the functions here gives, as SVG; None without rows. Equal rows, equal bytes."""
    if not (values := list(plot(given))):
        return None
    spec = PLOTS["common"] | PLOTS[plot.__name__] | {"data": {"values": values}}
    return vl_convert.vegalite_to_svg(spec | {"title": f"{spec['title']}: {of}"} if of else spec)


def _with_interval(run: Experiment, key: str, name: str) -> dict[str, float]:
    """A figure in percent, with the ends of its interval if it has one."""
    prefix, _, metric = key.rpartition(".")
    interval = run.metrics.get(f"{prefix}.intervals.{metric}")
    ends = {"low": 100 * interval[0], "high": 100 * interval[1]} if interval else {}
    return {name: 100 * run.metrics[key]} | ends


def intervals(settings: Sequence[Setting]) -> Rows:
    """Micro-F1 of every run, those of a setting side by side around its line."""
    for setting in settings:
        runs = [run for run in setting.experiments if F1 in run.metrics]
        for number, run in enumerate(runs):
            offset = (2 * number - len(runs) + 1) / len(runs)
            yield {"setting": setting.label, "type": setting.type, "offset": offset} | _with_interval(run, F1, "f1")


def training(settings: Sequence[Setting]) -> Rows:
    """Validation micro-F1 by epoch."""
    for setting in settings:
        for number, run in enumerate(setting.experiments):
            curve = run.plots.get("training", pd.DataFrame())
            for epoch, f1 in zip(curve["epoch"], curve["val_f1_micro"], strict=True) if "val_f1_micro" in curve else ():
                yield {"setting": setting.label, "run": number, "epoch": epoch, "f1": 100 * f1}


def synonyms(settings: Sequence[Setting]) -> Rows:
    """Micro-F1 by number of synonyms, for models that were run with several."""
    lines: dict[str, list[Setting]] = {}
    for setting in settings:
        if setting.M and setting.values(F1).size:
            other = f" ({setting.other})" if setting.other else ""
            lines.setdefault(f"{setting.type} {setting.criterion}{other}", []).append(setting)
    for line, points in lines.items():
        for setting in points if len(points) > 1 else ():
            for f1 in setting.values(F1):
                yield {"line": line, "criterion": setting.criterion, "M": setting.M, "f1": 100 * f1}


def reliability(settings: Sequence[Setting]) -> Rows:
    """Observed rate against mean probability, of each setting's first run, for trained and for open codes."""
    for setting in settings:
        tables = setting.experiments[0].plots
        open_codes = tables.get("reliability_open")
        shown = {setting.label: tables.get("reliability")}
        if open_codes is not None:
            shown[f"{setting.label}, open codes"] = open_codes[open_codes["kind"] == "open"]
        for label, table in shown.items():
            for x, y in (
                zip(table["mean_probability"], table["observed_rate"], strict=True) if table is not None else ()
            ):
                yield {"setting": label, "predicted": x, "observed": y}


def prevalence(points: pd.DataFrame | None) -> Rows:
    """True and estimated prevalences by quantifier; `points`: method, true, estimated."""
    if points is None:
        return
    for method, title in QUANTIFIERS.items():
        yield from points[points["method"] == method].assign(method=title).to_dict("records")


def explanation(settings: Sequence[Setting]) -> Rows:
    """Each attribution's token F1 or, without annotated words, comprehensiveness, of each setting's first run."""
    runs = {setting.label: setting.experiments[0] for setting in settings}
    prefix, metric = "explanation.test.plausibility", "f1"
    if not any(f"{prefix}.random.{metric}" in run.metrics for run in runs.values()):
        prefix, metric = "explanation.test.faithfulness", "comprehensiveness"
    for method, title in ATTRIBUTIONS.items():
        for label, run in runs.items():
            if (key := f"{prefix}.{method}.{metric}") in run.metrics:
                yield {"attribution": title, "setting": label} | _with_interval(run, key, "value")
