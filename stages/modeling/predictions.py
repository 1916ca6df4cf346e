"""The predictions of a classifier: their file, and whose predictions count."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from stages.common import io, paths
from stages.common.io import InputError

RETRAIN = "lower train.learning_rate, then `dvc repro -f train_classifier`"


def write_logits(folder: Path, logits: Mapping[str, np.ndarray]) -> None:
    """Write the logits (N, C), float32, of each part into an existing folder. Raises InputError for non-finite ones."""
    for part, values in logits.items():
        _check_finite(values, f"the classifier's logits of the {part} documents")
        save_file({"logits": values}, paths.predictions(folder, part))


def read_logits(path: Path) -> np.ndarray:
    """Logits (N, C), float32. Raises InputError where they are missing, damaged or not finite."""
    try:
        logits = load_file(path)["logits"]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path} holds no array `logits` ({error}); `dvc repro -f predict` makes it again") from None
    _check_finite(logits, str(path))
    return logits


def _check_finite(logits: np.ndarray, name: str) -> None:
    if wrong := np.count_nonzero(~np.isfinite(logits)):
        raise InputError(f"{name}: {wrong} logits are not finite numbers, so the training diverged; {RETRAIN}")


def is_joint(root: Path = Path()) -> bool:
    """Whether the repository at `root` trains jointly; not, where nothing has been labelled yet."""
    return (root / paths.JOINT).exists() and io.read_json(root / paths.JOINT)["joint"]


def model_folder(root: Path = Path()) -> Path:
    """The folder of the model, relative to `root`: the joint one where `model.type` asks for it."""
    return paths.JOINT_MODEL if is_joint(root) else paths.CLASSIFIER


def predictions_folder(root: Path = Path()) -> Path:
    """The folder of its predictions, relative to `root`."""
    return paths.JOINT_MODEL if is_joint(root) else paths.PREDICTIONS
