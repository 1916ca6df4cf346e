"""The maximum diversity problem as a model of OR-Tools' CP-SAT.

A 0/1 variable x_i for every element, a product variable y_ij for every pair; the row equalities
sum_j y_ij = (M - 1) x_i tie them together, far more tightly than y_ij <= x_i alone.
"""

import math

import numpy as np
from ortools.sat.python import cp_model


def maximise(
    distances: np.ndarray, M: int, unit: float, start: tuple[int, ...] | None = None, time_limit: float = math.inf
) -> tuple[tuple[int, ...] | None, float]:
    """A set of M that is better than `start` (`start` itself if none was found) and a proven upper bound.

    `distances` (n, n) are whole multiples of `unit`, in integers of which CP-SAT counts: nothing is rounded. One
    worker, so that the answer is deterministic except for the time limit in seconds.
    """
    n = len(distances)
    whole = np.rint(distances / unit).astype(np.int64)
    model = cp_model.CpModel()
    pairs = [(int(i), int(j)) for i, j in zip(*np.triu_indices(n, 1), strict=True)]
    x = [model.new_bool_var("") for _ in range(n)]
    y = {pair: model.new_bool_var("") for pair in pairs}
    model.add(sum(x) == M)
    for i in range(n):
        model.add(sum(y[min(i, j), max(i, j)] for j in range(n) if j != i) == (M - 1) * x[i])
    total = sum(int(whole[pair]) * chosen for pair, chosen in y.items())
    model.maximize(total)
    floor: int = 0
    if start is not None:
        floor = int(whole[np.ix_(start, start)].sum()) // 2
        model.add(total > floor)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if math.isfinite(time_limit):
        solver.parameters.max_time_in_seconds = max(time_limit, 0.0)
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return start, floor * unit
    reached: int | None
    if status == cp_model.UNKNOWN:
        found, reached = start, floor if start is not None else None
    else:
        found, reached = tuple(i for i in range(n) if solver.boolean_value(x[i])), round(solver.objective_value)
    if status == cp_model.OPTIMAL and reached is not None:
        return found, reached * unit
    # Stopped early, CP-SAT can report a bound of 0 that it never proved.
    trusted = reached is not None and solver.best_objective_bound > reached
    return found, solver.best_objective_bound * unit if trusted else math.inf
