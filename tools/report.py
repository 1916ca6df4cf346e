"""Compile experiments into the paper's tables and plots: report/tables.md, report/*.csv and report/index.html.

    python -m tools.report                       the workspace and all experiments of the current commit
    python -m tools.report main exp-a exp-b      these revisions: experiments, branches, commits, `workspace`

Metrics and plot data come from git, and the predictions for the tests from DVC's cache as far as it has them.
"""

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
import scipy.sparse as sp
import vl_convert
from dvc.exceptions import DvcException
from dvc.scm import SCMError
from safetensors.numpy import load

from stages.common import io, params, paths
from stages.common.io import InputError, md5
from stages.common.lock import Record
from stages.common.runner import progress_bar, run
from stages.common.workspace import git
from stages.evaluation import tuning, uncertainty
from stages.evaluation.scored import Predictions
from tools.common.outputs import check_folder
from tools.common.revisions import WORKSPACE, open_revision, read_file
from tools.reporting import experiments as runs
from tools.reporting import page, tables
from tools.reporting.experiments import Experiment, Setting, comparable
from tools.reporting.metrics import METRICS
from tools.reporting.tables import Difference

log = logging.getLogger("tools.report")

UNFINISHED = ("Queued", "Running", "Failed")
METRIC_FILES = (
    paths.CLASSIFICATION,
    paths.CALIBRATION,
    paths.QUANTIFICATION,
    paths.SELECTIVE,
    paths.SYNONYM_STATISTICS,
    paths.SPLIT_STATISTICS,
    paths.BASELINES,
    paths.OPEN_CODES,
    paths.EXPLANATIONS,
)
NEEDED = paths.CLASSIFICATION  # without it, an experiment has not been evaluated
PLOTS = ("training", "reliability", "reliability_open", "codes", "bands", "prevalence")
TABLES = "tables.md"
TESTED = {  # metric -> its key among an experiment's figures
    "f1_micro": "classification.test.f1_micro",
    "f1_macro": "classification.test.f1_macro",
    "mece": "calibration.test.mece",
}


def revisions() -> list[str]:
    """The current commit, its finished experiments and the workspace, latest last."""
    git("rev-parse")  # reports it if git refuses the repository
    try:
        rows = dvc.api.exp_show()
    except (DvcException, SCMError) as error:
        raise InputError(f"experiments cannot be listed here: {error}") from None
    finished = [row for row in reversed(rows) if row["State"] not in UNFINISHED]
    if left_out := len(rows) - len(finished):
        log.info("%d experiments that are queued, running or failed are left out", left_out)
    commits = [row["rev"] for row in finished if not row["Experiment"] and row["rev"] != WORKSPACE]
    return [*commits, *(row["Experiment"] for row in finished if row["Experiment"]), WORKSPACE]


def read_experiment(revision: str) -> Experiment | None:
    """The experiment of a revision; None if it was never evaluated. Raises InputError for unreadable files.

    Settings are those recorded in its dvc.lock, and figures are only used if that records their files too.
    """
    files = open_revision(revision)
    text, measured = read_file(files, paths.PARAMS), read_file(files, NEEDED)
    if text is None or measured is None:
        return None
    record = Record.read(lambda path: read_file(files, path), f"revision {revision}")
    if (doubt := record.doubt(NEEDED, md5(measured))) is not None:
        log.warning("%s: its figures are not from the recorded run: %s", revision, doubt)
        return None
    contents: dict[Path, Any] = {}
    for path in (*METRIC_FILES, *(paths.PLOTS / f"{name}.csv" for name in PLOTS)):
        content = read_file(files, path)
        if content is not None and (doubt := record.doubt(path, md5(content))) is None:
            contents[path] = _parse(content, path, revision)
        elif content is not None:
            log.warning("%s: %s is left out: %s", revision, path, doubt)
    try:
        settings = record.settings() or params.parse(text.decode(), f"{paths.PARAMS} of revision {revision}")
    except UnicodeDecodeError:
        raise InputError(f"{paths.PARAMS} of revision {revision} is not UTF-8 text") from None
    joint = paths.JOINT_MODEL / "joint.json"
    trained = _parse(read_file(files, joint) or b"{}", joint, revision)
    settings.setdefault("compute", {})["processes"] = trained.get("processes", 1)
    metrics, plots = (
        {path.stem: value for path, value in contents.items() if path.suffix == kind} for kind in (".json", ".csv")
    )
    return Experiment(revision, runs.flat(settings), runs.flat(metrics), plots)


def _parse(content: bytes, path: Path, revision: str) -> Any:
    """The content of a file of metrics (an object) or plot data (a table). Raises InputError if it is damaged."""
    try:
        if path.suffix == ".csv":
            return pd.read_csv(BytesIO(content), dtype=dict.fromkeys(("code", "band", "kind"), str))
        if isinstance(value := json.loads(content), dict):
            return value
        error = "it is no object"
    except (ValueError, RecursionError) as wrong:  # pandas' errors are ValueErrors too
        error = " ".join(str(wrong).split())
    raise InputError(f"{path} of revision {revision} is not valid {path.suffix[1:].upper()} ({error})")


def gather(names: Sequence[str]) -> list[Experiment]:
    """The experiments of the named revisions, or all available ones. Raises InputError if there is none."""
    experiments = []
    for name in progress_bar(names or revisions(), desc="experiments", unit="revision"):
        experiment = read_experiment(name)
        if experiment is not None:
            experiments.append(experiment)
        elif names:
            raise InputError(f"revision {name} has no {NEEDED} of its own; `dvc repro` or `dvc exp run` makes it")
        else:
            log.info("%s has no %s and is left out", name, NEEDED)
    if not experiments:
        raise InputError(f"no experiment has {NEEDED}; `dvc repro` makes the first one")
    return experiments


def read_predictions(experiment: Experiment) -> Predictions | None:
    """The test predictions behind an experiment's metrics; None if DVC's cache does not have all of them."""
    files = open_revision(experiment.name)
    folder = paths.JOINT_MODEL if experiment.model.joint else paths.PREDICTIONS
    needed = (paths.predictions(folder, "test"), paths.targets("test"), paths.LABEL_DOCUMENTS)
    logits, targets, documents = (read_file(files, path) for path in needed)
    if logits is None or targets is None or documents is None:
        return None
    table = pd.read_parquet(BytesIO(documents), columns=["part", "subject_id"])
    patients = table["subject_id"][table["part"] == "test"].to_numpy()
    return Predictions(sp.csr_array(sp.load_npz(BytesIO(targets))), load(logits)["logits"], patients)


class Tests:
    """Paired tests between settings, on runs with equal seeds; predictions are read, and pairs compared, once."""

    def __init__(self, settings: Iterable[Setting], resamples: int, seed: int) -> None:
        self.resamples, self.seed = resamples, seed
        self.known: dict[tuple[str, str], dict[str, dict]] = {}
        self.predictions: dict[str, Predictions | None] = {}
        self.statistics: dict[str, dict[str, uncertainty.Statistic]] = {}
        self.lacking = {setting.label for setting in settings if not self.load(setting.experiments[0])}

    def load(self, run: Experiment) -> Predictions | None:
        if run.name not in self.predictions:
            self.predictions[run.name] = predictions = read_predictions(run)
            if predictions:
                cells = predictions.targets, predictions.probabilities
                known = uncertainty.decision_statistics(predictions.targets, predictions.probabilities > tuning.PAPER)
                known["mece"] = uncertainty.mece(*cells, run.params["evaluate.bins"])
                self.statistics[run.name] = {metric: known[metric] for metric in TESTED}
        return self.predictions[run.name]

    def possible(self, first_setting: Setting, second_setting: Setting) -> bool:
        """Whether the predictions of all compared runs are available and on the same documents."""
        first, *others = (self.load(run) for pair in comparable(first_setting, second_setting) for run in pair)
        return first is not None and all(part and first.are_of_the_same_documents(part) for part in others)

    def pairs(self, pairs: Sequence[tuple[Setting, Setting]]) -> list[dict[str, Difference]]:
        """The tested differences of pairs, with p-values corrected for the number of pairs."""
        compared = [self.compare_runs(comparable(first, second)) for first, second in pairs]
        corrected = {metric: uncertainty.holm([result[metric]["p"] for result in compared]) for metric in TESTED}

        def difference(result: dict, p: float) -> Difference:
            low, high = result["interval"]
            return Difference(result["difference"], low, high, p)

        return [
            {metric: difference(result[metric], corrected[metric][i]) for metric in TESTED}
            for i, result in enumerate(compared)
        ]

    def compare_runs(self, pairs: Sequence[tuple[Experiment, Experiment]]) -> dict[str, dict]:
        first, second = pairs[0]
        if (first.name, second.name) not in self.known:
            names = first.type, first.name, second.type, second.name
            log.info("testing %s (%s) against %s (%s), %d runs each", *names, len(pairs))
            predictions = self.load(first)
            assert predictions is not None  # `possible` has been checked
            tested = [(self.statistics[first.name], self.statistics[second.name]) for first, second in pairs]
            result = uncertainty.compare(tested, predictions.patients, self.resamples, self.seed)
            self.known[first.name, second.name] = result
        return self.known[first.name, second.name]


def build_section(experiments: Sequence[Experiment], resamples: int, seed: int) -> page.Section:
    """The section of one corpus, with tests as far as predictions are available."""
    settings = runs.settings_of(experiments)
    if not resamples or len(settings) < 2:
        return page.section_of(experiments)
    tests = Tests(settings, resamples, seed)
    asked = [contrast for contrast in runs.contrasts(settings) if tests.possible(*contrast[1:])]
    tested = tests.pairs([contrast[1:] for contrast in asked])
    differences = [
        (question, first.label, second.label, result)
        for (question, first, second), result in zip(asked, tested, strict=True)
    ]
    missing = sorted(tests.lacking)
    untested = f"No tests for {', '.join(missing)}: the predictions are no longer in DVC's cache." if missing else ""
    return page.section_of(experiments, differences, worse_than_best(settings, tests), untested)


def worse_than_best(settings: Sequence[Setting], tests: Tests) -> dict[str, set[str]]:
    """Label of a setting in the main table -> the metrics in which a test finds it worse than the best."""
    main = runs.main_settings(settings)
    worse: dict[str, set[str]] = {}
    for metric, key in TESTED.items():
        scored = [setting for setting in main if setting.values(key).size]
        if len(scored) < 2:
            continue
        sign = 1 if METRICS[metric].better == "higher" else -1
        best = max(scored, key=lambda setting: sign * setting.values(key).mean())
        others = [setting for setting in scored if setting is not best and tests.possible(best, setting)]
        for setting, result in zip(others, tests.pairs([(best, setting) for setting in others]), strict=True):
            if result[metric].p < tables.SIGNIFICANT and sign * result[metric].value > 0:
                worse.setdefault(setting.label, set()).add(metric)
    return worse


def write(folder: Path, sections: Sequence[page.Section]) -> str:
    """Write the report to `folder`, with the JavaScript for `dvc plots show`; returns the markdown."""
    text = page.markdown(sections)
    vega = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    contents = {TABLES: text, "index.html": page.page(sections), "vega.js": vega}
    for i, section in enumerate(sections):
        prefix = f"{i}_" if len(sections) > 1 else ""
        contents |= {f"{prefix}{table.name}.csv": table.csv() for table in section.tables}
    for name, content in contents.items():
        io.write_text(folder / name, content)
    return text


def say_other_bytes() -> None:
    """Warn about outputs that differ from the committed ones although all their inputs are equal."""
    try:
        committed = open_revision("HEAD")
    except InputError:
        return  # no commit yet
    record = Record.read(lambda path: read_file(committed, path), "HEAD")
    if stages := Record.from_folder().other_bytes(record):
        log.warning(
            "%s: other bytes than committed, of the same code, inputs and settings: computed on another kind of "
            "processor or with other libraries (docs/OPERATING.md, The same bytes)",
            ", ".join(stages),
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.report", description="The paper's tables from experiments.")
    parser.add_argument("revisions", nargs="*", help="default: the workspace and all experiments of this commit")
    parser.add_argument("--folder", type=Path, default=paths.REPORT, help="where to write (default: %(default)s)")
    parser.add_argument("--resamples", type=int, default=2000, help="of the tests; 0: no tests (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=888)
    arguments = parser.parse_args()
    earlier = {path.name for path in arguments.folder.glob("*")} if (arguments.folder / TABLES).is_file() else set()
    check_folder(arguments.folder, earlier)
    experiments = gather(arguments.revisions)
    say_other_bytes()
    sections = [build_section(group, arguments.resamples, arguments.seed) for group in runs.corpora(experiments)]
    sys.stdout.write(write(arguments.folder, sections))
    log.info("%d revisions read; the page is %s", len(experiments), arguments.folder / "index.html")


if __name__ == "__main__":
    run(main)
