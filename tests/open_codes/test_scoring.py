import numpy as np
import pytest

from stages.open_codes.scoring import CodeIndex, windows


def test_windows_cover_the_text():
    assert windows("a b c d e f g", 3, 2) == ["a b c", "c d e", "e f g"]
    assert windows("a b c d", 3, 2) == ["a b c", "c d"]
    assert windows("a", 3, 2) == ["a"]
    assert windows("", 3, 2) == [""]


@pytest.fixture
def index() -> CodeIndex:
    """Three codes; their four phrases point to two axes, or between them. The states at [CLS] play no part."""
    means = np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 4.0], [-1.0, 0.0]], np.float32)
    pool = {"A": ["fever", "pyrexia"], "B": ["cough"], "C": ["rash"]}
    return CodeIndex(pool, np.stack([np.full_like(means, 7), means], axis=1))


def test_similarity_is_the_best_cosine_of_window_and_phrase(index: CodeIndex):
    read = [np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([[0.0, -1.0]], np.float32)]
    np.testing.assert_allclose(index.similarities(read), [[1, 0.8, 0], [0, -0.8, 0]], atol=1e-6)


def test_overlap_is_of_letters(index: CodeIndex):
    result = index.overlaps("the patient was feverous", np.array([0, 2]))
    assert result[0] > 0.3 > result[1] == 0
    assert index.overlaps("Fever", np.array([0, 1]))[0] == pytest.approx(1)
