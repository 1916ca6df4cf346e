"""The check applied to all loaded weights."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from stages.common.io import InputError


def check_finite(weights: Mapping[str, Tensor], where: Path | str) -> None:
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{where}: the weight {name} has numbers that are not finite")
