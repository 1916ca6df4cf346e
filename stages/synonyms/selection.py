"""Choosing M synonyms for every code: maximum diversity (MDP) or chance (rand), and what the choice is worth."""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from stages.synonyms import mdp

UNKNOWN = "unknown"  # the phrase of a code that has no candidate
SMALL = 2_000_000  # subsets in all, below which starting other interpreters costs more than it saves


def repeated(n: int, M: int) -> np.ndarray:
    """The indices 0 ... n-1, once, or as often as it takes to hold at least M."""
    return np.tile(np.arange(n), max(1, math.ceil(M / n)))


def draw(n: int, M: int, seed: int, code: str) -> list[int]:
    """M of n at random, with replacement only if n < M; the draw of one code knows nothing of the others."""
    chance = random.Random(f"{seed} {code}")
    return sorted(chance.sample(range(n), M) if n >= M else chance.choices(range(n), k=M))


def diversity(distances: np.ndarray, chosen: Iterable[int]) -> float:
    """Mean pairwise distance among the chosen; 0 for fewer than two."""
    chosen = tuple(chosen)
    pairs = math.comb(len(chosen), 2)
    return mdp.diversity(distances, chosen) / pairs if pairs else 0.0


def expected_diversity(distances: np.ndarray, M: int) -> float:
    """Mean pairwise distance that the draw `rand` has on average over all its outcomes."""
    n = len(distances)
    pairs = n * (n - 1) if n >= M else n * n
    return float(distances.sum()) / pairs if M > 1 and pairs else 0.0


def choose(distances: np.ndarray, M: int, time_limit: float) -> mdp.Solution:
    """The most diverse M of the n >= 1 candidates, whose pool is repeated where n < M; indices below n."""
    pool = repeated(len(distances), M)
    found = mdp.solve(distances[np.ix_(pool, pool)], M, time_limit)
    return replace(found, chosen=tuple(sorted(pool[list(found.chosen)].tolist())))


def quick_choice(distances: np.ndarray, M: int) -> tuple[int, ...]:
    """What the solver starts from, in place of `choose`: nearly always as good, without a proof."""
    pool = repeated(len(distances), M)
    return tuple(sorted(pool[list(mdp.start(distances[np.ix_(pool, pool)], M))].tolist()))


def choose_all(
    problems: dict[str, np.ndarray], M: int, time_limit: float, workers: int
) -> Iterator[tuple[str, mdp.Solution]]:
    """`choose` for every code of {code: distances}, hardest first, in several processes where it is worth it."""
    work = {code: math.comb(max(len(distances), M), M) for code, distances in problems.items()}
    order = sorted(problems, key=lambda code: (-work[code], code))
    tasks = ((code, problems[code], M, time_limit) for code in order)
    bar = {"total": len(order), "desc": "maximum diversity", "unit": "code", "disable": None}
    if workers == 1 or sum(work.values()) < SMALL:
        with threadpool_limits(1):
            yield from tqdm(map(_task, tasks), **bar)
        return
    with get_context("forkserver").Pool(workers, initializer=threadpool_limits, initargs=(1,)) as pool:
        yield from tqdm(pool.imap_unordered(_task, tasks, chunksize=1 + len(order) // 500), **bar)


def _task(task: tuple[str, np.ndarray, int, float]) -> tuple[str, mdp.Solution]:
    code, distances, M, time_limit = task
    return code, choose(distances, M, time_limit)


def summary(problems: dict[str, np.ndarray], chosen: dict[str, list[int]], M: int) -> dict[str, float]:
    """Mean diversity over the codes: of the choice, of random draws (in expectation) and of the first M candidates."""
    first = {code: repeated(len(distances), M)[:M] for code, distances in problems.items()}
    return {
        "chosen": _mean(diversity(distances, chosen[code]) for code, distances in problems.items()),
        "rand": _mean(expected_diversity(distances, M) for distances in problems.values()),
        "first": _mean(diversity(distances, first[code]) for code, distances in problems.items()),
    }


def curve(problems: dict[str, np.ndarray], sizes: Iterable[int]) -> pd.DataFrame:
    """Mean diversity against M: M, selection (MDP, rand, first), diversity.

    MDP is here what the starts of the solver find, which needs no proof and no time limit.
    """
    rows = []
    for M in sizes:
        mean = summary(problems, {code: quick_choice(distances, M) for code, distances in problems.items()}, M)
        rows += [(M, "MDP", mean["chosen"]), (M, "rand", mean["rand"]), (M, "first", mean["first"])]
    return pd.DataFrame(rows, columns=["M", "selection", "diversity"])


def solution_table(solutions: dict[str, mdp.Solution], sizes: dict[str, int]) -> pd.DataFrame:
    """What is known of every answer: a row a code, in sorted order."""
    return pd.DataFrame(
        [
            (code, sizes[code], found.objective, found.bound, found.gap, found.proven, found.method)
            for code, found in sorted(solutions.items())
        ],
        columns=["code", "candidates", "objective", "bound", "gap", "proven", "method"],
    )


def markdown(selected: dict[str, list[str]], titles: dict[str, str]) -> str:
    """What was chosen, as a table to be read."""
    lines = ["| code | title | synonyms |", "|---|---|---|"]
    lines += [f"| {code} | {titles[code]} | {' · '.join(phrases)} |" for code, phrases in sorted(selected.items())]
    return "\n".join(lines) + "\n"


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return math.fsum(values) / len(values) if values else 0.0
