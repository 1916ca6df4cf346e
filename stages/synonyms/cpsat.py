"""The maximum diversity problem as a model of OR-Tools' CP-SAT.

A 0/1 variable x_i for every element, a product variable y_ij for every pair; the row equalities
sum_j y_ij = (M - 1) x_i tie them together, far more tightly than y_ij <= x_i alone. Asked for is a set that comes
before a known one, by a higher objective or, of equal ones, in lexicographic order: where there is none, the known one
is the answer, and proven.
"""

import math

import numpy as np
from ortools.sat.python import cp_model

EFFORT = 2.0  # of CP-SAT's deterministic seconds; where these do not suffice, the same on every machine
IMPOSSIBLE = -(2**40)  # in the place of a distance, which is less than 2^32 units


def improve(
    distances: np.ndarray, M: int, unit: float, known: tuple[int, ...], time_limit: float = math.inf
) -> tuple[tuple[int, ...] | None, float]:
    """The best set of M that comes before `known` (sorted), None where none was found; and an upper bound.

    The bound is on the objective of all sets; it is that of `known` where it was proven that none comes before it.
    `distances` (n, n) are whole multiples of `unit`, in integers of which CP-SAT counts: nothing is rounded. One
    worker, so that the answer is deterministic except for the time limit in seconds.
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
    # Stopped early, CP-SAT can report a bound of 0 that it never proved.
    trusted = status == cp_model.OPTIMAL or solver.best_objective_bound > solver.objective_value
    return better, round(solver.best_objective_bound) * unit if trusted else math.inf


def candidate_pairs(whole: np.ndarray, M: int, floor: int) -> list[tuple[int, int]]:
    """The pairs that a set of at least `floor` may hold.

    To a set of a few elements each further one, k, adds its distances to these, and half of those to the rest of the
    set. So much is bounded for each pair with the best rest, again as long as that rules out pairs, and then for each
    pair with the best third element and the best rest.
    """
    n = len(whole)
    possible = ~np.eye(n, dtype=bool)
    before = -1
    while before != (before := int(possible.sum())):
        near = np.where(possible, whole, IMPOSSIBLE)
        rest = _largest(near, M - 3)
        for i in range(n):
            gains = 2 * (near[i] + near) + rest  # row j, column k; doubled, to stay whole
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
    """The sums (n,) of so many of the largest values of each row (n, m)."""
    n_columns = values.shape[1]
    if number <= 0:
        return np.zeros(len(values), dtype=values.dtype)
    return np.partition(values, n_columns - number, axis=1)[:, n_columns - number :].sum(axis=1)


def _first_in_order(model: cp_model.CpModel, x: list, known: tuple[int, ...], equal: cp_model.IntVar) -> None:
    """Where `equal` holds, the set comes before `known` in lexicographic order.

    At the first place where they differ the set has an element, and `known` has none.
    """
    members = set(known)
    first = {i: model.new_bool_var("") for i in range(max(known)) if i not in members}
    for i, differs in first.items():
        same = [x[j] if j in members else ~x[j] for j in range(i)]
        model.add_bool_and([*same, x[i]]).only_enforce_if(differs)
    model.add(sum(first.values()) == equal)
