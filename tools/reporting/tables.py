"""The paper's tables: experiments by metrics, with the best values marked and published results below."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import pandas as pd

from stages.evaluation.breakdowns import BANDS
from tools.reporting.experiments import Experiment, Setting, main_settings
from tools.reporting.literature import blocks_beside
from tools.reporting.metrics import (
    ACCEPTED,
    ATTRIBUTIONS,
    BASELINES,
    MAIN,
    METRICS,
    OFFICIAL_KEYS,
    OPEN_METRICS,
    OPEN_SCORES,
    PRESENT_KEYS,
    QUANTIFIERS,
    RECALIBRATIONS,
    THRESHOLDS,
    keys,
)

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
    """A figure: its mean and standard deviation over seeds, if there are several, and its marks.

    `interval`: the 95 % interval of a single run's figure, if computed.
    """

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
        figures = [
            float(shown(other.cells[metric].value)) for other in self.rows if other.competes and metric in other.cells
        ]
        best = max if METRICS[metric].better == "higher" else min
        return row.competes and len(figures) > 1 and float(shown(row.cells[metric].value)) == best(figures)

    def titles(self) -> list[str]:
        """The titles of the metrics, with an arrow in the better direction."""
        return [f"{METRICS[name].title} {'↑' if METRICS[name].better == 'higher' else '↓'}" for name in self.metrics]

    def labels_once(self) -> list[tuple[str, ...]]:
        """The labels of each row, without repeating a first label that most rows share with the previous one."""
        firsts = [row.labels[0] for row in self.rows]
        if len(firsts) < 2 * len(set(firsts)):
            return [row.labels for row in self.rows]
        repeats = [False, *(one == two for one, two in itertools.pairwise(firsts))]
        return [
            ("" if again else row.labels[0], *row.labels[1:]) for row, again in zip(self.rows, repeats, strict=True)
        ]

    def legend(self, small: bool = False) -> str:
        """A sentence that explains the marks. `small`: intervals are shown in small type."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        marks = []
        if any(self.is_best(row, metric) for row in self.rows for metric in row.cells):
            marks.append("bold: the best measured")
        if any(cell.worse for cell in cells):
            marks.append(f"†: worse than the best, p < {SIGNIFICANT} (randomisation test over patients, Holm)")
        if any(cell.deviation is not None for cell in cells):
            marks.append("±: standard deviation over seeds")
        if small and any(cell.interval for cell in cells):
            marks.append("small: 95 % interval over patients")
        return f" {marks[0][0].upper()}{'; '.join(marks)[1:]}." if marks else ""

    def markdown(self) -> str:
        """The table in markdown, with aligned columns for reading in a terminal."""
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
        columns = [*self.labels, *self.metrics, *(f"{metric}_deviation" for metric in self.metrics)]
        table = pd.DataFrame(rows, columns=columns)
        empty = [name for name in columns if name.endswith("_deviation") and table[name].isna().all()]
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


def figures_of(setting: Setting, keys: Mapping[str, str]) -> dict[str, Cell]:
    """The available figures of a setting; `keys`: metric -> key among the experiments' metrics."""
    return {metric: cell for metric, key in keys.items() if (cell := figure_of(setting, key)) is not None}


def figure_of_rows(rows: pd.DataFrame) -> Cell | None:
    """The micro-F1 of the same row in one or several experiments' plot data; None without rows."""
    values = rows["f1_micro"].astype(float)
    if len(values) > 1:
        return Cell(values.mean(), values.std(ddof=1))
    ends = [float(rows[name].iloc[0]) for name in ("f1_micro_low", "f1_micro_high") if name in rows and len(values)]
    interval = (ends[0], ends[1]) if ends and not math.isnan(ends[0]) else None
    return Cell(values.iloc[0], interval=interval) if len(values) else None


def main_table(settings: Sequence[Setting], worse: Mapping[str, set[str]] | None = None) -> Table:
    """Types by metrics on test, followed by baselines and published results on this subset.

    `worse`: label of a setting -> the metrics in which a test found it worse than the best.
    """

    def figures(setting: Setting) -> dict[str, Cell]:
        quantifier = "clq" if setting.model.joint else "mlp"
        cells = figures_of(setting, MAIN | keys(f"quantification.test.{quantifier}", ("ae", "rae")))
        marked = (worse or {}).get(setting.label, ())
        return {metric: cell._replace(worse=metric in marked) for metric, cell in cells.items()}

    experiment = settings[0].experiments[0]
    baselines = [
        Row((title, "", "", "", "measured"), cells, competes=False)
        for name, title in BASELINES.items()
        if (cells := {m: c for m in METRICS if (c := figure_of_one(experiment, f"baselines.test.{name}.{m}"))})
    ]
    table = _comparison(
        "main",
        "Main comparison",
        "On the test documents, in percent except RAE; AE and RAE of the model's own trained quantifier. Of the two "
        "macro F1, CAML's is the harmonic mean of macro precision and macro recall.",
        "all",
        figures,
        settings,
        baselines,
    )
    return replace(table, caption=table.caption + (SYNTHETIC if experiment.synthetic else NOT_READ))


def present_table(settings: Sequence[Setting]) -> Table:
    """Edin et al.'s convention: over the codes that occur in the test part, at the threshold tuned on validation."""
    return _comparison(
        "present",
        "Over the codes that occur (Edin et al.'s convention)",
        "On the test documents, in percent, over the codes that occur there and the documents that carry one; "
        "decisions at one threshold tuned on validation.",
        "present",
        lambda setting: figures_of(setting, PRESENT_KEYS),
        settings,
    )


def official_table(settings: Sequence[Setting]) -> Table:
    """CodiEsp's own evaluation, against all gold codes of the test part."""
    shares = [figure_of(setting, "classification.test.official.unreachable") for setting in settings]
    most = max((cell.value for cell in shares if cell), default=None)
    reach = f" {100 * most:.1f} % of the gold assignments are of codes outside the label set." if most else ""
    return _comparison(
        "official",
        "CodiEsp's official evaluation",
        "On the test cases, in percent, against all their gold codes. MAP is of the whole ranking, precision, recall "
        "and F1 (micro) of what is assigned at the threshold tuned on validation." + reach,
        "official",
        lambda setting: figures_of(setting, OFFICIAL_KEYS),
        settings,
    )


def selective_table(settings: Sequence[Setting]) -> Table:
    """Codes accepted without review at a promised precision and recall."""
    return _table(
        "selective",
        "Codes accepted without review",
        "On the test documents, in percent. Promised are a precision of the codes that are accepted, and a recall of "
        "those accepted or shown to a person; both thresholds are chosen on validation patients, so that a promise is "
        "broken with the probability named as risk at most. Accepted: the share of all true codes. 0: too few "
        "validation documents to promise anything.",
        LABELS[:-1],
        [Row(_labels(setting), figures_of(setting, keys("selective.test", ACCEPTED))) for setting in settings],
    )


def open_table(settings: Sequence[Setting]) -> Table:
    """Codes that training has not seen, scored by their phrases (METHOD.md, section 15)."""
    return _by_variant(
        "open",
        "Codes by their words",
        "On the test documents, in percent, against all gold codes: of trained codes and of open ones, which no "
        "training step has seen and which are scored by their phrases. MAP and F1 over both; the mean AUC of the codes "
        "that occur, trained or by how many training documents carry them. The mix is fitted, and every threshold "
        "tuned, on validation; shuffled: each open code with the phrases of another.",
        ("model", "scored"),
        OPEN_SCORES,
        OPEN_METRICS,
        "open.test.{}.{}",
        settings,
    )


def band_table(settings: Sequence[Setting]) -> Table:
    """Micro-F1 by training frequency of codes, with published results."""

    def figures(setting: Setting) -> dict[str, Cell]:
        tables = [run.plots["bands"].query("kind == 'all'") for run in setting.experiments if "bands" in run.plots]
        rows = pd.concat(tables) if tables else pd.DataFrame({"band": [], "f1_micro": []})
        cells = {f"band_{band}": figure_of_rows(rows[rows["band"] == band]) for band in BANDS}
        return {metric: cell for metric, cell in cells.items() if cell is not None}

    caption = "Micro-F1 on the test documents, in percent, over the codes of so many training documents."
    return _comparison("bands", "Rare and frequent codes", caption, "bands", figures, settings)


def ablation_table(settings: Sequence[Setting]) -> Table:
    """The effect of M and the selection criterion: every synonym setting of the MSAM models."""
    shown = {metric: MAIN[metric] for metric in ("f1_micro", "f1_macro", "f1_macro_mullenbach", "mece")}
    shown["diversity"] = "synonyms.mean_diversity.chosen"
    return _table(
        "ablation",
        "Synonyms: how many, and which",
        "Models with multi-synonym attention on the test documents, in percent. Diversity: mean cosine distance "
        "between two of a code's M synonyms (0 for M = 1).",
        LABELS[:-1],
        [Row(_labels(setting), figures_of(setting, shown)) for setting in settings if setting.M],
    )


def length_table(settings: Sequence[Setting]) -> Table:
    """Micro-F1 by document length: a row per model and quartile of the number of words."""
    rows = []
    for setting in main_settings(settings):
        quarters = setting.experiments[0].plots.get("lengths")
        for i, quarter in enumerate(quarters.itertuples() if quarters is not None else ()):
            words, cell = f"{quarter.words_from} to {quarter.words_to}", figure_of_rows(quarters.iloc[[i]])  # type: ignore[union-attr]
            rows.append(Row((setting.label, words, str(quarter.documents)), {"f1_micro": cell} if cell else {}))
    caption = (
        "Quarters of the test documents by their number of words; micro-F1 in percent. With several seeds, the first "
        "one is shown."
    )
    return _table("lengths", "Short and long documents", caption, ("model", "words", "documents"), rows)


def threshold_table(settings: Sequence[Setting]) -> Table:
    """F1 at the paper's threshold and at thresholds tuned on validation."""
    return _by_variant(
        "thresholds",
        "Decision thresholds",
        "On the test documents, in percent; tuned on validation only.",
        ("model", "threshold"),
        THRESHOLDS,
        ("f1_micro", "f1_macro", "f1_macro_mullenbach"),
        "classification.test.{}{}",
        settings,
    )


def calibration_table(settings: Sequence[Setting]) -> Table:
    """Calibration as predicted and after recalibration on validation."""
    return _by_variant(
        "calibration",
        "Calibration",
        "On the test documents, in percent except log loss. MECE: the mean over codes of the expected calibration "
        "error; ECE: over all decisions. Temperature and Platt scaling are fitted on validation.",
        ("model", "recalibration"),
        RECALIBRATIONS,
        ("mece", "ece", "brier", "log_loss"),
        "calibration.test.{}{}",
        settings,
    )


def quantification_table(settings: Sequence[Setting]) -> Table:
    """Every quantifier on every model's predictions."""
    return _by_variant(
        "quantification",
        "Quantification",
        "Prevalence of codes in groups of test documents: absolute error (percentage points) and relative error. "
        "Groups of random size and members, as in the paper; shifted: groups around one code of forced prevalence. In "
        "a row of a CLQ model MLP is the network that was fitted to the plain classifier's probabilities, not refitted "
        "to the joint model's.",
        ("model", "quantifier"),
        QUANTIFIERS,
        ("ae", "rae", "ae_shifted", "rae_shifted"),
        "quantification.test.{}.{}",
        settings,
    )


def explanation_table(settings: Sequence[Setting]) -> Table:
    """Each attribution's agreement with human annotation, and its faithfulness."""
    rows = []
    for setting in main_settings(settings):
        for method, title in ATTRIBUTIONS.items():
            plausible, faithful = (f"explanation.test.{part}.{method}" for part in ("plausibility", "faithfulness"))
            shown = keys(plausible, ("auprc", "iou", "top_token")) | {"token_f1": f"{plausible}.f1"}
            shown |= keys(faithful, ("comprehensiveness", "sufficiency"))
            if cells := figures_of(setting, shown):
                rows.append(Row((setting.label, title, "measured"), cells, competes=method != "random"))
    experiment = settings[0].experiments[0]
    blocks = blocks_beside(experiment, "plausibility") if rows else []
    for i, block in enumerate(blocks, start=1):
        for attribution, figures in block.shares():
            cells = {metric: Cell(value) for metric, value in figures.items()}
            rows.append(Row(("", attribution, f"published [{i}]"), cells, competes=False))
    return _table(
        "explanation",
        "Which words made the codes",
        "In percent, on test documents. Token F1, AUPRC and IoU: agreement with the words annotated for a code, "
        "of the tokens above a cut-off chosen on validation. Comprehensiveness: how much of its probability a code "
        "loses when the highest words are masked; sufficiency: when only they are left (lower is better)."
        + next((text for setting in settings for run in setting.experiments if (text := _describe_documents(run))), "")
        + next((text for setting in settings for run in setting.experiments if (text := _describe_traps(run))), "")
        + _sources(block.source for block in blocks),
        ("model", "attribution", "source"),
        rows,
    )


def _describe_documents(experiment: Experiment) -> str:
    numbers = [experiment.metrics.get(f"explanation.test.{kind}_documents") for kind in ("annotated", "masked")]
    where = (
        " charts of MIMIC-III, texts of another corpus,"
        if "explanation.test.annotated_in" in experiment.metrics
        else ""
    )
    return f" Here of {numbers[0]} annotated{where} and {numbers[1]} masked documents." if all(numbers) else ""


def _describe_traps(experiment: Experiment) -> str:
    """A sentence about codes that are assigned although the document only mentions them."""
    named, assigned = (experiment.metrics.get(f"explanation.test.traps.{name}") for name in ("named", "assigned"))
    if not named:
        return ""
    return (
        f" Of {named:,} codes that test documents name without having them (denied, ruled out, in the family), "
        f"{experiment.type} assigns {assigned:,}."
    )


class Difference(NamedTuple):
    """A tested difference between two settings on the same documents."""

    value: float
    low: float
    high: float
    p: float  # corrected for the number of tests


def difference_table(contrasts: Sequence[tuple[str, str, str, Mapping[str, Difference]]]) -> Table:
    """Tested differences in words, a row per pair: (question, with, without, metric -> difference)."""
    metrics = list(dict.fromkeys(metric for *_, differences in contrasts for metric in differences))
    rows = [
        Row((question, one, two, *(_in_words(metric, differences[metric]) for metric in metrics)), {})
        for question, one, two, differences in contrasts
    ]
    return Table(
        "differences",
        "What makes a difference",
        "Each question's pair on the same test documents: difference in percentage points, its 95 % bootstrap interval "
        "over patients, and the p of a randomisation test, corrected for the number of tests of that metric (Holm). "
        + TWO_RUNS,
        ("question", "with", "without", *(METRICS[metric].title for metric in metrics)),
        (),
        tuple(rows),
    )


def _in_words(metric: str, difference: Difference) -> str:
    value, low, high = (METRICS[metric].format(number, sign="+") for number in difference[:3])
    better = (difference.value > 0) == (METRICS[metric].better == "higher")
    verdict = "unclear" if difference.p >= SIGNIFICANT else "better" if better else "worse"
    p = f"p {difference.p:.3f}" if difference.p >= 0.001 else "p < 0.001"
    return f"{verdict} {value} ({low} to {high}), {p}"


def _labels(setting: Setting) -> tuple[str, str, str, str]:
    return setting.type, setting.criterion, str(setting.M or ""), setting.other


def _comparison(
    name: str,
    title: str,
    caption: str,
    convention: str,
    figures: Callable[[Setting], Mapping[str, Cell]],
    settings: Sequence[Setting],
    baselines: Sequence[Row] = (),
) -> Table:
    """The main rows in one convention, followed by baselines and published results."""
    rows = [Row((*_labels(setting), "measured"), figures(setting)) for setting in main_settings(settings)]
    if not any(row.cells for row in rows):
        return _table(name, title, caption, LABELS, [])
    blocks = blocks_beside(settings[0].experiments[0], convention)
    published = [
        Row((model, "", "", "", f"published [{i}]"), {m: Cell(value) for m, value in shares.items()}, competes=False)
        for i, block in enumerate(blocks, start=1)
        for model, shares in block.shares()
    ]
    caption += _sources(block.source for block in blocks)
    return _table(name, title, caption, LABELS, [*rows, *baselines, *published])


def _sources(sources: Iterable[str]) -> str:
    return "".join(f" [{i}] {source}." for i, source in enumerate(sources, start=1))


def _by_variant(
    name: str,
    title: str,
    caption: str,
    labels: tuple[str, str],
    variants: Mapping[str, str],
    metrics: Sequence[str],
    key: str,
    settings: Sequence[Setting],
) -> Table:
    """A row per main setting and variant; `key` formats a variant and a metric to a figure's key."""
    rows = [
        Row((setting.label, shown), figures_of(setting, {metric: key.format(variant, metric) for metric in metrics}))
        for setting in main_settings(settings)
        for variant, shown in variants.items()
    ]
    return _table(name, title, caption, labels, rows)


def _table(name: str, title: str, caption: str, labels: tuple[str, ...], rows: Iterable[Row]) -> Table:
    """A table without empty measured rows, metrics and label columns (or ones that only say "measured")."""
    rows = [row for row in rows if row.cells or not row.competes]
    metrics = tuple(metric for metric in METRICS if any(metric in row.cells for row in rows))
    kept = [i for i in range(len(labels)) if any(row.labels[i] not in ("", "measured") for row in rows)]
    rows = tuple(replace(row, labels=tuple(row.labels[i] for i in kept)) for row in rows)
    return Table(name, title, caption, tuple(labels[i] for i in kept), metrics, rows)
