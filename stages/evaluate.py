"""From predictions to metrics, and to the data of the plots."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit

from stages.common import io, params, paths, threads
from stages.common.io import InputError
from stages.common.runner import run
from stages.corpus.document import SCORED, UNCODED
from stages.corpus.text import count_words
from stages.evaluation import breakdowns, calibration, classification, official, selective, tuning, uncertainty
from stages.evaluation.scored import Predictions, Resampling
from stages.modeling.predictions import is_joint, predictions_folder, read_logits, read_predictions
from stages.quantification import comparison
from stages.quantification.counting import Counting
from stages.quantification.quantifiers import PrevalenceMLP, load_mlp

log = logging.getLogger("stages.evaluate")

SHOWN_IN_PERCENT = (
    *("auc_macro", "auc_micro", "f1_macro", "f1_macro_mullenbach", "f1_micro"),
    *(f"precision_at_{k}" for k in classification.KS),
)


def load_part(part: str, folder: Path, n_columns: int) -> Predictions:
    """Targets and predictions of one part. Raises InputError where they are missing or do not fit."""
    path = paths.predictions(folder, part)
    logits = read_logits(path)
    targets = io.read_csr(paths.targets(part))
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "subject_id"])
    patients = documents.subject_id[documents.part == part].to_numpy()
    if not logits.shape == targets.shape == (len(patients), n_columns):
        raise InputError(
            f"{path}: logits of shape {logits.shape} do not fit the targets of shape {targets.shape}, "
            f"{len(patients)} documents and {n_columns} codes of {paths.LABELS}; `dvc repro` makes them fit"
        )
    return Predictions(targets, logits, patients)


def classification_metrics(part: Predictions) -> dict[str, Any]:
    """All classification metrics of one part, decisions at 0.5."""
    return classification.decision_metrics(part.targets, part.probabilities > tuning.PAPER) | (
        classification.ranking_metrics(part.targets, part.probabilities)
    )


def tuned_metrics(test: Predictions, shared: float, by_code: np.ndarray, resampling: Resampling) -> dict[str, Any]:
    """Test figures at one tuned threshold and at one per code, over present codes, and intervals of the headline."""
    statistics = uncertainty.classification_statistics(test.targets, test.probabilities)

    def at(threshold: float | np.ndarray) -> dict[str, Any]:
        decisions = test.probabilities > threshold
        return uncertainty.figures(uncertainty.decision_statistics(test.targets, decisions), resampling)

    return {
        "present": breakdowns.present_metrics(test.targets, test.probabilities, shared, resampling),
        "shared_threshold": {"threshold": shared} | at(shared),
        "code_thresholds": at(by_code),
        "intervals": uncertainty.intervals(statistics, *resampling),
    }


def recalibrations(temperature: float, platt: np.ndarray) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Maps of logits (N, C) to calibrated ones, by a temperature and by Platt's slopes and intercepts (2, C)."""
    return {
        "temperature": lambda logits: logits / np.float32(temperature),
        "platt": lambda logits: logits * platt[0] + platt[1],
    }


def calibration_metrics(part: Predictions, bins: int, resampling: Resampling) -> dict[str, Any]:
    """All calibration metrics of one part, MECE with its interval."""
    metrics = calibration.calibration_metrics(part.targets, part.logits, part.probabilities, bins)
    statistics = {"mece": uncertainty.mece(part.targets, part.probabilities, bins)}
    return metrics | {"intervals": uncertainty.intervals(statistics, *resampling)}


def load_networks(joint: bool) -> dict[str, PrevalenceMLP]:
    """The trained quantifiers: `mlp`, and `clq` of a joint model. Raises InputError where one is missing."""
    trained = {"mlp": load_mlp(paths.QUANTIFIER)}
    return trained | {"clq": load_mlp(paths.JOINT_MODEL, "quantifier.safetensors")} if joint else trained


def paper_metrics(
    classified: dict[str, Any], calibrated: dict[str, Any], quantified: dict[str, Any], joint: bool
) -> dict[str, float]:
    """What the paper's tables have of test, in percent (RAE as it is); errors by the model's own quantifier."""
    figures = {name: classified[name] for name in SHOWN_IN_PERCENT}
    errors = quantified["clq" if joint else "mlp"]
    figures |= {"mece": calibrated["mece"], "ae": errors["ae"]}
    return {name: round(100 * value, 2) for name, value in figures.items()} | {"rae": round(errors["rae"], 4)}


def official_metrics(
    part: str,
    gold: dict[str, list[str]],
    predictions: Predictions,
    uncoded: np.ndarray,
    codes: list[str],
    threshold: float,
    settings: params.Evaluate,
) -> tuple[dict[str, Any], dict[str, str]]:
    """CodiEsp's own evaluation of a part, and its predictions in the form of its script, by file name.

    `uncoded`: the probabilities of the cases without a code of the label set (N, C), of all parts. Intervals are over
    cases, each of which is a patient of its own.
    """

    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "document_id"])
    others = pd.read_parquet(paths.split(UNCODED), columns=["document_id"])["document_id"]
    cases = [*documents.document_id[documents.part == part], *others]
    probabilities = np.concatenate([predictions.probabilities, uncoded])
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranked = {case: [codes[column] for column in row] for case, row in zip(cases, order, strict=True) if case in gold}
    n_assigned = (probabilities > threshold).sum(axis=1)
    assigned = {case: ranked[case][:n] for case, n in zip(cases, n_assigned, strict=True) if case in gold}
    resampling = Resampling(np.arange(len(gold)), settings.bootstrap, settings.seed)
    figures = official.figures(gold, ranked, assigned, resampling) | {"unreachable": official.unreachable(gold, codes)}
    return figures, {f"{part}_ranked.tsv": official.tsv(ranked), f"{part}_assigned.tsv": official.tsv(assigned)}


def say_promise(thresholds: selective.Thresholds, found: dict[str, Any], promised: params.Selective) -> None:
    """Log what the promised precision brings, or that nothing can be promised."""
    if not thresholds.accept_any:
        log.warning(
            "validation has too few documents to promise a precision of %.2f: no code is accepted unseen",
            promised.precision,
        )
    else:
        shares = found["accepted"], found["precision"]
        log.info(
            "test: %.3f of the codes accepted unseen, at precision %.3f (promised %.2f)", *shares, promised.precision
        )


def main() -> None:
    """Compute everything, then write metrics/*.json and metrics/plots/*.csv."""
    settings = params.load()
    threads.limit(settings.compute.threads)
    bins = settings.evaluate.bins
    codes, known = io.read_json(paths.LABEL_CODES), io.read_json(paths.CODES)
    joint = is_joint()
    parts = {part: load_part(part, predictions_folder(), len(codes)) for part in SCORED}
    val, test = parts["val"], parts["test"]
    trained_on = io.read_csr(paths.targets("train"))
    training = classification.positives_by_code(trained_on)
    resampling = Resampling(test.patients, settings.evaluate.bootstrap, settings.evaluate.seed)

    shared = tuning.shared_threshold(val.targets, val.probabilities)
    by_code = tuning.code_thresholds(val.targets, val.probabilities)
    classified = {name: classification_metrics(part) for name, part in parts.items()}
    classified["val"]["shared_threshold"] = {"threshold": shared}
    classified["test"] |= tuned_metrics(test, shared, by_code, resampling)
    kinds = {code: known[code]["kind"] for code in codes}
    table = breakdowns.code_table(test.targets, test.probabilities, codes, kinds, training, by_code, bins, resampling)
    n_words = pd.read_parquet(paths.split("test"), columns=["text"])["text"].map(count_words).to_numpy()
    plots = {
        "codes": table,
        "bands": breakdowns.band_table(test.targets, test.probabilities, table, resampling),
        "lengths": breakdowns.length_table(test.targets, test.probabilities, n_words, resampling),
    }
    log.info(
        "test: %d documents, micro-F1 %.3f, macro-F1 %.3f",
        *(len(test.patients), classified["test"]["f1_micro"], classified["test"]["f1_macro"]),
    )

    temperature = tuning.fit_temperature(val.targets, val.logits)
    platt = np.stack(tuning.fit_platt(val.targets, val.logits))
    calibrated = {
        "val": {"mece": calibration.mece(val.targets, val.probabilities, bins)},
        "test": calibration_metrics(test, bins, resampling),
    }
    plots["reliability"] = calibration.reliability(calibration.Bins.count(test.targets, test.probabilities, bins))
    for method, recalibration in recalibrations(temperature, platt).items():
        calibrated["test"][method] = calibration_metrics(test.recalibrate(recalibration), bins, resampling)
    calibrated["test"]["temperature"]["temperature"] = temperature
    log.info("test: MECE %.4f, temperature %.2f", calibrated["test"]["mece"], temperature)

    # By the probabilities as they are: maps fitted on the validation documents would keep their promises there alone.
    promised = settings.selective
    thresholds = selective.choose(val, promised.precision, promised.recall)
    selected: dict[str, Any] = {
        "promised_precision": promised.precision,
        "promised_recall": promised.recall,
        "risk": selective.RISK,
    }
    selected |= selective.figures(test, thresholds, resampling)
    selected["by_code"] = [[codes[column], *pair] for column, pair in thresholds.own.items()]
    plots["selective"] = selective.curve(test)
    say_promise(thresholds, selected, promised)

    quantifier, tokens = settings.quantifier, read_predictions(paths.predictions(predictions_folder(), "val"))[1:]
    counting = Counting.learn(
        val,
        load_networks(joint),
        platt,
        tokens,
        training / trained_on.shape[0],
        quantifier.train_samples,
        quantifier.seed,
    )
    quantified = comparison.compare(
        counting,
        val,
        test,
        n_groups=quantifier.test_samples,
        seed=quantifier.seed,
        intervals=settings.evaluate.bootstrap > 0,
    )
    counting = replace(counting, method=comparison.best_method(quantified.metrics["val"]))
    log.info("counting: %s has the lowest error in groups of validation documents", counting.method)
    plots |= {"quantification_sizes": quantified.by_size, "prevalence": quantified.points}

    gold = io.read_json(paths.GOLD)
    uncoded = expit(read_logits(paths.predictions(predictions_folder(), UNCODED)))
    submission: dict[str, str] = {}
    for name in SCORED if gold else ():
        classified[name]["official"], files = official_metrics(
            name, gold[name], parts[name], uncoded, codes, shared, settings.evaluate
        )
        submission |= files
    with io.whole_directory(paths.SUBMISSION) as folder:
        io.write_json(folder / "files.json", sorted(submission))
        for name, text in submission.items():
            (folder / name).write_text(text, encoding="utf-8")
    counting.save(paths.COUNTING)
    io.write_json(paths.PAPER, paper_metrics(classified["test"], calibrated["test"], quantified.metrics["test"], joint))
    io.write_json(paths.CLASSIFICATION, classified)
    io.write_json(paths.CALIBRATION, calibrated)
    io.write_json(paths.QUANTIFICATION, quantified.metrics)
    io.write_json(paths.SELECTIVE, {"test": selected})
    for name, plot in plots.items():
        io.write_csv(paths.PLOTS / f"{name}.csv", plot)
    log.info("all figures are in metrics/; `python -m tools.report` makes tables and plots of them")


if __name__ == "__main__":
    run(main, memory="quantifier.test_samples or evaluate.bootstrap")
