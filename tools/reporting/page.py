"""The report: the paper's tables and plots for each corpus, as markdown and as a self-contained page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from jinja2 import Environment, FileSystemLoader

from stages.common.parts import PARTS
from tools.reporting import plots, tables
from tools.reporting.experiments import Experiment, Setting, main_settings, settings_of
from tools.reporting.metrics import METRICS
from tools.reporting.plots import draw
from tools.reporting.tables import Difference, Table

TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)
CODE_COLUMNS = {
    "code": "code",
    "kind": "kind",
    "training_documents": "training documents",
    "documents": "test documents",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "f1_low": "F1, from",
    "f1_high": "to (95 %)",
    "auc": "AUC",
    "calibration_error": "calibration error",
}


@dataclass(frozen=True)
class Part:
    """A table (or None) and its plots in SVG."""

    table: Table | None
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """The report on one corpus. `codes`: figures by code of the model with the best micro-F1, labelled `codes_of`."""

    title: str
    introduction: str
    parts: tuple[Part, ...]
    codes: pd.DataFrame | None = None
    codes_of: str = ""

    @property
    def tables(self) -> list[Table]:
        return [part.table for part in self.parts if part.table is not None]


def section_of(
    experiments: Sequence[Experiment],
    differences: Sequence[tuple[str, str, str, Mapping[str, Difference]]] = (),
    worse: Mapping[str, set[str]] | None = None,
    untested: str = "",
) -> Section:
    """The section of one corpus from its experiments.

    `differences`: tested pairs (question, with, without, metric -> difference); `worse`: label of a setting -> the
    metrics in which it is worse than the best; `untested`: why there are no tests, if so. The table of codes is of the
    model with the best micro-F1, and the plot of single groups of the best joint model if there is one.
    """
    settings = settings_of(experiments)
    main = main_settings(settings)
    coding = _best(main)
    counting = _best([setting for setting in main if setting.model.joint]) or coding
    codes, groups = (setting.experiments[0].plots if setting else {} for setting in (coding, counting))
    parts = [
        _part(tables.main_table(settings, worse), draw(plots.intervals, settings), draw(plots.training, main)),
        _part(tables.difference_table(differences)),
        _part(tables.comparison_table("present", settings)),
        _part(tables.official_table(settings)),
        _part(tables.variant_table("open", settings)),
        _part(tables.ablation_table(settings), draw(plots.synonyms, settings)),
        _part(tables.band_table(settings)),
        _part(tables.variant_table("thresholds", settings)),
        _part(tables.variant_table("calibration", settings), draw(plots.reliability, main)),
        _part(tables.setting_table("selective", settings)),
        _part(
            tables.variant_table("quantification", settings),
            draw(plots.prevalence, groups.get("prevalence"), of=counting.label if counting else ""),
        ),
        _part(tables.explanation_table(settings), draw(plots.explanation, main)),
    ]
    counted = {id(run) for setting in settings for run in setting.experiments}
    runs = [experiment for experiment in experiments if id(experiment) in counted]
    names = ", ".join(experiment.name for experiment in runs)
    number = f"{len(runs)} experiment{'s' if len(runs) > 1 else ''}"
    sizes = corpus_sizes(experiments[0])
    caution = tables.TWO_RUNS if differences else ""
    introduction = " ".join(filter(None, [*findings(differences), caution, sizes, f"{number}: {names}.", untested]))
    shown = _code_table(codes["codes"]) if "codes" in codes else None
    return Section(
        experiments[0].corpus_title,
        introduction,
        tuple(part for part in parts if part),
        shown,
        coding.label if coding else "",
    )


def corpus_sizes(experiment: Experiment) -> str:
    numbers = [experiment.metrics.get(f"splits.{part}.documents") for part in PARTS]
    if not all(numbers):
        return ""
    documents = " / ".join(f"{number:,}" for number in numbers)
    encoder = experiment.params.get("encoder.source")
    n_codes = experiment.metrics.get("splits.codes")
    return f"{documents} documents to train, validate and test, {n_codes:,} codes; encoder: {encoder}."


def findings(differences: Sequence[tuple[str, str, str, Mapping[str, Difference]]]) -> list[str]:
    """The results of the micro-F1 tests in sentences: significant differences first, then unclear ones."""
    sentences, unclear = [], []
    for _, first, second, tested in differences:
        value, low, high, p = tested["f1_micro"]
        if p >= tables.SIGNIFICANT or low <= 0 <= high:
            unclear.append(f"{first} and {second}")
            continue
        least, most = sorted((100 * abs(low), 100 * abs(high)))
        by = f"{100 * abs(value):.1f} points of micro-F1 (95 % interval {least:.1f} to {most:.1f})"
        sentences.append(f"{first} is {'better' if value > 0 else 'worse'} than {second} by {by}.")
    if unclear:
        sentences.append(f"No difference is shown between {', between '.join(unclear)}.")
    return sentences


def _part(table: Table, *figures: str | None) -> Part | None:
    """A part without an empty table or missing plots; None if nothing remains."""
    shown = tuple(figure for figure in figures if figure is not None)
    return Part(table if table.rows else None, shown) if table.rows or shown else None


def _best(settings: Sequence[Setting]) -> Setting | None:
    scored = [(setting.values("classification.test.f1_micro"), setting) for setting in settings]
    scored = [(values.mean(), setting) for values, setting in scored if values.size]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def markdown(sections: Iterable[Section]) -> str:
    parts = ["# ICD coding: experiments compared\n"]
    for section in sections:
        parts += [f"## {section.title}\n", f"{section.introduction}\n", *(table.markdown() for table in section.tables)]
    return "\n".join(parts)


def _code_table(table: pd.DataFrame) -> pd.DataFrame:
    shown = table[[name for name in CODE_COLUMNS if name in table]].rename(columns=CODE_COLUMNS)
    return shown.map(lambda value: f"{value:.3f}" if isinstance(value, float) else value).replace("nan", "")


def page(sections: Sequence[Section]) -> str:
    """The whole report as one page. Everything but the plots is escaped."""
    template = TEMPLATES.get_template("page.html")
    return template.render(sections=sections, metrics=METRICS, zip=zip)
