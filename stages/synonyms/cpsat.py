"""The maximum diversity problem as a model of OR-Tools' CP-SAT."""

import math

import numpy as np
from ortools.sat.python import cp_model


def maximise(distances: np.ndarray, M: int, time_limit: float) -> tuple[tuple[int, ...], float]:
    """The best M of n and a proven bound, for whole distances (n, n); deterministic but for the time limit.

    A product variable y_ij stands for every pair; the row equalities sum_j y_ij = (M - 1) x_i tie it to the x.
    """
    n = len(distances)
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in range(n)]
    y = {(i, j): model.new_bool_var("") for i in range(n) for j in range(i + 1, n)}
    model.add(sum(x) == M)
    for i in range(n):
        model.add(sum(y[min(i, j), max(i, j)] for j in range(n) if j != i) == (M - 1) * x[i])
    model.maximize(sum(int(distances[i, j]) * y[i, j] for i, j in y))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    if math.isfinite(time_limit):
        solver.parameters.max_time_in_seconds = time_limit
    solver.solve(model)
    return tuple(i for i in range(n) if solver.boolean_value(x[i])), solver.best_objective_bound
