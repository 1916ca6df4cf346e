"""The exact solver of the maximum diversity problem beside plain CP-SAT, HiGHS and SCIP (through OR-Tools).

    python -m benchmarks.synonyms [--limit SECONDS] [--sizes 10 20 ...] [--codes]

Embeddings are synthetic. `cone` is like what encoders give: all phrases of a code in one cone, a few strong directions,
loose groups, every fifth phrase nearly the same as another. `clusters` are unit vectors plus noise, alike in all
directions, which is much harder; `sphere` has no structure at all.
"""

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ortools.linear_solver import pywraplp

from stages.synonyms import cpsat, mdp, selection

KINDS = ("cone", "clusters", "sphere")


def embeddings(kind: str, n: int, d: int, seed: int) -> np.ndarray:
    """Synthetic embeddings (n, d) of the candidates of one code."""
    rng = np.random.default_rng([seed, n, d])

    def directions(count: int) -> np.ndarray:
        vectors = rng.normal(size=(count, d)) * (1.0 if kind != "cone" else np.arange(1, d + 1) ** -0.5)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    noise = directions(n)
    if kind == "sphere":
        return noise
    groups = max(2, n // 6)
    vectors = directions(groups)[rng.integers(0, groups, n)] + 0.7 * noise
    if kind == "cone":
        vectors += directions(1)
    same = rng.random(n) < 0.2
    vectors[same] = vectors[rng.integers(0, n, n)[same]] + 0.02 * noise[same]
    return vectors


@contextmanager
def quiet() -> Iterator[None]:
    """Without the banner that HiGHS writes past Python's standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def linear(solver: str, distances: np.ndarray, M: int, limit: float) -> tuple[float, bool]:
    """Objective and whether it was proven, of the linearised model: products y_ij with their row equalities."""
    model = pywraplp.Solver.CreateSolver(solver)
    model.SetTimeLimit(int(limit * 1000))
    n = len(distances)
    x = [model.BoolVar("") for _ in range(n)]
    y = {(i, j): model.NumVar(0, 1, "") for i in range(n) for j in range(i + 1, n)}
    model.Add(sum(x) == M)
    for i in range(n):
        model.Add(sum(y[min(i, j), max(i, j)] for j in range(n) if j != i) == (M - 1) * x[i])
    for (i, j), product in y.items():
        model.Add(product <= x[i])
        model.Add(product <= x[j])
    model.Maximize(sum(distances[pair] * product for pair, product in y.items()))
    with quiet():
        status = model.Solve()
    found = status in (pywraplp.Solver.OPTIMAL, pywraplp.Solver.FEASIBLE)
    return model.Objective().Value() if found else math.nan, status == pywraplp.Solver.OPTIMAL


def ours(distances: np.ndarray, M: int, limit: float) -> tuple[float, bool]:
    found = mdp.solve(distances, M, limit)
    return found.objective, found.proven


def plain_cpsat(distances: np.ndarray, M: int, limit: float) -> tuple[float, bool]:
    chosen, bound = cpsat.maximise(mdp.round_to_quanta(distances), M, mdp.quantum(distances), time_limit=limit)
    objective = mdp.diversity(distances, chosen) if chosen else math.nan
    return objective, bound <= objective + 1e-6


SOLVERS: dict[str, Callable] = {
    "CP-SAT": plain_cpsat,
    "HiGHS": lambda *problem: linear("HIGHS", *problem),
    "SCIP": lambda *problem: linear("SCIP", *problem),
}


def timed(solver: Callable, *problem: object) -> tuple[float, float, bool]:
    begin = time.perf_counter()
    objective, proven = solver(*problem)
    return time.perf_counter() - begin, objective, proven


def compare(kind: str, sizes: list[int], limit: float, d: int) -> None:
    """One row a problem: seconds, and how many times ours; `>` where the limit came first."""
    print(f"\n{kind}, d = {d}: seconds (times ours); > is not proven within {limit:g} s")
    print(f"{'n':>4} {'M':>2} {'ours':>9}  " + "  ".join(f"{name:>20}" for name in SOLVERS))
    hopeless = set()  # what a solver did not prove at a smaller n it is not asked at a larger one
    for M in (2, 4, 8):
        for n in (n for n in sizes if n > M):
            distances = mdp.cosine_distances(embeddings(kind, n, d, seed=n))
            seconds, objective, proven = timed(ours, distances, M, 60.0)
            cells = []
            for name, solver in SOLVERS.items():
                if (name, M) in hopeless:
                    cells.append("-")
                    continue
                theirs, value, closed = timed(solver, distances, M, limit)
                if closed:
                    assert not proven or abs(value - objective) < 1e-5, (name, n, M, value, objective)
                else:
                    hopeless.add((name, M))
                cells.append(f"{'' if closed else '> '}{theirs:.3f} ({theirs / seconds:,.0f} x)")
            print(f"{n:>4} {M:>2} {'' if proven else '> '}{seconds:>9.4f}  " + "  ".join(f"{c:>20}" for c in cells))


def all_codes(d: int) -> None:
    """Whole selections: fifty codes with up to 200 candidates, and 3,700 with a median of 14."""
    rng = np.random.default_rng(0)
    fifty = np.linspace(10, 200, 50).astype(int)
    many = np.clip(np.exp(rng.normal(np.log(14), 0.6, 3700)).astype(int), 2, 200)
    print(f"\nall codes, d = {d} (start-up of the processes included)")
    columns = f"{'codes':>6} {'kind':>9} {'largest n':>9} {'M':>2} {'workers':>7} {'seconds':>8} {'proven':>7}"
    print(f"{columns}  closed by")
    for kind, sizes, Ms in (("cone", fifty, (4, 8)), ("clusters", fifty, (4, 8)), ("cone", many, (4,))):
        problems = {f"{i:04d}": mdp.cosine_distances(embeddings(kind, int(n), d, seed=i)) for i, n in enumerate(sizes)}
        for M in Ms:
            for workers in (1, 2):
                begin = time.perf_counter()
                found = selection.choose_all(problems, M, 60.0, workers)
                seconds = time.perf_counter() - begin
                share = sum(one.proven for one in found.values()) / len(found)
                closed_by = dict(Counter(one.method for one in found.values()))
                row = f"{len(sizes):>6} {kind:>9} {max(sizes):>9} {M:>2} {workers:>7} {seconds:>8.2f} {share:>7.1%}"
                print(f"{row}  {closed_by}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds for each of the other solvers")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 40, 80, 120, 200])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["cone"])
    parser.add_argument("--d", type=int, default=1024)
    parser.add_argument("--codes", action="store_true", help="only the selections of all codes")
    arguments = parser.parse_args()
    if not arguments.codes:
        for kind in arguments.kinds:
            compare(kind, arguments.sizes, arguments.limit, arguments.d)
    all_codes(arguments.d)


if __name__ == "__main__":
    main()
