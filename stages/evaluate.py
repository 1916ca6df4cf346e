"""Stage evaluate: from predictions to metrics, and to the data of the plots."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.corpus.text import count_words
from stages.evaluation import (
    calibration,
    classification,
    codiesp_official,
    per_code,
    recalibration,
    thresholds,
    uncertainty,
)
from stages.evaluation.by_length import length_table
from stages.evaluation.present import present_intervals, present_metrics
from stages.evaluation.uncertainty import Resampling
from stages.handover.logits import read_logits
from stages.handover.trained import is_joint, predictions_folder
from stages.project import files, formats, params, paths
from stages.project.durations import WHERE_TO_LOOK
from stages.project.errors import InputError
from stages.project.parts import SCORED
from stages.project.stage import run
from stages.project.threads import limit
from stages.quantification import comparison
from stages.quantification.quantifiers import PrevalenceMLP, load_mlp

log = logging.getLogger("stages.evaluate")


@dataclass(frozen=True)
class Evaluated:
    """The predictions of one part beside its targets, all (N, C), and the patients (N,) of its documents."""

    targets: sp.csr_array
    logits: np.ndarray
    probabilities: np.ndarray
    patients: np.ndarray

    def resampling(self, settings: params.Evaluate) -> Resampling:
        """What the intervals of this part's figures are drawn by."""
        return Resampling(self.patients, settings.bootstrap, settings.seed)


def load_part(part: str, folder: Path, n_columns: int) -> Evaluated:
    """Targets and predictions of one part. Raises InputError where they are missing or do not fit."""
    path = paths.predictions(folder, part)
    logits = read_logits(path)
    targets = formats.read_csr(paths.targets(part))
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "subject_id"])
    patients = documents.subject_id[documents.part == part].to_numpy()
    if not logits.shape == targets.shape == (len(patients), n_columns):
        raise InputError(
            f"{path}: logits of shape {logits.shape} do not fit the targets of shape {targets.shape}, "
            f"{len(patients)} documents and {n_columns} codes of {paths.LABELS}; `dvc repro` makes them fit"
        )
    return Evaluated(targets, logits, classification.sigmoid(logits), patients)


def decided(part: Evaluated, threshold: float | np.ndarray, settings: params.Evaluate) -> dict[str, Any]:
    """The metrics of decisions at a threshold other than the paper's, and the intervals of the F1."""
    decisions = part.probabilities > threshold
    metrics = classification.decision_metrics(part.targets, decisions)
    chosen = ("f1_micro", "f1_macro", "f1_macro_mullenbach", "precision_micro", "recall_micro")
    statistics = uncertainty.decision_statistics(part.targets, decisions)
    intervals = uncertainty.intervals(statistics, *part.resampling(settings))
    return {name: metrics[name] for name in chosen} | {"intervals": intervals}


def classification_metrics(
    part: Evaluated, shared: float, by_code: np.ndarray, settings: params.Evaluate
) -> dict[str, Any]:
    """All classification metrics of one part: decisions at 0.5, at one tuned threshold, at one for each code.

    Intervals are lists, which `dvc metrics diff` passes over.
    """
    metrics = classification.decision_metrics(part.targets, part.probabilities > thresholds.PAPER)
    metrics |= classification.ranking_metrics(part.targets, part.probabilities, settings.k)
    statistics = uncertainty.classification_statistics(part.targets, part.probabilities, settings.k)
    resampling = part.resampling(settings)
    tuned = present_metrics(part.targets, part.probabilities, shared, settings.k)
    tuned_intervals = present_intervals(part.targets, part.probabilities, shared, settings.k, *resampling)
    return metrics | {
        "present": present_metrics(part.targets, part.probabilities, thresholds.PAPER, settings.k)
        | {"shared_threshold": {**tuned, "intervals": tuned_intervals}},
        "shared_threshold": {"threshold": shared} | decided(part, shared, settings),
        "code_thresholds": decided(part, by_code, settings),
        "intervals": uncertainty.intervals(statistics, *resampling),
    }


def recalibrations(val: Evaluated) -> tuple[float, dict[str, Callable[[np.ndarray], np.ndarray]]]:
    """The temperature, and maps of logits (N, C) to calibrated ones, fitted on validation."""
    temperature = recalibration.fit_temperature(val.targets, val.logits)
    slopes, intercepts = recalibration.fit_platt(val.targets, val.logits)
    return temperature, {
        "temperature": lambda logits: logits / np.float32(temperature),
        "platt": lambda logits: logits * slopes + intercepts,
    }


def calibration_metrics(part: Evaluated, settings: params.Evaluate) -> dict[str, Any]:
    """All calibration metrics of one part, with intervals."""
    statistics = uncertainty.calibration_statistics(part.targets, part.logits, part.probabilities, settings.bins)
    metrics = calibration.calibration_metrics(part.targets, part.logits, part.probabilities, settings.bins)
    intervals = uncertainty.intervals(statistics, *part.resampling(settings))
    return metrics | {"intervals": intervals}


def recalibrated(part: Evaluated, recalibrate: Callable[[np.ndarray], np.ndarray]) -> Evaluated:
    """The part's predictions after a recalibration."""
    logits = recalibrate(part.logits)
    return replace(part, logits=logits, probabilities=classification.sigmoid(logits))


def diagram(part: Evaluated, bins: int) -> pd.DataFrame:
    """The reliability diagram of one part."""
    return calibration.reliability(calibration.Bins.of(part.targets, part.probabilities, bins))


def networks(joint: bool) -> dict[str, PrevalenceMLP]:
    """The trained quantifiers: `mlp`, and `clq` of a joint model. Raises InputError where one is missing."""
    trained = {"mlp": load_mlp(paths.QUANTIFIER)}
    return trained | {"clq": load_mlp(paths.JOINT_MODEL, "quantifier.safetensors")} if joint else trained


def quantification(
    parts: dict[str, Evaluated],
    calibrate: Callable[[np.ndarray], np.ndarray],
    joint: bool,
    training: np.ndarray,
    settings: params.Quantifier,
    intervals: bool,
) -> comparison.Comparison:
    """All quantifiers side by side; `calibrate` maps logits, `training` (C,) counts each code's training documents."""
    val, test = (
        comparison.Evidence(
            part.probabilities, part.targets, recalibrated(part, calibrate).probabilities, part.patients
        )
        for part in (parts[name] for name in SCORED)
    )
    return comparison.compare(
        val,
        test,
        networks(joint),
        bands=per_code.bands(training),
        train_samples=settings.train_samples,
        test_samples=settings.test_samples,
        seed=settings.seed,
        intervals=intervals,
    )


def paper_metrics(
    classified: dict[str, Any], calibrated: dict[str, Any], quantified: dict[str, Any], joint: bool, ks: Sequence[int]
) -> dict[str, float]:
    """What the paper's tables have, of the test part, in percent; AE and RAE are of the model's own quantifier."""
    names = ("auc_macro", "auc_micro", "f1_macro", "f1_macro_mullenbach", "f1_micro")
    figures = {name: classified[name] for name in (*names, *(f"precision_at_{k}" for k in ks))}
    own = quantified["clq" if joint else "mlp"]
    figures |= {"mece": calibrated["mece"], "ae": own["ae"], "rae": own["rae"]}
    return {name: round(100 * value, 2) for name, value in figures.items()}


def official(
    part: str,
    gold: dict[str, list[str]],
    evaluated: Evaluated,
    codes: list[str],
    threshold: float,
    settings: params.Evaluate,
) -> tuple[dict[str, Any], dict[str, str]]:
    """CodiEsp's own evaluation of a part, and its predictions in the form of its script, by file name.

    Intervals are over cases, each of which is a patient of its own.
    """

    def intervals(statistics: dict[str, uncertainty.Statistic]) -> dict[str, list[float]]:
        return uncertainty.intervals(statistics, np.arange(len(gold)), settings.bootstrap, settings.seed)

    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "document_id"])
    cases = documents.document_id[documents.part == part].tolist()
    order = np.argsort(-evaluated.probabilities, axis=1, kind="stable")
    ranked = {case: [codes[at] for at in row] for case, row in zip(cases, order, strict=True)}
    figures: dict[str, Any] = {
        "map": codiesp_official.mean_average_precision(gold, ranked),
        "unreachable": codiesp_official.unreachable(gold, codes),
        "intervals": intervals({"map": codiesp_official.map_statistic(gold, ranked)}),
    }
    written = {f"{part}_ranked.tsv": codiesp_official.tsv(ranked)}
    for name, cut in (("at_half", thresholds.PAPER), ("at_tuned_threshold", threshold)):
        n_assigned = (evaluated.probabilities > cut).sum(axis=1)
        assigned = {case: ranked[case][:n] for case, n in zip(cases, n_assigned, strict=True)}
        statistics = codiesp_official.micro_statistics(gold, assigned)
        figures[name] = {**codiesp_official.micro(gold, assigned), "intervals": intervals(statistics)}
        written[f"{part}_assigned_{name}.tsv"] = codiesp_official.tsv(assigned)
    return figures, written


def main() -> None:
    """Compute everything, then write metrics/*.json and metrics/plots/*.csv."""
    settings = params.load()
    limit(settings.compute.threads)
    bins = settings.evaluate.bins
    names, known = files.read_json(paths.LABEL_CODES), files.read_json(paths.CODES)
    joint = is_joint()
    parts = {part: load_part(part, predictions_folder(), len(names)) for part in SCORED}
    val, test = parts["val"], parts["test"]
    train = formats.read_csr(paths.targets("train"))
    training = classification.positives_by_code(train)

    shared = thresholds.shared_threshold(val.targets, val.probabilities)
    by_code = thresholds.code_thresholds(val.targets, val.probabilities)
    classified = {
        name: classification_metrics(part, shared, by_code, settings.evaluate) for name, part in parts.items()
    }
    kinds = {code: known[code]["kind"] for code in names}
    resampling = test.resampling(settings.evaluate)
    table = per_code.code_table(test.targets, test.probabilities, names, kinds, training, by_code, bins, resampling)
    texts = pd.read_parquet(paths.split("test"), columns=["text"])["text"]
    n_words = texts.map(count_words).to_numpy()
    plots = {
        "codes": table,
        "bands": per_code.band_table(test.targets, test.probabilities, table, resampling),
        "lengths": length_table(test.targets, test.probabilities, n_words, resampling),
    }
    log.info(
        "test: %d documents, micro-F1 %.3f, macro-F1 %.3f",
        *(len(test.patients), classified["test"]["f1_micro"], classified["test"]["f1_macro"]),
    )

    calibrated = {name: calibration_metrics(part, settings.evaluate) for name, part in parts.items()}
    plots["reliability"] = diagram(test, bins)
    temperature, maps = recalibrations(val)
    for method, recalibrate in maps.items():
        again = {name: recalibrated(part, recalibrate) for name, part in parts.items()}
        for name, part in again.items():
            calibrated[name][method] = calibration_metrics(part, settings.evaluate)
        plots[f"reliability_{method}"] = diagram(again["test"], bins)
    for metrics in calibrated.values():
        metrics["temperature"]["temperature"] = temperature
    log.info("test: MECE %.4f, temperature %.2f", calibrated["test"]["mece"], temperature)

    quantified = quantification(
        parts, maps["platt"], joint, training, settings.quantifier, settings.evaluate.bootstrap > 0
    )
    plots |= {
        "quantification_bands": quantified.by_band,
        "quantification_sizes": quantified.by_size,
        "prevalence": quantified.points,
    }

    gold = files.read_json(paths.GOLD)
    submission: dict[str, str] = {}
    for name in SCORED if gold else ():
        classified[name]["official"], written = official(
            name, gold[name], parts[name], names, shared, settings.evaluate
        )
        submission |= written
    with files.whole_directory(paths.SUBMISSION) as folder:
        formats.write_json(folder / "files.json", sorted(submission))
        for name, text in submission.items():
            (folder / name).write_text(text, encoding="utf-8")
    own = paper_metrics(classified["test"], calibrated["test"], quantified.metrics["test"], joint, settings.evaluate.k)
    formats.write_json(paths.PAPER, own)
    formats.write_json(paths.CLASSIFICATION, classified)
    formats.write_json(paths.CALIBRATION, calibrated)
    formats.write_json(paths.QUANTIFICATION, quantified.metrics)
    for name, plot in plots.items():
        formats.write_csv(paths.PLOTS / f"{name}.csv", plot)
    log.info("%s", WHERE_TO_LOOK)


if __name__ == "__main__":
    run(main, memory="quantifier.test_samples or evaluate.bootstrap")
