"""Predictions and targets of one part: what every figure is computed from."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import expit


class Resampling(NamedTuple):
    """How intervals are resampled: the patient of each document (N,), the number of resamples, and the seed."""

    patients: np.ndarray
    resamples: int
    seed: int


@dataclass(frozen=True)
class Predictions:
    """Targets (0 or 1) and logits of one part, both (N, C), and the patient (N,) of each document."""

    targets: sp.csr_array
    logits: np.ndarray  # float32
    patients: np.ndarray

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float32 (N, C)."""
        return expit(self.logits)

    def recalibrate(self, recalibration: Callable[[np.ndarray], np.ndarray]) -> "Predictions":
        """The predictions with `recalibration` applied to the logits (N, C)."""
        return replace(self, logits=recalibration(self.logits))

    def are_of_the_same_documents(self, other: "Predictions") -> bool:
        return (
            self.targets.shape == other.targets.shape
            and np.array_equal(self.patients, other.patients)
            and (self.targets != other.targets).nnz == 0
        )
