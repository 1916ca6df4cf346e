import numpy as np
import pytest

from stages.synonyms import mdp, selection


def problems(sizes: list[int], d: int = 32) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"{i:02d}": mdp.cosine_distances(rng.normal(size=(n, d))) for i, n in enumerate(sizes)}


def test_fewer_candidates_than_m_are_repeated_and_solved_the_same_way():
    """Three on a line, M = 4: both ends twice are worth 4 x 2 = 8, more than any other set of four."""
    line = mdp.cosine_distances(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    result = selection.choose(line, 4)
    assert result.chosen == (0, 0, 2, 2)
    assert result.objective == 8.0
    assert selection.choose(line, 3).chosen == (0, 1, 2)
    assert selection.choose(line[:1, :1], 3).chosen == (0, 0, 0)
    assert selection.choose(line[:2, :2], 3).chosen == (0, 0, 1)


@pytest.mark.parametrize("M", range(1, 9))
def test_random_draws(M):
    drawn = selection.draw(20, M, 10, "401.9")
    assert len(set(drawn)) == M
    assert drawn == tuple(sorted(drawn))
    assert drawn == selection.draw(20, M, 10, "401.9")
    assert len({selection.draw(20, M, 10, code) for code in ("401.9", "428.0", "486", "496")}) > 1
    few = selection.draw(2, M, 10, "401.9")
    assert len(few) == M
    assert set(few) <= {0, 1}


def test_expected_diversity_is_the_mean_over_draws():
    distances = problems([6])["00"]
    for M in (2, 3, 6):
        draws = [selection.draw(6, M, seed, "x") for seed in range(3000)]
        mean = np.mean([selection.diversity(distances, chosen) for chosen in draws])
        assert mean == pytest.approx(selection.expected_diversity(distances, M), rel=0.02)
    draws = [selection.draw(6, 8, seed, "x") for seed in range(3000)]  # with replacement
    mean = np.mean([selection.diversity(distances, chosen) for chosen in draws])
    assert mean == pytest.approx(selection.expected_diversity(distances, 8), rel=0.02)
    assert selection.expected_diversity(distances, 1) == 0.0


def test_mean_diversity_by_hand():
    square = mdp.cosine_distances(np.array([[1.0, 0], [1, 0], [-1, 0], [0, 1]]))
    result = selection.mean_diversity({"a": square, "b": square[:1, :1]}, {"a": (0, 2), "b": (0, 0)}, 2)
    # Of a: the chosen lie 2 apart, and the six pairs are 0, 2, 1, 2, 1, 1. Of b all is 0.
    assert result == {"chosen": 1.0, "rand": pytest.approx(7 / 12)}


def test_the_number_of_processes_changes_nothing(monkeypatch):
    monkeypatch.setattr(selection, "IN_PROCESS", 0.0)
    several = problems([3, 40, 12, 25, 60, 1])
    alone = selection.choose_all(several, 5, 60.0, n_workers=1)
    together = selection.choose_all(several, 5, 60.0, n_workers=2)
    assert together == alone
    assert set(alone) == set(several)
    assert all(result.proven for result in alone.values())
    assert {result.method for result in alone.values()} == {"enumeration", "growth"}


def test_both_solvers_select_the_same():
    several = problems([3, 14, 25, 60, 1])
    by_cp_sat, by_search = (selection.choose_all(several, 4, 60.0, 1, solver) for solver in ("cp_sat", "search"))
    assert {code: solution.chosen for code, solution in by_cp_sat.items()} == {
        code: solution.chosen for code, solution in by_search.items()
    }
    assert {solution.method for solution in by_cp_sat.values()} == {"CP-SAT"}


def test_the_total_limit_holds_whatever_M_is():
    several = problems([12, 30, 60, 90])
    result = selection.choose_all(several, 64, 0.0, n_workers=1)
    assert set(result) == set(several)
    assert all(len(each.chosen) == 64 for each in result.values())
    assert not all(each.proven for each in result.values())
    assert all(each.bound >= each.objective for each in result.values())
