"""Stage evaluate: from predictions to metrics, and to the data of the plots."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from safetensors import SafetensorError
from safetensors.numpy import load_file

from stages import files, params, paths
from stages.errors import InputError
from stages.evaluation import calibration, classification
from stages.stage import run

log = logging.getLogger("stages.evaluate")

PARTS = ("val", "test")


@dataclass(frozen=True)
class Evaluated:
    """The predictions of one part beside its targets: all (N, C)."""

    targets: sp.csr_array
    logits: np.ndarray
    probabilities: np.ndarray


def load_part(part: str, folder: Path, codes: list[str]) -> Evaluated:
    """Targets and predictions of one part. Raises InputError where they are missing or do not fit."""
    path = paths.predictions(folder, part)
    try:
        logits = load_file(path)["logits"]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path} holds no array `logits` ({error}); `dvc repro -f predict` makes it anew") from None
    targets = files.read_csr(paths.targets(part))
    if logits.shape != targets.shape or targets.shape[1] != len(codes):
        raise InputError(
            f"{path}: logits of shape {logits.shape} do not fit {paths.targets(part)} of shape {targets.shape} "
            f"and {len(codes)} codes; `dvc repro` makes them fit"
        )
    if wrong := np.count_nonzero(~np.isfinite(logits)):
        raise InputError(f"{path}: {wrong} logits are not finite; the training diverged, lower its learning rate")
    return Evaluated(targets, logits, classification.sigmoid(logits))


def classification_metrics(part: Evaluated, k: list[int]) -> dict[str, float]:
    """All classification metrics of one part, decisions at 0.5."""
    decided = classification.decision_metrics(part.targets, part.probabilities > 0.5)
    return decided | classification.ranking_metrics(part.targets, part.probabilities, k)


def code_table(part: Evaluated, codes: list[str], training: np.ndarray) -> pd.DataFrame:
    """Per code: its training documents, its documents in this part, precision, recall and F1."""
    counts = classification.counts_by_code(part.targets, part.probabilities > 0.5)
    return pd.DataFrame(
        {
            "code": codes,
            "training_documents": training,
            "documents": counts.true_positives + counts.false_negatives,
            "precision": classification.precision(counts),
            "recall": classification.recall(counts),
            "f1": classification.f1(counts),
        }
    )


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV with a header."""
    with files.whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def main() -> None:
    """Read predictions and targets, write metrics/*.json and metrics/plots/*.csv."""
    settings = params.load().evaluate
    codes = files.read_json(paths.LABEL_CODES)
    folder = paths.JOINT_MODEL if files.read_json(paths.JOINT)["joint"] else paths.PREDICTIONS
    parts = {part: load_part(part, folder, codes) for part in PARTS}
    training = np.asarray(files.read_csr(paths.targets("train")).sum(axis=0)).ravel().astype(int)

    measured = {name: classification_metrics(part, settings.k) for name, part in parts.items()}
    files.write_json(paths.CLASSIFICATION, measured)
    calibrated = {
        name: calibration.calibration_metrics(part.targets, part.logits, part.probabilities, settings.bins)
        for name, part in parts.items()
    }
    files.write_json(paths.CALIBRATION, calibrated)

    test = parts["test"]
    binned = calibration.Bins.of(test.targets, test.probabilities, settings.bins)
    write_csv(paths.PLOTS / "reliability.csv", calibration.reliability(binned))
    write_csv(paths.PLOTS / "codes.csv", code_table(test, codes, training))
    log.info(
        "test: %d documents, %d codes, micro-F1 %.3f, macro-F1 %.3f, MECE %.4f",
        *test.targets.shape,
        measured["test"]["f1_micro"],
        measured["test"]["f1_macro"],
        calibrated["test"]["mece"],
    )


if __name__ == "__main__":
    run(main)
