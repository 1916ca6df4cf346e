"""The report: for each corpus the paper's tables and the plots, as markdown, CSV and one self-contained page."""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from stages.evaluation import plots, tables
from stages.evaluation.experiments import Experiment, Setting, main_settings, settings_of
from stages.evaluation.tables import Difference, Table
from stages.project.parts import PARTS

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
SORT = """
for (const table of document.querySelectorAll('table.sorted')) {
  table.querySelectorAll('th').forEach((head, at) => {
    let up = true;
    head.style.cursor = 'pointer';
    head.addEventListener('click', () => {
      const key = row => row.cells[at].textContent;
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => (up ? 1 : -1) * key(a).localeCompare(key(b), 'en', {numeric: true}));
      up = !up;
      table.tBodies[0].append(...rows);
    });
  });
}
"""
CSS = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff; --quiet: #555; --line: #e3e6e9; --rule: #444; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --paper: #16181b; --quiet: #a8adb3; --line: #2c3036; --rule: #8a9097; }
  .plots svg { background: #fff; border-radius: 6px; padding: .4rem; }
}
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); background: var(--paper);
       max-width: 84rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { margin-top: 3rem; border-bottom: 2px solid #0072b2; }
h3 { margin: 2rem 0 .5rem; }
.table { overflow-x: auto; }
figure { margin: 0; }
table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .25rem .5rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 1.5px solid var(--rule); border-top: 1.5px solid var(--rule); white-space: normal;
           vertical-align: bottom; min-width: 3.2rem; }
tbody tr:last-child td { border-bottom: 1.5px solid var(--rule); }
tbody tr.first td { border-top: 1px solid var(--line); }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--paper); }
.figure { text-align: right; font-variant-numeric: tabular-nums; }
small { color: var(--quiet); font-size: .74rem; white-space: nowrap; }
tr.beside { color: var(--quiet); }
.caption { color: var(--quiet); font-size: .88rem; max-width: 60rem; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.plots svg { max-width: 100%; height: auto; box-sizing: border-box; }
.table td:first-child { white-space: normal; min-width: 6.5rem; }
nav a { margin-right: 1.2rem; }
details { margin: 1.5rem 0; } summary { cursor: pointer; font-weight: 600; }
"""


@dataclass(frozen=True)
class Part:
    """A table, if there is one, with the plots that belong to it."""

    table: Table | None
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Section:
    """What is said of one corpus."""

    title: str
    introduction: str
    parts: tuple[Part, ...]
    per_code: tuple[str, pd.DataFrame] | None = None  # the label of the model of best micro-F1, and its codes.csv

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
    metrics in which it is worse than the best; `untested`: why there are no tests, if there are none. Plots of single
    codes show the model of best micro-F1, those of single groups the best joint one, if there is one.
    """
    settings = settings_of(experiments)
    main = main_settings(settings)
    coding = _best(main)
    counting = _best([setting for setting in main if setting.type.endswith("_CLQ")]) or coding
    codes, groups = (setting.experiments[0].plots if setting else {} for setting in (coding, counting))
    of_codes, of_groups = (setting.label if setting else "" for setting in (coding, counting))
    selection = [setting.experiments[0].plots.get("diversity") for setting in settings if setting.M]
    parts = [
        _part(tables.main_table(settings, worse), plots.f1_intervals(settings), plots.training_curves(main)),
        _part(tables.difference_table(differences)),
        _part(tables.present_table(settings)),
        _part(tables.official_table(settings)),
        _part(
            tables.ablation_table(settings),
            plots.f1_against_M(settings),
            plots.diversity_against_M(next((table for table in selection if table is not None), None)),
        ),
        _part(tables.band_table(settings), plots.f1_against_frequency(codes.get("codes"), of_codes)),
        _part(tables.length_table(settings)),
        _part(tables.threshold_table(settings)),
        _part(tables.calibration_table(settings), plots.reliability(main)),
        _part(
            tables.quantification_table(settings),
            plots.true_and_estimated(groups.get("prevalence"), of_groups),
            plots.error_against_size(groups.get("quantification_sizes"), of_groups),
            plots.error_by_frequency(groups.get("quantification_bands"), of_groups),
        ),
    ]
    parts.append(_part(tables.evidence_table(settings), plots.evidence(main)))
    names = ", ".join(experiment.name for experiment in experiments)
    number = f"{len(experiments)} experiment{'s' if len(experiments) > 1 else ''}"
    sizes = sizes_of(experiments[0])
    several = differences and any(len(setting.experiments) > 1 for setting in settings)
    first = "Where there are several seeds, these differences are of the first." if several else ""
    introduction = " ".join(filter(None, [*found(differences), first, sizes, f"{number}: {names}.", untested]))
    per_code = (of_codes, codes["codes"]) if "codes" in codes else None
    return Section(experiments[0].corpus_title, introduction, tuple(part for part in parts if part), per_code)


def sizes_of(experiment: Experiment) -> str:
    """The corpus in figures, and the encoder."""
    numbers = [experiment.metrics.get(f"splits.{part}.documents") for part in PARTS]
    if not all(numbers):
        return ""
    documents = " / ".join(f"{number:,}" for number in numbers)
    encoder = experiment.params.get("encoder.source")
    n_codes = experiment.metrics.get("splits.codes")
    return f"{documents} documents to train, validate and test, {n_codes:,} codes; encoder: {encoder}."


def found(differences: Sequence[tuple[str, str, str, Mapping[str, Difference]]]) -> list[str]:
    """What the tests of micro-F1 found, in sentences: who is better and by how much, then where that may be chance."""
    sentences, unclear = [], []
    for _, one, two, tested in differences:
        value, low, high, p = tested["f1_micro"]
        if p >= tables.SIGNIFICANT or low <= 0 <= high:
            unclear.append(f"{one} and {two}")
            continue
        least, most = sorted((100 * abs(low), 100 * abs(high)))
        by = f"{100 * abs(value):.1f} points of micro-F1 (95 % interval {least:.1f} to {most:.1f})"
        sentences.append(f"{one} is {'better' if value > 0 else 'worse'} than {two} by {by}.")
    if unclear:
        sentences.append(f"No difference is shown between {', between '.join(unclear)}.")
    return sentences


def _part(table: Table, *figures: Figure | None) -> Part | None:
    """A part without the table or plots in which nothing stands; None if that is all of it."""
    drawn = tuple(figure for figure in figures if figure is not None)
    return Part(table if table.rows else None, drawn) if table.rows or drawn else None


def _best(settings: Sequence[Setting]) -> Setting | None:
    """The setting of best micro-F1 on test."""
    scored = [(setting.values("classification.test.f1_micro"), setting) for setting in settings]
    scored = [(values.mean(), setting) for values, setting in scored if values.size]
    return max(scored, key=lambda pair: pair[0])[1] if scored else None


def markdown(sections: Iterable[Section]) -> str:
    """All tables in markdown."""
    parts = ["# ICD coding: experiments compared\n"]
    for section in sections:
        parts += [f"## {section.title}\n", f"{section.introduction}\n", *map(tables.markdown, section.tables)]
    return "\n".join(parts)


def _codes(label: str, table: pd.DataFrame) -> str:
    """Every code of one model in a table that is folded away, and sorted by a click on a column's name."""
    columns = [name for name in CODE_COLUMNS if name in table]
    head = "".join(f"<th>{html.escape(CODE_COLUMNS[name])}</th>" for name in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_written(value))}</td>" for value in row) + "</tr>"
        for row in table[columns].itertuples(index=False)
    )
    return (
        f"<details><summary>All {len(table)} codes, {html.escape(label)} (a click on a column sorts)</summary>\n"
        f'<div class="table"><table class="sorted"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
        "</details>"
    )


def _written(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3f}"
    return str(value)


def page(sections: Sequence[Section]) -> str:
    """The whole report as one page that needs nothing else."""
    body = ["<h1>ICD coding: experiments compared</h1>"]
    if len(sections) > 1:
        links = "".join(f'<a href="#s{at}">{html.escape(section.title)}</a>' for at, section in enumerate(sections))
        body.append(f"<nav>{links}</nav>")
    for at, section in enumerate(sections):
        body.append(f'<h2 id="s{at}">{html.escape(section.title)}</h2>\n<p>{html.escape(section.introduction)}</p>')
        for part in section.parts:
            body += [tables.hypertext(part.table)] if part.table else []
            drawn = "\n".join(f"<figure>{plots.svg(figure)}</figure>" for figure in part.figures)
            body.append(f'<div class="plots">\n{drawn}\n</div>')
        if section.per_code:
            body.append(_codes(*section.per_code))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>ICD coding: experiments compared</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + (f"\n<script>{SORT}</script>" if any(section.per_code for section in sections) else "")
        + "\n</body>\n</html>\n"
    )
