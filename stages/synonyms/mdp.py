"""The maximum diversity problem, solved to proven optimality: M of n with the highest sum of pairwise distances.

Distances are held as whole multiples of QUANTUM, stored in float64: sums of them are exact in any order, so two
sets tie exactly or not at all. Of several optimal sets the one with the lexicographically smallest sorted indices is
the answer; it is therefore one and the same whatever the method, the number of threads or the starts.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

QUANTUM = 2.0**-30
ENUMERATED = 20_000  # up to so many subsets are simply all looked at


@dataclass(frozen=True)
class Solution:
    """An answer and what is known of it; `objective` and `bound` are sums of pairwise distances."""

    chosen: tuple[int, ...]
    objective: float
    bound: float
    method: str

    @property
    def proven(self) -> bool:
        """No set has a higher objective."""
        return self.bound <= self.objective

    @property
    def gap(self) -> float:
        """How far the optimum can at most lie above the objective, as a share of the bound."""
        return 0.0 if self.proven else (self.bound - self.objective) / self.bound


def cosine_distances(embeddings: np.ndarray) -> np.ndarray:
    """Distances 1 - cosine: (n, d) -> (n, n), in whole quanta, zero diagonal. A zero vector has distance 1 to all."""
    vectors = embeddings.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return quantised(np.clip(1.0 - vectors @ vectors.T, 0.0, 2.0))


def quantised(distances: np.ndarray) -> np.ndarray:
    """Any symmetric distances (n, n), rounded to whole quanta, symmetric to the bit, with a zero diagonal."""
    quanta = np.rint((distances + distances.T) * (0.5 / QUANTUM))
    np.fill_diagonal(quanta, 0.0)
    return quanta


def objective(quanta: np.ndarray, chosen: tuple[int, ...]) -> float:
    """The sum of distances among the chosen."""
    rows = list(chosen)
    return float(quanta[np.ix_(rows, rows)].sum()) * 0.5 * QUANTUM


def start(quanta: np.ndarray, M: int, kept: int = 16) -> tuple[int, ...]:
    """A set that is hard to better: greedy from every element, then the best of the results improved by swaps."""
    n = len(quanta)
    sets = np.zeros((n, n), dtype=bool)  # row s: the set that grew from element s
    rows = np.arange(n)
    sums = np.zeros((n, n))  # row s: every element's distance to that set
    newest = rows
    for size in range(1, M + 1):
        sets[rows, newest] = True
        sums += quanta[newest]
        if size < M:
            newest = np.argmax(np.where(sets, -1.0, sums), axis=1)
    values = (sums * sets).sum(axis=1)
    best = np.argsort(-values, kind="stable")
    grown = list(dict.fromkeys(tuple(np.flatnonzero(sets[row]).tolist()) for row in best[: 4 * kept]))
    improved = [_swapped(quanta, list(chosen)) for chosen in grown[:kept]]
    return min(improved, key=lambda chosen: (-objective(quanta, chosen), chosen))


def _swapped(quanta: np.ndarray, chosen: list[int]) -> tuple[int, ...]:
    """`chosen` after the best exchanges of one element for another, until none betters it."""
    sums = quanta[chosen].sum(axis=0)
    while True:
        gains = sums[None, :] - sums[chosen][:, None] - quanta[chosen]
        gains[:, chosen] = -np.inf
        leaves, enters = np.unravel_index(np.argmax(gains), gains.shape)
        if not gains[leaves, enters] > 0:
            return tuple(sorted(chosen))
        sums += quanta[enters] - quanta[chosen[leaves]]
        chosen[leaves] = int(enters)


def solve(quanta: np.ndarray, M: int, time_limit: float = math.inf) -> Solution:
    """Choose exactly M of n elements, M <= n; `quanta` (n, n) comes from `cosine_distances` or `quantised`.

    `time_limit` in seconds: past it the best set found is returned with a bound that is not closed.
    """
    n = len(quanta)
    if math.comb(n, M) <= ENUMERATED:
        return _enumerate(quanta, M)
    from stages.synonyms import cpsat

    chosen, bound = cpsat.maximise(quanta.astype(np.int64), M, time_limit)
    return Solution(chosen, objective(quanta, chosen), bound * QUANTUM, "CP-SAT")


def _enumerate(quanta: np.ndarray, M: int) -> Solution:
    subsets, pairs = _subsets(len(quanta), M)
    best = int(np.argmax(quanta.ravel()[pairs].sum(axis=1)))  # the first of equals is the lexicographically smallest
    chosen = tuple(subsets[best].tolist())
    value = objective(quanta, chosen)
    return Solution(chosen, value, value, "enumeration")


@lru_cache(maxsize=64)
def _subsets(n: int, M: int) -> tuple[np.ndarray, np.ndarray]:
    """All subsets of M of n in lexicographic order, and the places of their pairs in a raveled (n, n) matrix."""
    subsets = np.array(list(combinations(range(n), M)), dtype=np.intp)
    first, second = np.triu_indices(M, 1)
    return subsets, subsets[:, first] * n + subsets[:, second]
