"""An upper bound on the maximum diversity problem from the geometry of the distances, and the elements it rules out.

For unit vectors u the objective is (M^2 - |sum_i x_i u_i|^2) / 2, concave on sum_i x_i = M, so its maximum over
0 <= x <= 1 is an upper bound. Any symmetric distances can be made concave by shifting the diagonal: with s the largest
eigenvalue of D on vectors that sum to zero, x'Dx / 2 = x'(D - sI)x / 2 + s M / 2 for every 0/1 vector x with M ones.
The shift also repairs rounding of cosines, and tightens the bound when it is negative.
"""

import numpy as np

STEPS = 60  # more steps improve the bound by less than 0.1 %
MARGIN = 1e-11  # relative float64 error of the bound


def kernel(distances: np.ndarray, M: int, best: float) -> tuple[np.ndarray, float]:
    """The sorted elements (k,) that a set with objective of at least `best` may contain, and an upper bound.

    The tangent at any feasible x is above the concave function. Over 0/1 vectors it is largest for the M highest
    slopes; any other element costs its difference to the M-th, and is ruled out if that is too much.
    """
    n = len(distances)
    inside = np.eye(n) - 1.0 / n  # projection onto vectors that sum to zero
    eigenvalues = np.linalg.eigvalsh(inside @ distances @ inside)
    eigenvalues = np.delete(eigenvalues, np.argmin(np.abs(eigenvalues)))  # drop the direction of ones
    shift = eigenvalues[-1] + MARGIN * np.abs(eigenvalues).max()
    concave = distances - shift * np.eye(n)
    curvature = shift - eigenvalues[0]

    keep = np.ones(n, dtype=bool)
    bound = np.inf
    x = previous = np.full(n, M / n)
    momentum = 1.0
    for _ in range(STEPS):
        next_momentum = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        point = x + (momentum - 1) / next_momentum * (x - previous)
        slopes = concave @ point
        ranked = -np.sort(-slopes)
        tangent = (shift * M - point @ slopes) / 2 + ranked[:M].sum()
        tangent += MARGIN * (abs(tangent) + abs(shift) * M)
        bound = min(bound, tangent)
        keep &= tangent - np.maximum(0.0, ranked[M - 1] - slopes) >= best
        x, previous, momentum = _feasible(point + slopes / curvature, M), x, next_momentum
    return np.flatnonzero(keep), max(bound, best)


def _feasible(x: np.ndarray, M: int) -> np.ndarray:
    """The nearest point with 0 <= x <= 1 and sum M, which is x - t clipped, for some t.

    Its sum is piecewise linear and decreasing in t, with corners where an element reaches 0 or 1.
    """
    corners = np.concatenate([x - 1.0, x])
    order = np.argsort(corners, kind="stable")
    slopes = np.cumsum(np.where(order < len(x), -1.0, 1.0))
    corners = corners[order]
    sums = len(x) + np.concatenate([[0.0], np.cumsum(slopes[:-1] * np.diff(corners))])
    last = np.flatnonzero(sums >= M)[-1]
    fall = -slopes[last]
    return np.clip(x - corners[last] - ((sums[last] - M) / fall if fall > 0 else 0.0), 0.0, 1.0)
