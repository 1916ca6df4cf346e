"""The solver against brute force, against CP-SAT, and on the cases where ties and sizes are degenerate."""

import math
from itertools import combinations

import numpy as np
import pytest

from stages.synonyms import cpsat, growth, mdp

KINDS = ("clusters", "cone", "isotropic", "duplicates", "lattice", "general", "negative")


def distances(kind: str, n: int, d: int, seed: int) -> np.ndarray:
    """Distances of several kinds: embeddings with clusters, in a cone, or neither; exact ties; and no geometry."""
    rng = np.random.default_rng([seed, n, d])
    vectors = rng.normal(size=(n, d))
    spectrum = np.arange(1, d + 1) ** -0.5
    if kind == "clusters":
        near = rng.normal(size=(max(2, n // 4), d))
        vectors = near[rng.integers(0, len(near), n)] + 0.2 * vectors
        vectors[n // 2] = vectors[0] + 1e-4 * vectors[n // 2]
    elif kind == "cone":
        vectors = (vectors + rng.normal(size=d)) * spectrum
    elif kind == "duplicates":
        vectors = vectors[rng.integers(0, max(1, n // 3), n)]
    elif kind == "lattice":  # few different distances, many ties
        return np.asarray(mdp.round_to_quanta(np.triu(rng.integers(0, 3, (n, n)), 1) * 2.0))
    elif kind == "general":
        return mdp.round_to_quanta(rng.exponential(100.0, (n, n)))
    elif kind == "negative":
        return mdp.round_to_quanta(rng.normal(size=(n, n)))
    return mdp.round_to_quanta(mdp.cosine_distances(vectors))


def brute_force(matrix: np.ndarray, M: int) -> tuple[tuple[int, ...], float]:
    """All subsets in lexicographic order; the first of the best."""
    best, value = (), -math.inf
    for chosen in combinations(range(len(matrix)), M):
        total = sum(matrix[i, j] for i, j in combinations(chosen, 2))
        if total > value:
            best, value = chosen, total
    return best, value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("path", ["enumeration", "breadth", "depth"])
def test_equals_brute_force(kind, path, monkeypatch):
    if path != "enumeration":
        monkeypatch.setattr(mdp, "ENUMERATED", 0)
    if path == "depth":  # a beam so narrow that it proves nothing, and chunks so small that the stack is used
        monkeypatch.setattr(mdp, "BEAM", 2)
        monkeypatch.setattr(growth, "CHUNK", 3)
    for seed in range(12):
        n, M = 5 + seed % 7, 3 + seed % 4
        matrix = distances(kind, n, (64, 1024)[seed % 2], seed)
        result = mdp.solve(matrix, min(M, n))
        chosen, value = brute_force(matrix, min(M, n))
        assert result.chosen == chosen
        assert result.objective == value == result.bound
        assert result.proven
        assert result.gap == 0.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "M"), [(1, 1), (7, 1), (9, 2), (14, 4), (40, 3), (20, 4), (12, 6), (5, 5)])
def test_both_solvers_give_the_same_answer(kind, n, M):
    """Also where sets tie: the first in lexicographic order."""
    matrix = distances(kind, n, 64, 5)
    by_cp_sat, by_search = (mdp.solve(matrix, M, solver=solver) for solver in ("cp_sat", "search"))
    assert by_cp_sat.proven and by_search.proven
    assert (by_cp_sat.chosen, by_cp_sat.objective) == (by_search.chosen, by_search.objective)


def test_what_cp_sat_leaves_the_search_proves(monkeypatch):
    """Some problems take CP-SAT more than its effort, which is counted in its deterministic time."""
    matrix = distances("isotropic", 30, 64, 2)
    monkeypatch.setattr(cpsat, "EFFORT", 1e-6)
    solution = mdp.solve(matrix, 8, solver="cp_sat")
    assert solution.proven and solution.method.startswith("growth")
    assert solution.chosen == mdp.solve(matrix, 8).chosen


def test_a_pair_of_the_best_set_is_never_ruled_out():
    for kind in KINDS:
        matrix = distances(kind, 16, 64, 3)
        best = mdp.solve(matrix, 5)
        unit = mdp.quantum(matrix)
        pairs = cpsat.candidate_pairs(np.rint(matrix / unit).astype(np.int64), 5, round(best.objective / unit))
        assert set(combinations(best.chosen, 2)) <= set(pairs)


def test_m_of_one_and_two():
    matrix = distances("cone", 40, 64, 0)
    assert mdp.solve(matrix, 1).chosen == (0,)
    assert mdp.solve(matrix, 1).objective == 0.0
    assert mdp.solve(matrix, 2).chosen == tuple(np.unravel_index(np.argmax(matrix), matrix.shape))


@pytest.mark.parametrize("n,M", [(60, 4), (200, 8)])
def test_equal_distances_give_the_first(n, M):
    result = mdp.solve(np.ones((n, n)), M, time_limit=30)
    assert result.chosen == tuple(range(M))
    assert result.proven
    assert result.objective == math.comb(M, 2)


def test_equal_embeddings_and_zero_vectors():
    same = mdp.solve(mdp.cosine_distances(np.ones((50, 8))), 8)
    assert same.chosen == tuple(range(8))
    assert same.objective == 0.0
    zeros = mdp.cosine_distances(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]]))
    np.testing.assert_array_equal(zeros, [[0, 1, 1, 1], [1, 0, 1, 2], [1, 1, 0, 1], [1, 2, 1, 0]])


def test_many_copies_of_few_vectors(monkeypatch):
    """A hundred candidates that are ten different ones: the optimum is among billions of equals, the first is taken."""
    rng = np.random.default_rng(3)
    distinct = rng.normal(size=(10, 16))
    matrix = mdp.cosine_distances(np.tile(distinct, (10, 1)))
    result = mdp.solve(matrix, 6, time_limit=60)
    assert result.proven
    assert result.method == "growth"
    few = mdp.solve(mdp.cosine_distances(np.tile(distinct, (2, 1))), 6)
    assert result.objective == few.objective
    assert result.chosen == few.chosen


@pytest.mark.parametrize("kind", ["clusters", "isotropic", "general", "negative"])
def test_concave_bound_holds_and_rules_out_no_optimum(kind):
    for seed in range(6):
        matrix = distances(kind, 14, 64, seed)
        optimum = mdp.solve(matrix, 5)
        kept, bound = mdp.concave_kernel(matrix, 5, optimum.objective)
        assert bound >= optimum.objective
        assert set(optimum.chosen) <= set(kept.tolist())


def test_past_the_time_limit_the_bound_stays_open(monkeypatch):
    """Nothing is called proven that was not, although CP-SAT reports a bound of 0 when it has had no time."""
    monkeypatch.setattr(mdp, "BEAM", 1)
    matrix = distances("isotropic", 120, 64, 1)
    result = mdp.solve(matrix, 8, time_limit=0.0)
    assert not result.proven
    assert result.method == "time limit"
    assert 0 < result.gap < 0.2
    assert result.bound > mdp.solve(matrix, 8).objective >= result.objective


def test_rounding_keeps_sums_exact():
    matrix = distances("isotropic", 50, 64, 0)
    order = np.random.default_rng(0).permutation(50)
    assert matrix.sum() == matrix[order][:, order].sum()
    np.testing.assert_array_equal(matrix, mdp.round_to_quanta(matrix))
    assert np.abs(matrix / mdp.quantum(matrix) % 1).max() == 0
