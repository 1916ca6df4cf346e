"""Choosing M synonyms for every code: maximum diversity (MDP) or chance (rand), and what the choice is worth."""

import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from stages.project.progress import Bar
from stages.synonyms import mdp

UNKNOWN = "unknown"  # the phrase of a code that has no candidate
IN_PROCESS = 4.0  # seconds of work, below which starting other processes costs more than it saves

Problems = dict[str, np.ndarray]  # code -> distances (n, n) among its n >= 1 candidates


def choose(distances: np.ndarray, M: int, time_limit: float = math.inf) -> mdp.Solution:
    """The most diverse M of n >= 1 candidates; indices in ascending order. If n < M, the pool is repeated first."""
    pool = _repeated(len(distances), M)
    found = mdp.solve(distances[np.ix_(pool, pool)], M, time_limit)
    return replace(found, chosen=tuple(sorted(pool[list(found.chosen)].tolist())))


def choose_quickly(distances: np.ndarray, M: int) -> tuple[int, ...]:
    """As `choose`, but where that would take a search, what the search starts from: without proof, rarely worse."""
    pool = _repeated(len(distances), M)
    if math.comb(len(pool), M) <= mdp.ENUMERATED:
        return choose(distances, M).chosen
    return tuple(sorted(pool[list(mdp.start(distances[np.ix_(pool, pool)], M))].tolist()))


def draw(n: int, M: int, seed: int, code: str) -> tuple[int, ...]:
    """M of n at random, with replacement only if n < M; the draw of one code knows nothing of the others."""
    chance = random.Random(f"{seed} {code}")
    return tuple(sorted(chance.sample(range(n), M) if n >= M else chance.choices(range(n), k=M)))


def choose_all(
    problems: Problems, M: int, time_limit: float, n_workers: int, total_time_limit: float = math.inf
) -> dict[str, mdp.Solution]:
    """`choose` for every code, in several processes where it is worth it. Their number changes no proven answer.

    time_limit: seconds for each code. total_time_limit: seconds for all; what is left then gets no more than a start.
    """
    deadline = time.monotonic() + total_time_limit
    return dict(_parallel(_choose, problems, (M, time_limit, deadline), n_workers, "maximum diversity"))


def choose_all_quickly(problems: Problems, M: int, n_workers: int) -> dict[str, tuple[int, ...]]:
    """`choose_quickly` for every code."""
    return dict(_parallel(_choose_quickly, problems, (M,), n_workers, f"diversity at M = {M}"))


def diversity(distances: np.ndarray, chosen: Sequence[int] | np.ndarray) -> float:
    """Mean pairwise distance among the chosen; 0 for fewer than two."""
    pairs = math.comb(len(chosen), 2)
    return mdp.diversity(distances, tuple(chosen)) / pairs if pairs else 0.0


def expected_diversity(distances: np.ndarray, M: int) -> float:
    """Mean pairwise distance of the draw `rand`, on average over all its outcomes."""
    n = len(distances)
    pairs = n * (n - 1) if n >= M else n * n
    return float(distances.sum()) / pairs if M > 1 else 0.0


def mean_diversity(problems: Problems, chosen: Mapping[str, Sequence[int]], M: int) -> dict[str, float]:
    """Mean diversity over codes of what was chosen, of a random draw in expectation, and of the first M candidates."""
    first = {code: _repeated(len(distances), M)[:M] for code, distances in problems.items()}
    return {
        "chosen": _mean(diversity(distances, chosen[code]) for code, distances in problems.items()),
        "rand": _mean(expected_diversity(distances, M) for distances in problems.values()),
        "first": _mean(diversity(distances, first[code]) for code, distances in problems.items()),
    }


def _repeated(n: int, M: int) -> np.ndarray:
    """The indices 0 ... n-1, once, or as often as it takes to hold at least M."""
    return np.tile(np.arange(n), max(1, math.ceil(M / n)))


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values) if values else 0.0


def _seconds(n: int, M: int) -> float:
    """About how long `choose` takes for M of n: for deciding how to go about it, no more."""
    enumerated = math.comb(n * max(1, math.ceil(M / n)), M) <= mdp.ENUMERATED
    return 3e-4 if enumerated else 1e-3 * (n / 50) ** 2 * 2.0 ** min(max(0, M - 4), 60)


def _choose(task: tuple[str, np.ndarray, int, float, float]) -> tuple[str, mdp.Solution]:
    code, distances, M, time_limit, deadline = task
    return code, choose(distances, M, max(0.0, min(time_limit, deadline - time.monotonic())))


def _choose_quickly(task: tuple[str, np.ndarray, int]) -> tuple[str, tuple[int, ...]]:
    code, distances, M = task
    return code, choose_quickly(distances, M)


def _parallel(function: Callable, problems: Problems, settings: tuple, n_workers: int, title: str) -> Iterator[tuple]:
    """`function` on every problem, the largest first, so that none of the processes ends long after the others."""
    sizes = {code: len(distances) for code, distances in problems.items()}
    order = sorted(problems, key=lambda code: (-sizes[code], code))
    tasks = ((code, problems[code], *settings) for code in order)
    bar: dict[str, Any] = {"total": len(order), "desc": title, "unit": "code"}
    if n_workers == 1 or sum(_seconds(n, settings[0]) for n in sizes.values()) < IN_PROCESS:
        with threadpool_limits(1):
            yield from Bar(map(function, tasks), **bar)
        return
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with context.Pool(n_workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        yield from Bar(pool.imap_unordered(function, tasks, chunksize=1 + len(order) // 500), **bar)
