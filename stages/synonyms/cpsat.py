"""The maximum diversity problem as a model of OR-Tools' CP-SAT.

There is a 0/1 variable x_i per element and a product variable y_ij per pair, linked by the row equalities
sum_j y_ij = (M - 1) x_i, which are far tighter than y_ij <= x_i. The model looks for a set better than a known one:
with a higher objective or, at the same objective, earlier in lexicographic order. If there is none, the known set is
proven optimal.
"""

import math

import numpy as np
from ortools.sat.python import cp_model

EFFORT = 2.0  # limit in CP-SAT's deterministic seconds, the same on every machine
IMPOSSIBLE = -(2**40)  # stands for an impossible pair; distances are below 2^32 units


def improve(
    distances: np.ndarray, M: int, unit: float, known: tuple[int, ...], time_limit: float = math.inf
) -> tuple[tuple[int, ...] | None, float]:
    """The best set of M that is better than `known` (sorted), or None if none was found; and an upper bound.

    The bound holds for all sets; it equals the objective of `known` if that is proven optimal. `distances` (n, n) are
    integer multiples of `unit`, so nothing is rounded. A single worker makes the answer deterministic except for the
    time limit in seconds.
    """
    n = len(distances)
    whole = np.rint(distances / unit).astype(np.int64)
    floor = int(whole[np.ix_(known, known)].sum()) // 2
    model = cp_model.CpModel()
    x = [model.new_bool_var("") for _ in range(n)]
    y = {pair: model.new_bool_var("") for pair in candidate_pairs(whole, M, floor)}
    rows: list[list[cp_model.IntVar]] = [[] for _ in range(n)]
    for (i, j), product in y.items():
        rows[i].append(product)
        rows[j].append(product)
    model.add(sum(x) == M)
    for chosen, products in zip(x, rows, strict=True):
        model.add(sum(products) == (M - 1) * chosen)
    total = sum(int(whole[pair]) * product for pair, product in y.items())
    equal = model.new_bool_var("")
    model.add(total >= floor + 1 - equal)
    _first_in_order(model, x, known, equal)
    model.maximize(total)

    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.max_deterministic_time = EFFORT
    if math.isfinite(time_limit):
        solver.parameters.max_time_in_seconds = max(time_limit, 0.0)
    status = solver.solve(model)
    if status == cp_model.INFEASIBLE:
        return None, floor * unit
    if status == cp_model.UNKNOWN:
        return None, math.inf
    better = tuple(i for i in range(n) if solver.boolean_value(x[i]))
    # When stopped early, CP-SAT may report a bound of 0 that it did not prove.
    trusted = status == cp_model.OPTIMAL or solver.best_objective_bound > solver.objective_value
    return better, round(solver.best_objective_bound) * unit if trusted else math.inf


def candidate_pairs(whole: np.ndarray, M: int, floor: int) -> list[tuple[int, int]]:
    """The pairs that a set with objective of at least `floor` may contain.

    Each further element k adds its distances to a few given elements and half of its distances to the rest of the set.
    This bounds each pair with the best rest, repeatedly while it rules out pairs, and then each pair with the best
    third element and the best rest.
    """
    n = len(whole)
    possible = ~np.eye(n, dtype=bool)
    before = -1
    while before != (before := int(possible.sum())):
        near = np.where(possible, whole, IMPOSSIBLE)
        rest = _largest(near, M - 3)
        for i in range(n):
            gains = 2 * (near[i] + near) + rest  # row j, column k; doubled to stay integer
            possible[i] &= 2 * whole[i] + _largest(gains, M - 2) >= 2 * floor
        possible &= possible.T
    near = np.where(possible, whole, IMPOSSIBLE)
    rest = _largest(near, M - 4)
    pairs = [(int(i), int(j)) for i, j in zip(*np.nonzero(np.triu(possible)), strict=True)]
    if M < 3:
        return pairs
    reach = {
        (i, j): 2 * whole[i, j] + (2 * shared + _largest(2 * (shared + near) + rest, M - 3)).max()
        for i, j in pairs
        if len(shared := near[i] + near[j])
    }
    return [pair for pair in pairs if reach[pair] >= 2 * floor]


def _largest(values: np.ndarray, number: int) -> np.ndarray:
    """The sums (n,) of the `number` largest values of each row (n, m)."""
    n_columns = values.shape[1]
    if number <= 0:
        return np.zeros(len(values), dtype=values.dtype)
    return np.partition(values, n_columns - number, axis=1)[:, n_columns - number :].sum(axis=1)


def _first_in_order(model: cp_model.CpModel, x: list, known: tuple[int, ...], equal: cp_model.IntVar) -> None:
    """Require, if `equal` holds, that the set precedes `known` in lexicographic order.

    At the first element where they differ, the set contains it and `known` does not.
    """
    members = set(known)
    first = {i: model.new_bool_var("") for i in range(max(known)) if i not in members}
    for i, differs in first.items():
        same = [x[j] if j in members else ~x[j] for j in range(i)]
        model.add_bool_and([*same, x[i]]).only_enforce_if(differs)
    model.add(sum(first.values()) == equal)
