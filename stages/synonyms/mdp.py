"""The maximum diversity problem, solved to proven optimality: M of n with the highest sum of pairwise distances.

Distances are rounded to integer multiples of a quantum (2^-32 of the power of two above the largest), which float64
adds exactly in any order, so two sets tie exactly or not at all. Among optimal sets the answer is the one whose sorted
indices come first in lexicographic order, whatever the solver, the starting point and the number of threads.

There are two solvers. `cp_sat`: OR-Tools' CP-SAT (cpsat.py), on the elements left by an upper bound from the geometry
of the distances (`concave_kernel`). `search`, for label sets of thousands: small problems are enumerated, others
solved by growing sets from pairs (growth.py).
"""

import math
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from stages.synonyms import growth

ENUMERATED = 20_000  # up to this many subsets are enumerated
BEAM = 2_000  # sets kept per size in the search for a better start
STEPS = 60  # more steps improve the bound by less than 0.1 %
MARGIN = 1e-11  # relative float64 error of the bound


@dataclass(frozen=True)
class Solution:
    """A solution; `objective` and `bound` are sums of pairwise distances.

    `method` is what proved it or, if unproven, the time limit.
    """

    chosen: tuple[int, ...]
    objective: float
    bound: float
    method: str

    @property
    def proven(self) -> bool:
        """Whether no set can have a higher objective."""
        return self.bound <= self.objective

    @property
    def gap(self) -> float:
        """How far the optimum may be above the objective, relative to the bound."""
        return 0.0 if self.proven else (self.bound - self.objective) / self.bound


def cosine_distances(embeddings: np.ndarray) -> np.ndarray:
    """Distances 1 - cosine: (n, d) -> float64 (n, n). A zero vector has distance 1 to all others.

    They are multiples of 2^-30, so that equal vectors have distance 0 and equal distances to all others.
    """
    vectors = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    distances = np.ldexp(np.rint(np.ldexp(1.0 - vectors @ vectors.T, 30)), -30)
    np.fill_diagonal(distances, 0.0)
    return np.clip(distances, 0.0, 2.0)


def quantum(distances: np.ndarray) -> float:
    """The unit that distances are rounded to: at most 1e-9 for distances up to 2."""
    largest = float(np.abs(distances).max(initial=0.0))
    return math.ldexp(1.0, math.frexp(largest)[1] - 32) if largest else 1.0


def round_to_quanta(distances: np.ndarray) -> np.ndarray:
    """Symmetric distances (n, n) as integer quanta, with a zero diagonal."""
    unit = quantum(distances)
    distances = np.rint((distances + distances.T) * (0.5 / unit)) * unit
    np.fill_diagonal(distances, 0.0)
    return distances


def diversity(distances: np.ndarray, chosen: tuple[int, ...]) -> float:
    rows = list(chosen)
    return float(distances[np.ix_(rows, rows)].sum()) / 2


def solve(distances: np.ndarray, M: int, time_limit: float = math.inf, solver: str = "search") -> Solution:
    """Choose exactly M of n >= M elements, given any symmetric `distances` (n, n).

    `solver`: "cp_sat" or "search"; proven answers are the same. After `time_limit` seconds the answer is the best known
    set, with an open bound.
    """
    deadline = time.monotonic() + time_limit
    distances = round_to_quanta(distances)
    return (_by_cp_sat if solver == "cp_sat" else _by_search)(distances, M, deadline)


def _by_cp_sat(distances: np.ndarray, M: int, deadline: float) -> Solution:
    """OR-Tools proves the answer among the elements that the concave bound leaves; if it cannot, the search does."""
    from stages.synonyms import cpsat  # OR-Tools takes longer to load than most codes to search

    chosen = start(distances, M)
    kernel, bound = np.arange(len(distances)), math.inf
    if 2 < M < len(distances):
        kernel, bound = concave_kernel(distances, M, diversity(distances, chosen))
    part, unit = distances[np.ix_(kernel, kernel)], quantum(distances)
    known = tuple(np.searchsorted(kernel, chosen).tolist())
    better: tuple[int, ...] | None = known
    while better is not None and (left := deadline - time.monotonic()) > 0:
        known = better
        better, proven = cpsat.improve(part, M, unit, known, left)
        bound = min(bound, proven)
    chosen = tuple(kernel[list(known)].tolist())
    if better is None and bound <= diversity(distances, chosen):
        return _proven_solution(distances, chosen, "CP-SAT")
    return _by_search(distances, M, deadline)


def _by_search(distances: np.ndarray, M: int, deadline: float) -> Solution:
    """Enumerate few subsets; otherwise grow sets, first only the best ones, then all."""
    if M < 3 or math.comb(len(distances), M) <= ENUMERATED:
        subsets, pairs = _subsets(len(distances), M)
        best = np.argmax(distances.ravel()[pairs].sum(axis=1))  # the first of ties is first in lexicographic order
        return _proven_solution(distances, tuple(subsets[best].tolist()), "enumeration")
    search = growth.Search(distances, M, start(distances, M))
    if search.in_breadth(BEAM, deadline):
        return _proven_solution(distances, search.best, "growth")
    kernel, bound = concave_kernel(distances, M, search.value)
    part = distances[np.ix_(kernel, kernel)]
    search = growth.Search(part, M, tuple(np.searchsorted(kernel, search.best).tolist()))
    complete = search.in_depth(deadline)
    chosen = tuple(kernel[list(search.best)].tolist())
    if complete:
        return _proven_solution(distances, chosen, "growth, after the concave bound")
    return Solution(chosen, diversity(distances, chosen), bound, "time limit")


def start(distances: np.ndarray, M: int, kept: int = 16) -> tuple[int, ...]:
    """A good start: greedy from every element, then the best results improved by swaps."""
    rows = np.arange(len(distances))
    sets = np.zeros(distances.shape, dtype=bool)  # row s: the set grown from element s
    sums = np.zeros(distances.shape)  # row s: every element's distances to that set
    newest = rows
    for size in range(1, M + 1):
        sets[rows, newest] = True
        sums += distances[newest]
        if size < M:
            newest = np.argmax(np.where(sets, -np.inf, sums), axis=1)
    best = np.argsort(-np.where(sets, sums, 0.0).sum(axis=1), kind="stable")
    grown = list(dict.fromkeys(tuple(np.flatnonzero(sets[row]).tolist()) for row in best[: 4 * kept]))
    improved = {_swap(distances, list(chosen)) for chosen in grown[:kept]}
    return min(improved, key=lambda chosen: (-diversity(distances, chosen), chosen))


def _swap(distances: np.ndarray, chosen: list[int]) -> tuple[int, ...]:
    """`chosen` after repeatedly making the best exchange of one element for another."""
    sums = distances[chosen].sum(axis=0)
    while True:
        gains = sums[None, :] - sums[chosen][:, None] - distances[chosen]
        gains[:, chosen] = -np.inf
        leaves, enters = np.unravel_index(np.argmax(gains), gains.shape)
        if not gains[leaves, enters] > 0:
            return tuple(sorted(chosen))
        sums += distances[enters] - distances[chosen[leaves]]
        chosen[leaves] = int(enters)


def _proven_solution(distances: np.ndarray, chosen: tuple[int, ...], method: str) -> Solution:
    value = diversity(distances, chosen)
    return Solution(chosen, value, value, method)


@lru_cache(maxsize=32)
def _subsets(n: int, M: int) -> tuple[np.ndarray, np.ndarray]:
    """All subsets of M of n in lexicographic order, and the places of their pairs in a raveled (n, n) matrix."""
    subsets = np.array(list(combinations(range(n), M)), dtype=np.intp)
    first, second = np.triu_indices(M, 1)
    return subsets, subsets[:, first] * n + subsets[:, second]


def concave_kernel(distances: np.ndarray, M: int, best: float) -> tuple[np.ndarray, float]:
    """The sorted elements (k,) that a set with objective of at least `best` may contain, and an upper bound.

    For unit vectors u the objective is (M^2 - |sum_i x_i u_i|^2) / 2, concave on sum_i x_i = M, so its maximum over
    0 <= x <= 1 is an upper bound. Any symmetric distances can be made concave by shifting the diagonal: with s the
    largest eigenvalue of D on vectors that sum to zero, x'Dx / 2 = x'(D - sI)x / 2 + s M / 2 for every 0/1 vector x
    with M ones. The shift also repairs rounding of cosines, and tightens the bound when it is negative.

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
