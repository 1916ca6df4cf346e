"""The paper's tables: experiments by metrics, best values marked, published rows beside measured ones."""

import csv
import html
import io
import itertools
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from stages.evaluation.experiments import Experiment, Setting, main_settings
from stages.evaluation.per_code import BANDS
from stages.project.errors import InputError

METHODS = {
    "lazy": "lazy",
    "cc": "CC",
    "pcc": "PCC",
    "acc": "ACC",
    "pacc": "PACC",
    "emq": "EMQ",
    "mlp": "MLP",
    "clq": "CLQ's MLP",
}
RECALIBRATIONS = {"": "none", "temperature.": "temperature", "platt.": "Platt, per code"}
THRESHOLDS = {"": "0.5", "shared_threshold.": "one, tuned", "code_thresholds.": "per code, tuned"}
ATTRIBUTIONS = {
    "contribution": "contribution (exact)",
    "attention": "attention",
    "input_x_gradient": "input x gradient",
    "attention_x_input_x_gradient": "attention x input x gradient",
    "random": "random",
}
YARDSTICKS = {
    "lookup": "phrase lookup",
    "tfidf": "TF-IDF + logistic regression",
    "tfidf_tuned": "the same, threshold tuned",
}
SIGNIFICANT = 0.05
PUBLISHED = Path("published")
NOT_READ = (
    "The paper's own tables (EACL 2024, pages 2302-2315, Anthology 2024.eacl-long.137) are not among them: copy them "
    "into a published/*.yaml of your own, and they appear here."
)
LABELS = ("model", "synonyms", "M", "other settings", "source")


@dataclass(frozen=True)
class Metric:
    """How a metric is shown."""

    title: str
    better: str  # "higher" | "lower"
    factor: float = 100
    digits: int = 1


METRICS = {
    "auc_macro": Metric("AUC macro", "higher"),
    "auc_micro": Metric("AUC micro", "higher"),
    "f1_macro_mullenbach": Metric("F1 macro (CAML)", "higher"),
    "f1_macro": Metric("F1 macro", "higher"),
    "f1_micro": Metric("F1 micro", "higher"),
    "precision_at_5": Metric("P@5", "higher"),
    "precision_at_8": Metric("P@8", "higher"),
    "precision_at_15": Metric("P@15", "higher"),
    "r_precision": Metric("R-precision", "higher"),
    "mean_average_precision": Metric("MAP", "higher"),
    "map": Metric("MAP", "higher"),
    "precision": Metric("precision", "higher"),
    "recall": Metric("recall", "higher"),
    "f1": Metric("F1", "higher"),
    "mece": Metric("MECE", "lower", digits=2),
    "mece_equal_mass": Metric("MECE, equal mass", "lower", digits=2),
    "ece": Metric("ECE", "lower", digits=2),
    "brier": Metric("Brier", "lower", digits=2),
    "log_loss": Metric("log loss", "lower", factor=1, digits=4),
    "ae": Metric("AE", "lower", digits=2),
    "rae": Metric("RAE", "lower", factor=1, digits=3),
    "ae_shifted": Metric("AE, shifted", "lower", digits=2),
    "rae_shifted": Metric("RAE, shifted", "lower", factor=1, digits=3),
    **{f"band_{band}": Metric(band, "higher") for band in reversed(BANDS)},
    "diversity": Metric("diversity", "higher", factor=1, digits=3),
    "token_f1": Metric("token F1", "higher"),
    "auprc": Metric("AUPRC", "higher"),
    "iou": Metric("IoU", "higher"),
    "top_token": Metric("top token marked", "higher"),
    "comprehensiveness": Metric("comprehensiveness", "higher"),
    "sufficiency": Metric("sufficiency", "lower"),
}


class Cell(NamedTuple):
    """One figure: its mean over seeds, their standard deviation where there are several, and what is marked on it.

    `interval`: the 95 % interval of a single run's figure, where one was computed.
    """

    value: float
    deviation: float | None = None
    worse: bool = False  # than the best of its column, by a test
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Row:
    """One row: its labels, its cells by metric, and whether it takes part in the search for the best."""

    labels: tuple[str, ...]
    cells: Mapping[str, Cell]
    competes: bool = True


@dataclass(frozen=True)
class Table:
    """A table of figures, or of words where `metrics` is empty."""

    name: str
    title: str
    caption: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]

    def best(self, metric: str) -> float | None:
        """The best value as shown, rounded, among the rows that compete; None where fewer than two have one."""
        shown = [_shown(metric, row.cells[metric].value) for row in self.rows if row.competes and metric in row.cells]
        if len(shown) < 2:
            return None
        return max(shown) if METRICS[metric].better == "higher" else min(shown)


def _shown(metric: str, value: float) -> float:
    return round(value * METRICS[metric].factor, METRICS[metric].digits)


def cell_of(setting: Setting, key: str) -> Cell | None:
    """The figure `key` of a setting; None where no experiment has it."""
    values = setting.values(key)
    if values.size == 0:
        return None
    if values.size > 1:
        return Cell(float(values.mean()), float(values.std(ddof=1)))
    return next(cell for one in setting.experiments if (cell := _figure(one, key)))


def _figure(experiment: Experiment, key: str) -> Cell | None:
    """The figure `key` of one experiment, with its interval where there is one; None where the experiment lacks it."""
    if (value := experiment.metrics.get(key)) is None:
        return None
    beginning, _, metric = key.rpartition(".")
    interval = experiment.metrics.get(f"{beginning}.intervals.{metric}")
    return Cell(float(value), interval=tuple(interval) if interval else None)


def _cell_of_rows(rows: pd.DataFrame) -> Cell | None:
    """The micro-F1 of the same row of one or several experiments' plot data; None where there is no row."""
    values = rows["f1_micro"].astype(float)
    if not len(values):
        return None
    if len(values) > 1:
        return Cell(values.mean(), values.std(ddof=1))
    ends = [float(rows[name].iloc[0]) for name in ("f1_micro_low", "f1_micro_high") if name in rows]
    return Cell(values.iloc[0], interval=(ends[0], ends[1]) if ends and not math.isnan(ends[0]) else None)


def cells_of(setting: Setting, keys: Mapping[str, str]) -> dict[str, Cell]:
    """The figures of a setting: metric -> key among the experiments' metrics; those that are missing are left out."""
    found = {metric: cell_of(setting, key) for metric, key in keys.items()}
    return {metric: cell for metric, cell in found.items() if cell is not None}


PRESENT = (
    "auc_macro",
    "auc_micro",
    "f1_macro",
    "f1_micro",
    "precision_at_8",
    "precision_at_15",
    "r_precision",
    "mean_average_precision",
)
MAIN = {
    **{
        name: f"classification.test.{name}"
        for name in ("auc_macro", "auc_micro", "f1_macro_mullenbach", "f1_macro", "f1_micro")
    },
    **{name: f"classification.test.{name}" for name in ("precision_at_5", "precision_at_8", "precision_at_15")},
    "mece": "calibration.test.mece",
}


def main_table(settings: Sequence[Setting], worse: Mapping[str, Container[str]] | None = None) -> Table:
    """Types by metrics on test; below them the yardsticks, and what others report on this subset.

    `worse`: label of a setting -> the metrics in which a test found it worse than the best.
    """
    rows = []
    for setting in main_settings(settings):
        quantifier = "clq" if setting.type.endswith("_CLQ") else "mlp"
        keys = MAIN | {error: f"quantification.test.{quantifier}.{error}" for error in ("ae", "rae")}
        marked = (worse or {}).get(setting.label, ())
        cells = {metric: cell._replace(worse=metric in marked) for metric, cell in cells_of(setting, keys).items()}
        rows.append(Row((*_labels(setting), "measured"), cells))
    experiment = settings[0].experiments[0]
    published, sources = published_rows(experiment, "all")
    rows += [*_yardsticks(experiment), *published]
    tables_of_the_paper = "" if experiment.synthetic else f" {NOT_READ}"
    return _table(
        "main",
        "Main comparison",
        "On the test documents, in percent except RAE; AE and RAE of the model's own trained quantifier. Of the two "
        "macro F1, CAML's is the harmonic mean of macro precision and macro recall."
        + (" The records are synthetic: the figures compare only with each other." * experiment.synthetic)
        + "".join(f" [{at}] {source}." for at, source in enumerate(sources, start=1))
        + tables_of_the_paper,
        LABELS,
        rows,
    )


def _labels(setting: Setting) -> tuple[str, str, str, str]:
    return setting.type, setting.criterion, str(setting.M or ""), setting.other


def _yardsticks(experiment: Experiment) -> list[Row]:
    """The baselines that the pipeline measures beside the models."""
    rows = []
    for name, title in YARDSTICKS.items():
        found = {metric: _figure(experiment, f"baselines.test.{name}.{metric}") for metric in METRICS}
        cells = {metric: cell for metric, cell in found.items() if cell is not None}
        if cells:
            rows.append(Row((title, "", "", "", "measured"), cells, competes=False))
    return rows


def ablation_table(settings: Sequence[Setting]) -> Table:
    """What M and the selection criterion do: every synonym setting of the MSAM models."""
    keys = {metric: MAIN[metric] for metric in ("f1_micro", "f1_macro", "f1_macro_mullenbach", "mece")}
    keys["diversity"] = "synonyms.mean_diversity.chosen"
    rows = [Row(_labels(setting), cells_of(setting, keys)) for setting in settings if setting.M]
    return _table(
        "ablation",
        "Synonyms: how many, and which",
        "Models with multi-synonym attention on the test documents, in percent. Diversity: mean cosine distance "
        "between two of a code's M synonyms (0 for M = 1).",
        ("model", "synonyms", "M", "other settings"),
        rows,
    )


def threshold_table(settings: Sequence[Setting]) -> Table:
    """F1 at the paper's threshold and at thresholds tuned on validation."""
    rows = [
        Row(
            (setting.label, title),
            cells_of(
                setting,
                {m: f"classification.test.{prefix}{m}" for m in ("f1_micro", "f1_macro", "f1_macro_mullenbach")},
            ),
        )
        for setting in main_settings(settings)
        for prefix, title in THRESHOLDS.items()
    ]
    caption = "On the test documents, in percent; tuned on validation only."
    return _table("thresholds", "Decision thresholds", caption, ("model", "threshold"), rows)


def calibration_table(settings: Sequence[Setting]) -> Table:
    """Calibration as predicted and after recalibration on validation."""
    metrics = ("mece", "mece_equal_mass", "ece", "brier", "log_loss")
    rows = [
        Row((setting.label, title), cells_of(setting, {m: f"calibration.test.{prefix}{m}" for m in metrics}))
        for setting in main_settings(settings)
        for prefix, title in RECALIBRATIONS.items()
    ]
    return _table(
        "calibration",
        "Calibration",
        "On the test documents, in percent except log loss. MECE: the mean over codes of the expected calibration "
        "error; ECE: over all decisions. Temperature and Platt scaling are fitted on validation.",
        ("model", "recalibration"),
        rows,
    )


def quantification_table(settings: Sequence[Setting]) -> Table:
    """Every quantifier on every model's predictions."""
    metrics = ("ae", "rae", "ae_shifted", "rae_shifted")
    rows = [
        Row((setting.label, title), cells_of(setting, {m: f"quantification.test.{method}.{m}" for m in metrics}))
        for setting in main_settings(settings)
        for method, title in METHODS.items()
    ]
    return _table(
        "quantification",
        "Quantification",
        "Prevalence of codes in groups of test documents: absolute error (percentage points) and relative error. "
        "Groups of random size and members, as in the paper; shifted: groups around one code of forced prevalence.",
        ("model", "quantifier"),
        rows,
    )


def _table(name: str, title: str, caption: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Table:
    """A table without the measured rows, metrics and label columns in which nothing stands, or only "measured"."""
    rows = [row for row in rows if row.cells or not row.competes]
    metrics = tuple(metric for metric in METRICS if any(metric in row.cells for row in rows))
    kept = [at for at in range(len(labels)) if any(row.labels[at] not in ("", "measured") for row in rows)]
    rows = tuple(replace(row, labels=tuple(row.labels[at] for at in kept)) for row in rows)
    return Table(name, title, caption, tuple(labels[at] for at in kept), metrics, rows)


def present_table(settings: Sequence[Setting]) -> Table:
    """Edin et al.'s convention: over the codes that occur in the test part, at the threshold tuned on validation."""
    keys = {metric: f"classification.test.present.shared_threshold.{metric}" for metric in PRESENT}
    return _compared(
        "present",
        "Over the codes that occur (Edin et al.'s convention)",
        "On the test documents, in percent, over the codes that occur there and the documents that carry one; "
        "decisions at one threshold tuned on validation.",
        "present",
        keys,
        settings,
    )


def official_table(settings: Sequence[Setting]) -> Table:
    """CodiEsp's own evaluation, against all gold codes of the test part."""
    key = "classification.test.official."
    keys = {"map": f"{key}map", **{m: f"{key}at_tuned_threshold.{m}" for m in ("precision", "recall", "f1")}}
    shares = [cell.value for setting in settings if (cell := cell_of(setting, f"{key}unreachable"))]
    reach = (
        f" {100 * max(shares):.1f} % of the gold assignments are of codes outside of the label set." if shares else ""
    )
    return _compared(
        "official",
        "CodiEsp's official evaluation",
        "On the test cases, in percent, against all their gold codes. MAP is of the whole ranking, precision, recall "
        "and F1 (micro) of what is assigned at the threshold tuned on validation." + reach,
        "official",
        keys,
        settings,
    )


def band_table(settings: Sequence[Setting]) -> Table:
    """Micro-F1 by how often a code occurs in training, with what others report."""
    rows = []
    for setting in main_settings(settings):
        found = [one.plots["bands"] for one in setting.experiments if "bands" in one.plots]
        by_band = {band: [table[_of(table, band)] for table in found] for band in BANDS}
        read = {f"band_{band}": _cell_of_rows(pd.concat(tables)) for band, tables in by_band.items() if tables}
        cells = {metric: cell for metric, cell in read.items() if cell is not None}
        rows.append(Row((*_labels(setting), "measured"), cells))
    published, sources = published_rows(settings[0].experiments[0], "bands")
    caption = "Micro-F1 on the test documents, in percent, over the codes of so many training documents."
    caption += "".join(f" [{at}] {source}." for at, source in enumerate(sources, start=1))
    rows = rows if any(row.cells for row in rows) else []
    return _table("bands", "Rare and frequent codes", caption, LABELS, [*rows, *(published if rows else ())])


def _of(table: pd.DataFrame, band: str) -> pd.Series:
    return (table["kind"] == "all") & (table["band"] == band)


def length_table(settings: Sequence[Setting]) -> Table:
    """Micro-F1 of the documents by their length, in words: a row per model and quarter."""
    rows = []
    for setting in main_settings(settings):
        found = setting.experiments[0].plots.get("lengths")
        if found is not None:
            for at, quarter in enumerate(found.itertuples()):
                words = f"{quarter.words_from} to {quarter.words_to}"
                cell = _cell_of_rows(found.iloc[[at]])
                rows.append(Row((setting.label, words, str(quarter.documents)), {"f1_micro": cell} if cell else {}))
    caption = (
        "Quarters of the test documents by their number of words; micro-F1 in percent. Of several seeds the first."
    )
    return _table("lengths", "Short and long documents", caption, ("model", "words", "documents"), rows)


def evidence_table(settings: Sequence[Setting]) -> Table:
    """How well each attribution agrees with marked words, and whether the model needs what it names."""
    rows = []
    for setting in main_settings(settings):
        for method, title in ATTRIBUTIONS.items():
            plausible, faithful = (f"evidence.test.{part}.{method}." for part in ("plausibility", "faithfulness"))
            keys = {"token_f1": f"{plausible}f1", **{m: plausible + m for m in ("auprc", "iou", "top_token")}}
            keys |= {metric: faithful + metric for metric in ("comprehensiveness", "sufficiency")}
            if cells := cells_of(setting, keys):
                rows.append(Row((setting.label, title, "measured"), cells, competes=method != "random"))
    experiment = settings[0].experiments[0]
    published, sources = published_rows(experiment, "evidence")
    rows += [Row(("", row.labels[0], row.labels[-1]), row.cells, competes=False) for row in published if rows]
    told = next((sentence for setting in settings for one in setting.experiments if (sentence := _traps(one))), "")
    return _table(
        "evidence",
        "Which words made the codes",
        "In percent, on test documents. Token F1, AUPRC and IoU: agreement with the words that are marked for a code, "
        "of the tokens above a cut-off chosen on validation. Comprehensiveness: how much of its probability a code "
        "loses when the highest words are masked; sufficiency: when only they are left (lower is better)."
        + told
        + "".join(f" [{at}] {source}." for at, source in enumerate(sources, start=1) if rows),
        ("model", "attribution", "source"),
        rows,
    )


def _traps(experiment: Experiment) -> str:
    """How many codes are assigned that a document names without having them, in a sentence."""
    named, assigned = (experiment.metrics.get(f"evidence.test.traps.{name}") for name in ("named", "assigned"))
    if not named:
        return ""
    return (
        f" Of {named:,} codes that test documents name without having them (denied, ruled out, in the family), "
        f"{experiment.type} assigns {assigned:,}."
    )


def _compared(
    name: str, title: str, caption: str, convention: str, keys: Mapping[str, str], settings: Sequence[Setting]
) -> Table:
    """The main rows in one convention, and below them what others report in it."""
    rows = [Row((*_labels(setting), "measured"), cells_of(setting, keys)) for setting in main_settings(settings)]
    published, sources = published_rows(settings[0].experiments[0], convention)
    caption += "".join(f" [{at}] {source}." for at, source in enumerate(sources, start=1))
    rows = rows if any(row.cells for row in rows) else []
    return _table(name, title, caption, LABELS, [*rows, *(published if rows else ())])


def published_rows(experiment: Experiment, convention: str) -> tuple[list[Row], list[str]]:
    """What others report on the corpus, subset and split of `experiment` in a convention, and the sources.

    Synthetic records compare with nothing. Raises InputError for a file of another form.
    """
    if experiment.synthetic:
        return [], []
    asked = {key: experiment.params.get(f"data.{key}") for key in ("format", "subset", "split")}
    blocks = [
        block
        for block in published()
        if block["convention"] == convention and all(block[key] == value for key, value in asked.items())
    ]
    rows = []
    for at, block in enumerate(blocks, start=1):
        for model, figures in block["rows"].items():
            shown = [pair for pair in zip(block["metrics"], figures, strict=True) if pair[1] is not None]
            cells = {metric: Cell(figure / METRICS[metric].factor) for metric, figure in shown}
            rows.append(Row((model, "", "", "", f"published [{at}]"), cells, competes=False))
    return rows, [block["source"] for block in blocks]


def published() -> list[dict]:
    """All blocks of published/*.yaml. Raises InputError for a file of another form."""
    blocks: list[dict] = []
    for path in sorted(PUBLISHED.glob("*.yaml")):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8")) or []
            for block in content:
                missing = {"format", "subset", "split", "convention", "source", "metrics", "rows"} - block.keys()
                unknown = set(block.get("metrics", ())) - METRICS.keys()
                if missing or unknown:
                    wrong = (
                        f"lacks {', '.join(sorted(missing))}" if missing else f"unknown: {', '.join(sorted(unknown))}"
                    )
                    raise InputError(f"{path}: a block {wrong}; see published/literature.yaml")
                if any(len(figures) != len(block["metrics"]) for figures in block["rows"].values()):
                    raise InputError(f"{path}: a row of {block['source']} has more or fewer figures than metrics")
        except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
            raise InputError(f"{path} should be a list of blocks as in published/literature.yaml") from error
        blocks += content
    return blocks


class Difference(NamedTuple):
    """A tested difference between two settings on the same documents."""

    value: float
    low: float
    high: float
    p: float  # corrected for the number of tests


def difference_table(contrasts: Sequence[tuple[str, str, str, Mapping[str, Difference]]]) -> Table:
    """Differences in words, a row per pair: (question, with, without, metric -> difference)."""
    metrics = list(dict.fromkeys(metric for *_, differences in contrasts for metric in differences))
    rows = [
        Row((question, one, two, *(_difference(metric, differences[metric]) for metric in metrics)), {})
        for question, one, two, differences in contrasts
    ]
    return Table(
        "differences",
        "What makes a difference",
        "Each question's pair on the same test documents: difference in percentage points, its 95 % bootstrap interval "
        "over patients, and the p of a randomisation test, corrected for the number of tests of that metric (Holm). "
        "Of several seeds the first.",
        ("question", "with", "without", *(METRICS[metric].title for metric in metrics)),
        (),
        tuple(rows),
    )


def _difference(metric: str, found: Difference) -> str:
    """One tested difference in words."""
    factor, digits = METRICS[metric].factor, METRICS[metric].digits
    value, low, high = (f"{factor * number:+.{digits}f}" for number in found[:3])
    better = (found.value > 0) == (METRICS[metric].better == "higher")
    verdict = "unclear" if found.p >= SIGNIFICANT else "better" if better else "worse"
    p = f"p {found.p:.3f}" if found.p >= 0.001 else "p < 0.001"
    return f"{verdict} {value} ({low} to {high}), {p}"


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm 1979)."""
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        corrected[at] = largest
    return corrected


def _texts(table: Table, bold: str, deviations: bool) -> list[list[str]]:
    """The cells as text, row by row; `bold` is a format for the best."""
    best = {metric: table.best(metric) for metric in table.metrics}
    texts = []
    for row in table.rows:
        line = []
        for metric in table.metrics:
            cell = row.cells.get(metric)
            if cell is None:
                line.append("")
                continue
            factor, digits = METRICS[metric].factor, METRICS[metric].digits
            text = f"{_shown(metric, cell.value):.{digits}f}"
            if deviations and cell.deviation is not None:
                text += f" ± {cell.deviation * factor:.{digits}f}"
            if row.competes and _shown(metric, cell.value) == best[metric]:
                text = bold.format(text)
            line.append(text + "†" * cell.worse)
        texts.append(line)
    return texts


def _labels_once(table: Table) -> list[tuple[str, ...]]:
    """The labels row by row; the first one is left out where the row above has the same, if that is how rows go."""
    firsts = [row.labels[0] for row in table.rows]
    if len(firsts) < 2 * len(set(firsts)):
        return [row.labels for row in table.rows]
    repeated = [False, *(one == two for one, two in itertools.pairwise(firsts))]
    return [("" if again else row.labels[0], *row.labels[1:]) for row, again in zip(table.rows, repeated, strict=True)]


def legend(table: Table) -> str:
    """What the marks of a table mean; nothing where there are none."""
    marks = []
    if any(table.best(metric) is not None for metric in table.metrics):
        marks.append("bold: the best measured")
    if any(cell.worse for row in table.rows for cell in row.cells.values()):
        marks.append(f"†: worse than the best, p < {SIGNIFICANT} (randomisation test over patients, Holm)")
    if any(cell.deviation is not None for row in table.rows for cell in row.cells.values()):
        marks.append("±: standard deviation over seeds")
    return "; ".join(marks)


def _titles(table: Table) -> list[str]:
    arrows = {"higher": "↑", "lower": "↓"}
    return [f"{METRICS[metric].title} {arrows[METRICS[metric].better]}" for metric in table.metrics]


def markdown(table: Table) -> str:
    """A table in markdown, its columns aligned so that it reads well in a terminal too."""
    header = [*table.labels, *_titles(table)]
    cells = _texts(table, bold="**{}**", deviations=True)
    lines = [[*labels, *texts] for labels, texts in zip(_labels_once(table), cells, strict=True)]
    lines = [[text.replace("|", "\\|") for text in line] for line in lines]
    widths = [max(3, *(len(line[at]) for line in [header, *lines])) for at in range(len(header))]
    left = len(table.labels)

    def written(line: Sequence[str]) -> str:
        padded = [
            text.ljust(width) if at < left else text.rjust(width)
            for at, (text, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if at < left else "-" * (width - 1) + ":" for at, width in enumerate(widths)]
    marks = legend(table)
    body = "\n".join(map(written, [header, rule, *lines]))
    return (
        f"### {table.title}\n\n{body}\n\n{table.caption}" + (f" {marks[0].upper()}{marks[1:]}." if marks else "") + "\n"
    )


def comma_separated(table: Table) -> str:
    """A table as CSV: full figures, each metric with the standard deviation over seeds where there is one."""
    deviating = [
        m for m in table.metrics if any(row.cells[m].deviation is not None for row in table.rows if m in row.cells)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*table.labels, *table.metrics, *(f"{metric}_deviation" for metric in deviating)])
    for row in table.rows:
        values = [row.cells[metric].value if metric in row.cells else None for metric in table.metrics]
        values += [row.cells[metric].deviation if metric in row.cells else None for metric in deviating]
        writer.writerow([*row.labels, *("" if value is None else f"{value:.6g}" for value in values)])
    return text.getvalue()


def _spread(metric: str, row: Row) -> str:
    """What stands below a figure in small type, as HTML: its deviation over seeds, or a single run's interval."""
    cell, (factor, digits) = row.cells.get(metric), (METRICS[metric].factor, METRICS[metric].digits)
    if cell is None:
        return ""
    if cell.deviation is not None:
        return f'<br><small title="standard deviation over seeds">± {factor * cell.deviation:.{digits}f}</small>'
    if cell.interval is None:
        return ""
    low, high = (f"{factor * end:.{digits}f}" for end in cell.interval)
    return f'<br><small title="95 % interval over patients">{low}–{high}</small>'


def hypertext(table: Table) -> str:
    """A table as HTML."""
    head = "".join(f"<th>{html.escape(title)}</th>" for title in table.labels)
    head += "".join(f'<th class="figure">{html.escape(title)}</th>' for title in _titles(table))
    body = []
    cells = _texts(table, bold="<strong>{}</strong>", deviations=False)
    for row, labels, texts in zip(table.rows, _labels_once(table), cells, strict=True):
        line = "".join(f"<td>{html.escape(label)}</td>" for label in labels)
        own = (f"{text}{_spread(metric, row)}" for metric, text in zip(table.metrics, texts, strict=True))
        line += "".join(f'<td class="figure">{text}</td>' for text in own)
        kinds = ["beside"] * (not row.competes) + ["first"] * (labels[0] != "")
        body.append(f'<tr class="{" ".join(kinds)}">{line}</tr>')
    marks = legend(table)
    if any(cell.interval for row in table.rows for cell in row.cells.values()):
        marks = "; ".join(filter(None, [marks, "small: 95 % interval over patients"]))
    caption = html.escape(table.caption + (f" {marks[0].upper()}{marks[1:]}." if marks else ""))
    return (
        f'<h3>{html.escape(table.title)}</h3>\n<div class="table"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n'
        + "\n".join(body)
        + f'\n</tbody></table></div>\n<p class="caption">{caption}</p>\n'
    )
