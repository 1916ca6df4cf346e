import numpy as np
import scipy.sparse as sp

from stages.evaluation.breakdowns import length_table
from stages.evaluation.scored import Resampling


def test_by_hand():
    """Four documents, one per quarter; the longest, whose code is missed, stands first in the data."""
    targets = sp.csr_array(np.array([[1, 0], [1, 0], [0, 1], [1, 1]], dtype=np.uint8))
    probabilities = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.9, 0.1]])
    table = length_table(targets, probabilities, np.array([400, 10, 20, 30]), Resampling(np.arange(4), 50, 0))
    assert table.words_from.tolist() == table.words_to.tolist() == [10, 20, 30, 400]
    assert table.f1_micro.round(3).tolist() == [1.0, 0.667, 0.667, 0.0]
    assert table.codes.tolist() == [1.0, 1.0, 2.0, 1.0]
    # a quarter of one patient is the same in every resample
    np.testing.assert_allclose(table[["f1_micro_low", "f1_micro_high"]], table[["f1_micro", "f1_micro"]])


def test_fewer_documents_than_quarters():
    targets = sp.csr_array(np.ones((2, 1), dtype=np.uint8))
    table = length_table(targets, np.ones((2, 1)), np.array([5, 3]), Resampling(np.arange(2), 0, 0))
    assert table.f1_micro_low.isna().all()
    assert table.documents.tolist() == [1, 1]
