"""Selection of M synonyms for every code, by maximum diversity (MDP) or at random (rand), and its diversity."""

import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from stages.common.runner import progress_bar
from stages.synonyms import mdp

UNKNOWN = "unknown"  # placeholder for codes without candidates
SHARE = 0.1  # share of the time limit for one code
IN_PROCESS = 4.0  # seconds of work below which other processes do not pay off

Problems = dict[str, np.ndarray]  # code -> distances (n, n) between its n >= 1 candidates


def choose(distances: np.ndarray, M: int, time_limit: float = math.inf, solver: str = "search") -> mdp.Solution:
    """The most diverse M of n >= 1 candidates, as ascending indices. If n < M, the pool is repeated first."""
    pool = _repeat(len(distances), M)
    solution = mdp.solve(distances[np.ix_(pool, pool)], M, time_limit, solver)
    return replace(solution, chosen=tuple(sorted(pool[list(solution.chosen)].tolist())))


def draw(n: int, M: int, seed: int, code: str) -> tuple[int, ...]:
    """M of n at random, with replacement only if n < M, independently for each code."""
    chance = random.Random(f"{seed} {code}")
    return tuple(sorted(chance.sample(range(n), M) if n >= M else chance.choices(range(n), k=M)))


def choose_all(
    problems: Problems, M: int, time_limit: float, n_workers: int, solver: str = "search"
) -> dict[str, mdp.Solution]:
    """`choose` for every code, in several processes if that pays off. Their number changes no proven answer.

    time_limit: seconds for all codes, `SHARE` of it for each; codes after that only get a start.
    """
    deadline = time.monotonic() + time_limit
    order = sorted(problems, key=lambda code: (-len(problems[code]), code))  # largest first: all finish together
    tasks = ((code, problems[code], M, SHARE * time_limit, deadline, solver) for code in order)
    bar: dict[str, Any] = {"total": len(order), "desc": "maximum diversity", "unit": "code"}
    if n_workers == 1 or sum(_seconds(len(problems[code]), M, solver) for code in order) < IN_PROCESS:
        with threadpool_limits(1):
            return dict(progress_bar(map(_choose, tasks), **bar))
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(n_workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        return dict(progress_bar(pool.imap_unordered(_choose, tasks, chunksize=1 + len(order) // 500), **bar))


def diversity(distances: np.ndarray, chosen: Sequence[int] | np.ndarray) -> float:
    """Mean pairwise distance of the chosen; 0 for fewer than two."""
    pairs = math.comb(len(chosen), 2)
    return mdp.diversity(distances, tuple(chosen)) / pairs if pairs else 0.0


def expected_diversity(distances: np.ndarray, M: int) -> float:
    """The expected `diversity` of M candidates that `draw` takes, from all distances (n, n)."""
    n = len(distances)
    pairs = n * (n - 1) if n >= M else n * n
    return float(distances.sum()) / pairs if M > 1 else 0.0


def mean_diversity(problems: Problems, chosen: Mapping[str, Sequence[int]], M: int) -> dict[str, float]:
    """Mean diversity over codes of the selection, and of a random draw (expected)."""
    values = {
        "chosen": [diversity(distances, chosen[code]) for code, distances in problems.items()],
        "rand": [expected_diversity(distances, M) for distances in problems.values()],
    }
    return {name: math.fsum(each) / max(len(each), 1) for name, each in values.items()}


def _repeat(n: int, M: int) -> np.ndarray:
    return np.tile(np.arange(n), max(1, math.ceil(M / n)))


def _seconds(n: int, M: int, solver: str) -> float:
    """A rough estimate of the time that `choose` takes for M of n."""
    if solver == "cp_sat":
        return 0.02 * (n / 10) ** 2
    enumerated = math.comb(n * max(1, math.ceil(M / n)), M) <= mdp.ENUMERATED
    return 3e-4 if enumerated else 1e-3 * (n / 50) ** 2 * 2.0 ** min(max(0, M - 4), 60)


def _choose(task: tuple[str, np.ndarray, int, float, float, str]) -> tuple[str, mdp.Solution]:
    code, distances, M, time_limit, deadline, solver = task
    return code, choose(distances, M, max(0.0, min(time_limit, deadline - time.monotonic())), solver)
