import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.evaluation import ranking


def scored(rows: int = 6, columns: int = 7):
    """Targets and probabilities of few distinct values, so that there are ties."""
    values = arrays(np.float32, (rows, columns), elements=st.sampled_from(np.linspace(0, 1, 5, dtype=np.float32)))
    return st.tuples(arrays(np.uint8, (rows, columns), elements=st.integers(0, 1)), values)


def test_positive_cells_of_dense_and_sparse_targets():
    targets = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    for form in (targets, sp.csr_array(targets), sp.csr_matrix(targets), sp.coo_array(targets).tocsr()):
        documents, codes = ranking.positive_cells(form, (3, 3))
        assert (documents.tolist(), codes.tolist()) == ([0, 0, 2], [1, 2, 0])


def test_explicit_zeros_and_unsorted_indices_are_understood():
    targets = sp.csr_array((np.array([1, 0, 1]), np.array([2, 1, 0]), np.array([0, 3])), shape=(1, 3))
    assert [part.tolist() for part in ranking.positive_cells(targets, (1, 3))] == [[0, 0], [0, 2]]
    assert targets.nnz == 3, "the targets given are left as they are"


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"\(2, 3\) do not fit predictions of shape \(3, 2\)"):
        ranking.positive_cells(np.zeros((2, 3)), (3, 2))


def test_auc_by_hand():
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    assert ranking.auc(scores, np.array([0.4, 0.8])) == 0.875  # of four pairs three are right and one is tied
    assert ranking.auc(scores, np.array([0.1])) == 0
    assert np.isnan(ranking.auc(scores, scores))
    assert np.isnan(ranking.auc(scores, scores[:0]))


def test_ranks_by_hand():
    probabilities = np.array([[0.9, 0.2, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1], [0.4, 0.3, 0.2, 0.1]], dtype=np.float32)
    targets = np.array([[0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]])
    documents, ranks = ranking.positive_ranks(targets, probabilities)
    assert documents.tolist() == [0, 0, 1, 1]
    assert ranks.tolist() == [3, 4, 2, 3]


@settings(max_examples=50, deadline=None)
@given(scored())
def test_ranks_are_places_in_a_stable_descending_order(case):
    targets, probabilities = case
    documents, ranks = ranking.positive_ranks(targets, probabilities)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    place = np.argsort(order, axis=1, kind="stable") + 1
    expected = [sorted(place[row][targets[row] == 1]) for row in range(len(targets))]
    assert [ranks[documents == row].tolist() for row in range(len(targets))] == expected


def test_blocks_do_not_change_the_result(monkeypatch):
    rng = np.random.default_rng(1)
    targets, probabilities = rng.random((40, 30)) < 0.2, rng.random((40, 30)).round(1)
    whole = ranking.positive_ranks(targets, probabilities), list(ranking.scores_by_code(targets, probabilities))
    monkeypatch.setattr(ranking, "BLOCK_CELLS", 70)
    parts = ranking.positive_ranks(targets, probabilities), list(ranking.scores_by_code(targets, probabilities))
    assert [part.tolist() for part in whole[0]] == [part.tolist() for part in parts[0]]
    for one, other in zip(whole[1], parts[1], strict=True):
        assert [part.tolist() for part in one] == [part.tolist() for part in other]
