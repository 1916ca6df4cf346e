"""A classifier's predictions: their file format, and which model's predictions are used."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file, save_file

from stages.common import io, paths
from stages.common.io import InputError

RETRAIN = "lower train.learning_rate, then `dvc repro -f train_classifier`"


class Predicted(NamedTuple):
    """The predictions for N documents, and the numbers of tokens of their texts."""

    logits: np.ndarray  # (N, C) float32
    n_tokens: np.ndarray  # (N,)
    n_unknown: np.ndarray  # (N,) of them, unknown to the tokenizer


def write_predictions(folder: Path, predictions: Mapping[str, Predicted]) -> None:
    """Write each part's predictions into an existing folder. Raises InputError for logits that are not finite."""
    for part, predicted in predictions.items():
        _check_finite(predicted.logits, f"the classifier's logits of the {part} documents")
        save_file(predicted._asdict(), paths.predictions(folder, part))


def read_logits(path: Path) -> np.ndarray:
    """Logits (N, C), float32. Raises InputError if they are missing, damaged or not finite."""
    return read_predictions(path).logits


def read_predictions(path: Path) -> Predicted:
    """What `write_predictions` wrote. Raises InputError if it is missing, damaged or not finite."""
    with io.named_damage(path, "predictions"):
        predicted = Predicted(**load_file(path))
    _check_finite(predicted.logits, str(path))
    return predicted


def _check_finite(logits: np.ndarray, name: str) -> None:
    if wrong := np.count_nonzero(~np.isfinite(logits)):
        raise InputError(f"{name}: {wrong} logits are not finite numbers, so the training diverged; {RETRAIN}")


def is_joint(root: Path = Path()) -> bool:
    """Whether the repository at `root` trains jointly (false before labelize has run)."""
    return (root / paths.JOINT).exists() and io.read_json(root / paths.JOINT)["joint"]


def model_folder(root: Path = Path()) -> Path:
    return paths.JOINT_MODEL if is_joint(root) else paths.CLASSIFIER


def predictions_folder(root: Path = Path()) -> Path:
    return paths.JOINT_MODEL if is_joint(root) else paths.PREDICTIONS
