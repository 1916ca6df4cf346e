"""The predictions of a classifier as the stages after it read them."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from stages.project.errors import InputError


def read_logits(path: Path) -> np.ndarray:
    """Logits (documents, codes), float32. Raises InputError where they are missing, damaged or not finite."""
    try:
        logits = load_file(path)["logits"]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path} holds no array `logits` ({error}); `dvc repro -f predict` makes it anew") from None
    if wrong := np.count_nonzero(~np.isfinite(logits)):
        raise InputError(
            f"{path}: {wrong} logits are not finite numbers, so the training diverged; lower its learning rate, then "
            "`dvc repro -f train_classifier`"
        )
    return logits
