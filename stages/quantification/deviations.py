"""How far estimated prevalences are from the true ones."""

import numpy as np

BLOCK = 64  # samples at a time, so that what is computed stays in the processor's cache


def smooth(prevalence: np.ndarray, epsilon: np.ndarray | float) -> np.ndarray:
    """Additive smoothing of a binary prevalence: s(p) = (e + p) / (2e + 1)."""
    return (epsilon + prevalence) / (2 * epsilon + 1)


def absolute_errors(true: np.ndarray, estimated: np.ndarray) -> np.ndarray:
    """|p - p'| of every sample and code, (S, C)."""
    _check_shapes(true, estimated)
    return np.abs(np.subtract(true, estimated, dtype=np.float64))


def relative_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The relative error of every sample and code, (S, C), of both the code's presence and its absence.

    With e = 1 / (2 |sample|) and s the smoothing above: (|s(p) - s(p')| / s(p) + |s(p) - s(p')| / (1 - s(p))) / 2.
    As s is linear, that is |p - p'| (1 + 2e) / (2 (e + p) (e + 1 - p)), which takes one division.
    """
    epsilon = 0.5 / np.asarray(sizes, dtype=np.float64)[:, None]
    scale = (epsilon + true) * (epsilon + 1 - true)
    errors = absolute_errors(true, estimated)
    errors /= scale
    errors *= 0.5 + epsilon
    return errors


def sample_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AE and RAE of each sample: the mean over codes of both errors; two arrays (S,)."""
    _check_shapes(true, estimated)
    absolute, relative = np.empty(len(true)), np.empty(len(true))
    for start in range(0, len(true), BLOCK):
        rows = slice(start, start + BLOCK)
        absolute[rows] = absolute_errors(true[rows], estimated[rows]).mean(axis=1)
        relative[rows] = relative_errors(true[rows], estimated[rows], sizes[rows]).mean(axis=1)
    return absolute, relative


def mean_errors(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    """AE and RAE, averaged over codes and then over samples."""
    absolute, relative = sample_errors(true, estimated, sizes)
    return {"ae": float(absolute.mean()), "rae": float(relative.mean())}


def _check_shapes(true: np.ndarray, estimated: np.ndarray) -> None:
    if true.shape != estimated.shape:
        raise ValueError(f"true prevalences have shape {true.shape}, estimated ones {estimated.shape}")
