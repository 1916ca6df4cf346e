"""Compute metrics and plot data from predictions."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.special import expit

from stages.common import io, params, paths, threads
from stages.common.io import InputError
from stages.common.parts import SCORED, UNCODED
from stages.common.runner import run
from stages.evaluation import breakdowns, calibration, classification, official, selective, tuning, uncertainty
from stages.evaluation.scored import Predictions, Resampling
from stages.modeling.predictions import is_joint, predictions_folder, read_logits, read_predictions
from stages.quantification import comparison
from stages.quantification.counting import Counting
from stages.quantification.quantifiers import load_mlp

log = logging.getLogger("stages.evaluate")

SHOWN = (  # in the main tables of the paper and the report, in percent
    *("auc_macro", "auc_micro", "f1_macro", "f1_macro_mullenbach", "f1_micro"),
    *(f"precision_at_{k}" for k in classification.KS),
)

Metrics = dict[str, Any]
Plots = dict[str, pd.DataFrame]  # by file name in metrics/plots


class Given(NamedTuple):
    val: Predictions
    test: Predictions
    codes: list[str]
    training: sp.csr_array  # targets of the training documents
    resampling: Resampling  # of test patients
    settings: params.Params


def main() -> None:
    """Compute everything, then write metrics/*.json, metrics/plots/*.csv and models/counting.safetensors."""
    settings = params.load()
    threads.limit(settings.compute.threads)
    given = read(settings)
    classified, plots = classify(given)
    platt = np.stack(tuning.fit_platt(given.val.targets, given.val.logits))
    calibrated, diagram = calibrate(given, platt)
    selected, curve = select(given)
    quantified, errors, counting = quantify(given, platt)
    official_figures, submission = score_officially(given, classified["val"]["shared_threshold"]["threshold"])
    for part, figures in official_figures.items():
        classified[part]["official"] = figures

    with io.whole_directory(paths.SUBMISSION) as folder:
        io.write_json(folder / "files.json", sorted(submission))
        for name, text in submission.items():
            (folder / name).write_text(text, encoding="utf-8")
    counting.save(paths.COUNTING)
    io.write_json(paths.PAPER, paper_metrics(classified["test"], calibrated["test"], quantified))
    io.write_json(paths.CLASSIFICATION, classified)
    io.write_json(paths.CALIBRATION, calibrated)
    io.write_json(paths.QUANTIFICATION, {"test": quantified})
    io.write_json(paths.SELECTIVE, {"test": selected})
    for name, plot in (plots | diagram | curve | errors).items():
        io.write_csv(paths.PLOTS / f"{name}.csv", plot)
    log.info("all figures are in metrics/; `python -m tools.report` makes tables and plots of them")


def read(settings: params.Params) -> Given:
    """Raises InputError if predictions are missing or do not fit."""
    codes = io.read_json(paths.LABEL_CODES)
    val, test = (load_part(part, predictions_folder(), len(codes)) for part in SCORED)
    resampling = Resampling(test.patients, settings.evaluate.bootstrap, settings.evaluate.seed)
    return Given(val, test, codes, io.read_csr(paths.targets("train")), resampling, settings)


def load_part(part: str, folder: Path, n_columns: int) -> Predictions:
    """Targets and predictions of one part. Raises InputError if they are missing or do not fit."""
    path = paths.predictions(folder, part)
    logits = read_logits(path)
    targets = io.read_csr(paths.targets(part))
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "subject_id"])
    patients = documents.subject_id[documents.part == part].to_numpy()
    if not logits.shape == targets.shape == (len(patients), n_columns):
        raise InputError(
            f"{path}: logits of shape {logits.shape} do not fit the targets of shape {targets.shape}, "
            f"{len(patients)} documents and {n_columns} codes of {paths.LABELS}; `dvc repro` makes them consistent"
        )
    return Predictions(targets, logits, patients)


def classify(given: Given) -> tuple[Metrics, Plots]:
    """Classification at 0.5, at thresholds tuned on validation, over present codes, and by code and band.

    The metrics are what the report shows; metrics/plots/classification.csv has all figures at 0.5 on both parts.
    """
    val, test, resampling = given.val, given.test, given.resampling
    shared = tuning.shared_threshold(val.targets, val.probabilities)
    by_code = tuning.code_thresholds(val.targets, val.probabilities)
    statistics = uncertainty.classification_statistics(test.targets, test.probabilities)

    def measure_at_half(part: Predictions) -> Metrics:
        decided = classification.decision_metrics(part.targets, part.probabilities > tuning.PAPER)
        return decided | classification.ranking_metrics(part.targets, part.probabilities)

    def measure_at(threshold: float | np.ndarray) -> Metrics:
        decided = uncertainty.decision_statistics(test.targets, test.probabilities > threshold)
        return uncertainty.figures(decided, resampling)

    measured = {"val": measure_at_half(val), "test": measure_at_half(test)}
    metrics = {
        "val": {"shared_threshold": {"threshold": shared}},
        "test": {name: measured["test"][name] for name in SHOWN}
        | {
            "present": breakdowns.present_metrics(test.targets, test.probabilities, shared, resampling),
            "shared_threshold": measure_at(shared),
            "code_thresholds": measure_at(by_code),
            "intervals": uncertainty.intervals({name: statistics[name] for name in SHOWN}, *resampling),
        },
    }
    shown = len(test.patients), *(measured["test"][name] for name in ("f1_micro", "f1_macro"))
    log.info("test: %d documents, micro-F1 %.3f, macro-F1 %.3f", *shown)

    known, bins = io.read_json(paths.CODES), given.settings.evaluate.bins
    kinds = {code: known[code]["kind"] for code in given.codes}
    training = classification.positives_by_code(given.training)
    cells = test.targets, test.probabilities
    table = breakdowns.code_table(*cells, given.codes, kinds, training, by_code, bins, resampling)
    bands = breakdowns.band_table(*cells, table, resampling)
    figures = pd.DataFrame(measured).rename_axis("figure").reset_index()
    return metrics, {"classification": figures, "codes": table, "bands": bands}


def calibrate(given: Given, platt: np.ndarray) -> tuple[Metrics, Plots]:
    """Calibration as predicted, with a temperature, and with Platt's slopes and intercepts (2, C)."""
    val, test, bins = given.val, given.test, given.settings.evaluate.bins
    temperature = tuning.fit_temperature(val.targets, val.logits)

    def measure(part: Predictions) -> Metrics:
        metrics = calibration.calibration_metrics(part.targets, part.logits, part.probabilities, bins)
        statistics = {"mece": uncertainty.mece(part.targets, part.probabilities, bins)}
        return metrics | {"intervals": uncertainty.intervals(statistics, *given.resampling)}

    measured = measure(test)
    measured["temperature"] = measure(test.recalibrate(lambda logits: logits / np.float32(temperature)))
    measured["temperature"]["temperature"] = temperature
    measured["platt"] = measure(test.recalibrate(lambda logits: logits * platt[0] + platt[1]))
    log.info("test: MECE %.4f, temperature %.2f", measured["mece"], temperature)
    diagram = calibration.reliability(calibration.Bins.count(test.targets, test.probabilities, bins))
    metrics = {"val": {"mece": calibration.mece(val.targets, val.probabilities, bins)}, "test": measured}
    return metrics, {"reliability": diagram}


def select(given: Given) -> tuple[Metrics, Plots]:
    """Selective coding by the uncalibrated probabilities.

    Recalibration fitted on the same validation documents would keep its promises only there.
    """
    promised = given.settings.selective
    thresholds = selective.choose(given.val, promised.precision, promised.recall)
    metrics: Metrics = {
        "promised_precision": promised.precision,
        "promised_recall": promised.recall,
        "risk": selective.RISK,
        "by_code": [[given.codes[column], *pair] for column, pair in thresholds.by_code.items()],
        **selective.figures(given.test, thresholds, given.resampling),
    }
    if thresholds.accept_any:
        shown = metrics["accepted"], metrics["precision"], promised.precision
        log.info("test: %.3f of the codes accepted unseen, at precision %.3f (promised %.2f)", *shown)
    else:
        too_few = "validation has too few documents to promise a precision of %.2f: no code is accepted unseen"
        log.warning(too_few, promised.precision)
    return metrics, {"selective": selective.curve(given.test)}


def quantify(given: Given, platt: np.ndarray) -> tuple[Metrics, Plots, Counting]:
    settings = given.settings.quantifier
    networks = {"mlp": load_mlp(paths.QUANTIFIER)}
    if is_joint():
        networks["clq"] = load_mlp(paths.JOINT_MODEL, "quantifier.safetensors")
    tokens = read_predictions(paths.predictions(predictions_folder(), "val"))[1:]
    prevalence = classification.positives_by_code(given.training) / given.training.shape[0]
    samples = settings.train_samples, settings.seed
    counting = Counting.learn(given.val, networks, platt, tokens, prevalence, *samples)
    compared = comparison.compare(
        counting,
        given.val,
        given.test,
        n_groups=settings.test_samples,
        seed=settings.seed,
        intervals=given.resampling.resamples > 0,
    )
    counting = replace(counting, method=comparison.best_method(compared.metrics["val"]))
    log.info("counting: %s has the lowest error in groups of validation documents", counting.method)
    return compared.metrics["test"], {"quantification_sizes": compared.by_size, "prevalence": compared.points}, counting


def score_officially(given: Given, threshold: float) -> tuple[dict[str, Metrics], dict[str, str]]:
    """CodiEsp's official evaluation by part, and predictions in its script's format by file name.

    Cases without any code of the label set count too. Intervals are over cases, each a different patient. Empty if the
    corpus has no official evaluation.
    """
    figures, submission = {}, {}
    gold = io.read_json(paths.GOLD)
    uncoded = expit(read_logits(paths.predictions(predictions_folder(), UNCODED)))
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "document_id"])
    others = pd.read_parquet(paths.split(UNCODED), columns=["document_id"])["document_id"]
    for part, predictions in zip(SCORED, (given.val, given.test), strict=True) if gold else ():
        cases = [*documents.document_id[documents.part == part], *others]
        probabilities = np.concatenate([predictions.probabilities, uncoded])
        scored = {case: row for case, row in zip(cases, probabilities, strict=True) if case in gold[part]}
        ranked = {case: [given.codes[i] for i in np.argsort(-row, kind="stable")] for case, row in scored.items()}
        assigned = {case: ranked[case][: int((row > threshold).sum())] for case, row in scored.items()}
        resampling = given.resampling._replace(patients=np.arange(len(gold[part])))
        unreachable = {"unreachable": official.unreachable(gold[part], given.codes)}
        figures[part] = official.figures(gold[part], ranked, assigned, resampling) | unreachable
        submission[f"{part}_ranked.tsv"] = official.tsv(ranked)
        submission[f"{part}_assigned.tsv"] = official.tsv(assigned)
    return figures, submission


def paper_metrics(classified: Metrics, calibrated: Metrics, quantified: Metrics) -> dict[str, float]:
    """The test figures of the paper's tables in percent (RAE unscaled), AE and RAE by the model's own quantifier."""
    figures = {name: classified[name] for name in SHOWN}
    errors = quantified["clq" if "clq" in quantified else "mlp"]
    figures |= {"mece": calibrated["mece"], "ae": errors["ae"]}
    return {name: round(100 * value, 2) for name, value in figures.items()} | {"rae": round(errors["rae"], 4)}


if __name__ == "__main__":
    run(main, memory="quantifier.test_samples or evaluate.bootstrap")
