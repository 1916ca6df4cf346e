"""The paper's tables: experiments by metrics, with the best values marked and published results below.

Their titles, captions and figures are in tables.yaml.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from tools.reporting.experiments import Experiment, Setting, main_settings
from tools.reporting.literature import blocks_beside
from tools.reporting.metrics import METRICS, SPECIFICATION

BASELINES, TABLES = SPECIFICATION["baselines"], SPECIFICATION["tables"]
SIGNIFICANT = 0.05
NOT_READ = (
    " The paper's own tables (EACL 2024, pages 2302-2315, Anthology 2024.eacl-long.137) are not among them: copy them "
    "into a literature/*.yaml of your own, and they appear here."
)
TWO_RUNS = (
    "Where both settings have runs of several equal seeds, patients and seeds are resampled. Else a difference is "
    "between two runs, and patients alone are: another seed may turn it round."
)
SYNTHETIC = " The records are synthetic: the figures compare only with each other."
LABELS = ("model", "synonyms", "M", "other settings", "source")


class Cell(NamedTuple):
    """A figure: its mean and standard deviation over seeds, or a single run's with its 95 % interval."""

    value: float
    deviation: float | None = None
    worse: bool = False  # than the best in its column, by a test
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A row: its labels, its cells by metric, and whether it competes for the best value."""

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    competes: bool = True


@dataclass(frozen=True)
class Table:
    """A table of figures, or of words if `metrics` is empty."""

    name: str
    title: str
    caption: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]

    def is_best(self, row: Row, metric: str) -> bool:
        """Whether a figure, as displayed, is the best of two or more that compete."""
        shown = METRICS[metric].format
        competing = (other.cells[metric] for other in self.rows if other.competes and metric in other.cells)
        figures = [float(shown(cell.value)) for cell in competing]
        best = max if METRICS[metric].better == "higher" else min
        return row.competes and len(figures) > 1 and float(shown(row.cells[metric].value)) == best(figures)

    def titles(self) -> list[str]:
        return [f"{METRICS[name].title} {'↑' if METRICS[name].better == 'higher' else '↓'}" for name in self.metrics]

    def labels_once(self) -> list[tuple[str, ...]]:
        """The labels of each row, without repeating a first label that most rows share with the previous one."""
        labels = [row.labels for row in self.rows]
        if len(labels) < 2 * len({first for first, *_ in labels}):
            return labels
        again = [False, *(earlier[0] == later[0] for earlier, later in itertools.pairwise(labels))]
        return [("" if repeats else first, *rest) for repeats, (first, *rest) in zip(again, labels, strict=True)]

    def legend(self, small: bool = False) -> str:
        """A sentence that explains the marks. `small`: intervals are shown in small type."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        marks = {
            "bold: the best measured": any(self.is_best(row, metric) for row in self.rows for metric in row.cells),
            f"†: worse than the best, p < {SIGNIFICANT} (randomisation test over patients, Holm)": any(
                cell.worse for cell in cells
            ),
            "±: standard deviation over seeds": any(cell.deviation is not None for cell in cells),
            "small: 95 % interval over patients": small and any(cell.interval for cell in cells),
        }
        text = "; ".join(mark for mark, used in marks.items() if used)
        return f" {text[0].upper()}{text[1:]}." if text else ""

    def markdown(self) -> str:
        rows = [
            [*(label.replace("|", "\\|") for label in labels), *(self._text(row, metric) for metric in self.metrics)]
            for labels, row in zip(self.labels_once(), self.rows, strict=True)
        ]
        table = pd.DataFrame(rows, columns=[*self.labels, *self.titles()])
        alignment = ["left"] * len(self.labels) + ["right"] * len(self.metrics)
        body = table.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=alignment)
        return f"### {self.title}\n\n{body}\n\n{self.caption}{self.legend()}\n"

    def _text(self, row: Row, metric: str) -> str:
        if (cell := row.cells.get(metric)) is None:
            return ""
        shown = METRICS[metric].format
        text = shown(cell.value) + (f" ± {shown(cell.deviation)}" if cell.deviation is not None else "")
        return (f"**{text}**" if self.is_best(row, metric) else text) + "†" * cell.worse

    def csv(self) -> str:
        """The table as CSV: unrounded figures, and standard deviations over seeds if there are any."""
        rows: list[dict[str, object]] = [
            dict(zip(self.labels, row.labels, strict=True))
            | {metric: cell.value for metric, cell in row.cells.items()}
            | {f"{metric}_deviation": cell.deviation for metric, cell in row.cells.items()}
            for row in self.rows
        ]
        deviations = [f"{metric}_deviation" for metric in self.metrics]
        table = pd.DataFrame(rows, columns=[*self.labels, *self.metrics, *deviations])
        empty = [name for name in deviations if table[name].isna().all()]
        return table.drop(columns=empty).to_csv(index=False, float_format="%.6g", lineterminator="\n")


def figure_of(setting: Setting, key: str) -> Cell | None:
    """The figure `key` of a setting; None if no experiment has it."""
    values = setting.values(key)
    if values.size > 1:
        return Cell(float(values.mean()), float(values.std(ddof=1)))
    cells = (figure_of_one(experiment, key) for experiment in setting.experiments)
    return next((cell for cell in cells if cell is not None), None)


def figure_of_one(experiment: Experiment, key: str) -> Cell | None:
    """The figure `key` of one experiment with its interval, if any; None if the experiment lacks it."""
    if (value := experiment.metrics.get(key)) is None:
        return None
    prefix, _, metric = key.rpartition(".")
    interval = experiment.metrics.get(f"{prefix}.intervals.{metric}")
    return Cell(float(value), interval=tuple(interval) if interval else None)


def figures_of(setting: Setting, name: str, variant: str = "") -> dict[str, Cell]:
    """The available figures of a setting for the table `name`, by metric."""
    cells = {}
    for prefix, metrics in TABLES[name]["figures"].items():
        for metric, rest in metrics.items() if isinstance(metrics, dict) else zip(metrics, metrics, strict=True):
            cells[metric] = figure_of(setting, f"{prefix.format(variant)}.{rest}")
    return {metric: cell for metric, cell in cells.items() if cell is not None}


def main_table(settings: Sequence[Setting], worse: Mapping[str, set[str]] | None = None) -> Table:
    """Types by metrics on test, followed by baselines and published results on this subset.

    `worse`: label of a setting -> the metrics in which a test found it worse than the best.
    """

    def figures(setting: Setting) -> dict[str, Cell]:
        quantifier = "clq" if setting.model.joint else "mlp"
        errors = {name: figure_of(setting, f"quantification.test.{quantifier}.{name}") for name in ("ae", "rae")}
        cells = figures_of(setting, "main") | {name: cell for name, cell in errors.items() if cell is not None}
        marked = (worse or {}).get(setting.label, ())
        return {metric: cell._replace(worse=metric in marked) for metric, cell in cells.items()}

    experiment = settings[0].experiments[0]
    baselines = [
        Row((title, "", "", "", "measured"), cells, competes=False)
        for name, title in BASELINES.items()
        if (cells := {m: c for m in METRICS if (c := figure_of_one(experiment, f"baselines.test.{name}.{m}"))})
    ]
    table = comparison_table("main", settings, figures, baselines)
    return replace(table, caption=table.caption + (SYNTHETIC if experiment.synthetic else NOT_READ))


def comparison_table(
    name: str,
    settings: Sequence[Setting],
    figures: Callable[[Setting], Mapping[str, Cell]] | None = None,
    baselines: Sequence[Row] = (),
    note: str = "",
) -> Table:
    """The main rows in one convention, followed by baselines and published results; `note` ends the caption."""
    figures = figures or (lambda setting: figures_of(setting, name))
    rows = [Row((*_labels(setting), "measured"), figures(setting)) for setting in main_settings(settings)]
    if not any(row.cells for row in rows):
        return _table(name, LABELS, [])
    published, sources = _published(name, settings, lambda model: (model, "", "", ""))
    return _table(name, LABELS, [*rows, *baselines, *published], note + sources)


def official_table(settings: Sequence[Setting]) -> Table:
    shares = [figure_of(setting, "classification.test.official.unreachable") for setting in settings]
    most = max((cell.value for cell in shares if cell), default=None)
    reach = f" {100 * most:.1f} % of the gold assignments are of codes outside the label set." if most else ""
    return comparison_table("official", settings, note=reach)


def band_table(settings: Sequence[Setting]) -> Table:
    def figures(setting: Setting) -> dict[str, Cell]:
        tables = [run.plots["bands"].query("kind == 'all'") for run in setting.experiments if "bands" in run.plots]
        by_band = pd.concat(tables).groupby("band") if tables else ()
        return {f"band_{band}": _figure_of_rows(rows) for band, rows in by_band if band != "all"}

    return comparison_table("bands", settings, figures)


def _figure_of_rows(rows: pd.DataFrame) -> Cell:
    """The micro-F1 of the same row in one or several experiments' plot data."""
    values = rows["f1_micro"].astype(float)
    if len(values) > 1:
        return Cell(values.mean(), values.std(ddof=1))
    low, high = (float(rows[name].iloc[0]) if name in rows else math.nan for name in ("f1_micro_low", "f1_micro_high"))
    return Cell(values.iloc[0], interval=None if math.isnan(low) else (low, high))


def setting_table(name: str, settings: Sequence[Setting]) -> Table:
    """A row per setting."""
    return _table(name, LABELS[:-1], [Row(_labels(setting), figures_of(setting, name)) for setting in settings])


def ablation_table(settings: Sequence[Setting]) -> Table:
    return setting_table("ablation", [setting for setting in settings if setting.M])


def variant_table(name: str, settings: Sequence[Setting], note: str = "") -> Table:
    """A row per main setting and variant, then published results if there are any; `note` ends the caption."""
    spec = TABLES[name]
    rows = [
        Row((setting.label, title, "measured"), figures_of(setting, name, variant), competes=variant != "random")
        for setting in main_settings(settings)
        for variant, title in spec["variants"].items()
    ]
    rows = [row for row in rows if row.cells]
    published, sources = _published(name, settings if rows else [], lambda attribution: ("", attribution))
    return _table(name, ("model", spec["variant"], "source"), [*rows, *published], note + sources)


def explanation_table(settings: Sequence[Setting]) -> Table:
    runs = [run for setting in settings for run in setting.experiments]
    said = (next(filter(None, map(describe, runs)), "") for describe in (_describe_documents, _describe_traps))
    return variant_table("explanation", settings, "".join(said))


def _describe_documents(experiment: Experiment) -> str:
    numbers = [experiment.metrics.get(f"explanation.test.{kind}_documents") for kind in ("annotated", "masked")]
    charts = "explanation.test.annotated_in" in experiment.metrics
    where = " charts of MIMIC-III, texts of another corpus," if charts else ""
    return f" Here of {numbers[0]} annotated{where} and {numbers[1]} masked documents." if all(numbers) else ""


def _describe_traps(experiment: Experiment) -> str:
    """A sentence about codes that are assigned although the document only mentions them."""
    named, assigned = (experiment.metrics.get(f"explanation.test.traps.{name}") for name in ("named", "assigned"))
    if not named:
        return ""
    where = f" Of {named:,} codes that test documents name without having them (denied, ruled out, in the family)"
    return f"{where}, {experiment.type} assigns {assigned:,}."


class Difference(NamedTuple):
    """A tested difference between two settings on the same documents."""

    value: float
    low: float
    high: float
    p: float  # corrected for the number of tests


def difference_table(contrasts: Sequence[tuple[str, str, str, Mapping[str, Difference]]]) -> Table:
    """Tested differences in words, a row per pair: (question, with, without, metric -> difference)."""
    metrics = list(dict.fromkeys(metric for *_, differences in contrasts for metric in differences))
    rows = (
        Row((*pair, *(_in_words(metric, differences[metric]) for metric in metrics)), {})
        for *pair, differences in contrasts
    )
    labels = ("question", "with", "without", *(METRICS[metric].title for metric in metrics))
    spec = TABLES["differences"]
    return Table("differences", spec["title"], f"{spec['caption']} {TWO_RUNS}", labels, (), tuple(rows))


def _in_words(metric: str, difference: Difference) -> str:
    value, low, high = (METRICS[metric].format(number, sign="+") for number in difference[:3])
    better = (difference.value > 0) == (METRICS[metric].better == "higher")
    verdict = "unclear" if difference.p >= SIGNIFICANT else "better" if better else "worse"
    p = f"p {difference.p:.3f}" if difference.p >= 0.001 else "p < 0.001"
    return f"{verdict} {value} ({low} to {high}), {p}"


def _labels(setting: Setting) -> tuple[str, str, str, str]:
    return setting.type, setting.criterion, str(setting.M or ""), setting.other


def _published(
    name: str, settings: Sequence[Setting], label: Callable[[str], tuple[str, ...]]
) -> tuple[list[Row], str]:
    """The published rows that stand beside the settings' figures, and their sources as text."""
    convention = TABLES[name].get("convention")
    blocks = blocks_beside(settings[0].experiments[0], convention) if settings and convention else []
    rows = [
        Row((*label(model), f"published [{i}]"), {m: Cell(value) for m, value in shares.items()}, competes=False)
        for i, block in enumerate(blocks, start=1)
        for model, shares in block.shares()
    ]
    return rows, "".join(f" [{i}] {block.source}." for i, block in enumerate(blocks, start=1))


def _table(name: str, labels: tuple[str, ...], rows: Iterable[Row], sources: str = "") -> Table:
    """A table without empty measured rows, metrics and label columns (or ones that only say "measured")."""
    rows = [row for row in rows if row.cells or not row.competes]
    metrics = tuple(metric for metric in METRICS if any(metric in row.cells for row in rows))
    kept = [i for i in range(len(labels)) if any(row.labels[i] not in ("", "measured") for row in rows)]
    rows = tuple(replace(row, labels=tuple(row.labels[i] for i in kept)) for row in rows)
    spec = TABLES[name]
    return Table(name, spec["title"], spec["caption"] + sources, tuple(labels[i] for i in kept), metrics, rows)
