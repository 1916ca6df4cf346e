"""The two exact solvers of the maximum diversity problem beside plain CP-SAT, and what closes whole selections.

    python -m benchmarks.synonyms [--limit SECONDS] [--sizes 10 20 ...] [--codes]

Embeddings are synthetic. `cone` is like what encoders give: all phrases of a code in one cone, a few strong directions,
loose groups, every fifth phrase nearly the same as another. `clusters` are unit vectors plus noise, alike in all
directions, which is much harder; `sphere` has no structure at all. `GKD` and `SOM` are drawn as the instances of MDPLIB
are: Euclidean distances of random points, and random whole numbers from 0 to 9.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from ortools.sat.python import cp_model
from safetensors.numpy import load_file

from stages.common import io, paths
from stages.select_synonyms import distances as demo_distances
from stages.synonyms import mdp, selection

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


def library_like() -> dict[str, tuple[np.ndarray, int]]:
    """Sixteen problems as MDPLIB's: name -> distances, M."""
    problems = {}
    for i, n in enumerate((10, 15, 25, 30, 30, 50, 50, 50)):
        rng = np.random.default_rng(i)
        points, M = rng.uniform(0, 10, (n, int(rng.integers(2, 21)))), max(2, int(n * rng.choice([0.1, 0.2])))
        problems[f"GKD {i}"] = np.linalg.norm(points[:, None] - points[None], axis=2), M
        whole = np.triu(rng.integers(0, 10, (n, n)), 1).astype(float)
        problems[f"SOM {i}"] = whole + whole.T, M
    return problems


def plain_cp_sat(distances: np.ndarray, M: int, limit: float) -> tuple[float, bool]:
    """Objective and whether it was proven, of the model without a start, a bound or a kernel."""
    distances, unit = mdp.round_to_quanta(distances), mdp.quantum(distances)
    n = len(distances)
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in range(n)]
    y = {(i, j): model.new_bool_var("") for i in range(n) for j in range(i + 1, n)}
    model.add(sum(x) == M)
    for i in range(n):
        model.add(sum(y[min(i, j), max(i, j)] for j in range(n) if j != i) == (M - 1) * x[i])
    model.maximize(sum(round(distances[pair] / unit) * chosen for pair, chosen in y.items()))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_time_in_seconds = limit
    status = solver.solve(model)
    return solver.objective_value * unit, status == cp_model.OPTIMAL


def by(solver: str) -> Callable[[np.ndarray, int, float], tuple[float, bool]]:
    """One of ours, by its name in params.yaml."""

    def solve(distances: np.ndarray, M: int, limit: float) -> tuple[float, bool]:
        solution = mdp.solve(distances, M, limit, solver)
        return solution.objective, solution.proven

    return solve


SOLVERS = {"search": by("search"), "cp_sat": by("cp_sat"), "plain CP-SAT": plain_cp_sat}


def compare(kind: str, sizes: list[int], limit: float, d: int) -> None:
    """One row per problem: seconds of each solver; `>` where the limit came first."""
    print(f"\n{kind}, d = {d}: seconds; > is not proven within {limit:g} s")
    print(f"{'n':>4} {'M':>2}" + "".join(f"{name:>15}" for name in SOLVERS))
    hopeless = set()  # what a solver did not prove at a smaller n it is not asked at a larger one
    for M in (2, 4, 8):
        for n in (n for n in sizes if n > M):
            distances = mdp.cosine_distances(embeddings(kind, n, d, seed=n))
            cells, values = [], set()
            for name, solve in SOLVERS.items():
                if (name, M) in hopeless:
                    cells.append("-")
                    continue
                begin = time.perf_counter()
                value, proven = solve(distances, M, limit)
                cells.append(f"{'' if proven else '> '}{time.perf_counter() - begin:.3f}")
                if proven:
                    values.add(round(value, 6))
                else:
                    hopeless.add((name, M))
            assert len(values) <= 1, (n, M, values)
            print(f"{n:>4} {M:>2}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def whole_selections(d: int) -> dict[str, tuple[selection.Problems, tuple[int, ...]]]:
    """Fifty codes with up to 200 candidates, 3,700 with a median of 14, and the demo's where it has run."""
    rng = np.random.default_rng(0)
    fifty = np.linspace(10, 200, 50).astype(int)
    many = np.clip(np.exp(rng.normal(np.log(14), 0.6, 3700)).astype(int), 2, 200)
    selections: dict[str, tuple[selection.Problems, tuple[int, ...]]] = {}
    for kind, sizes, Ms in (("cone", fifty, (4, 8)), ("clusters", fifty, (4,)), ("cone", many, (4,))):
        problems = {f"{i:04d}": mdp.cosine_distances(embeddings(kind, int(n), d, seed=i)) for i, n in enumerate(sizes)}
        selections[f"{len(sizes)} codes, {kind}"] = problems, Ms
    if paths.EMBEDDINGS.exists():
        vectors = load_file(paths.EMBEDDINGS)["embeddings"]
        selections["demo"] = demo_distances(io.read_json(paths.CANDIDATES), vectors), (2, 4, 8)
    return selections


def all_codes(d: int, limit: float) -> None:
    """Seconds of whole selections in one process, how many answers are proven, and what closed them."""
    print(f"\nwhole selections, d = {d}, at most {limit:g} s")
    for name, (problems, Ms) in whole_selections(d).items():
        for M in Ms:
            for solver in ("search", "cp_sat") if len(problems) <= 50 else ("search",):
                begin = time.perf_counter()
                solutions = selection.choose_all(problems, M, limit, 1, solver)
                seconds = time.perf_counter() - begin
                closed_by = dict(Counter(solution.method for solution in solutions.values()))
                proven = sum(solution.proven for solution in solutions.values()) / len(solutions)
                print(f"{name:<20} M = {M}  {solver:<7}{seconds:8.2f} s  {proven:7.1%}  {closed_by}", flush=True)
    solutions = {name: mdp.solve(distances, M, 10.0) for name, (distances, M) in library_like().items()}
    print("16 as MDPLIB's, search:", dict(Counter(solution.method for solution in solutions.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, default=10.0, help="seconds for each problem")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 40, 80, 120, 200])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["cone"])
    parser.add_argument("--d", type=int, default=1024)
    parser.add_argument("--codes", action="store_true", help="only the selections of all codes")
    arguments = parser.parse_args()
    if not arguments.codes:
        for kind in arguments.kinds:
            compare(kind, arguments.sizes, arguments.limit, arguments.d)
    all_codes(arguments.d, 600.0)


if __name__ == "__main__":
    main()
