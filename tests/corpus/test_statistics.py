import math
from collections import Counter

import pytest

from stages.corpus import statistics
from stages.corpus.document import Document


def test_describe():
    part = [
        Document("1", "p", "one two three", ["a", "b"]),
        Document("2", "p", "one", ["a"]),
        Document("3", "q", "", ["a"]),
    ]
    described = statistics.describe(part, Counter({"a": 4, "b": 2, "c": 2}))
    # Shares: a 3/4 here and 1/2 in the whole, b 1/4 in both, c missing.
    assert described.pop("kl_divergence") == pytest.approx(0.75 * math.log(1.5))
    assert described.pop("codes_missing_percent") == pytest.approx(100 / 3)
    assert described == {
        "documents": 3,
        "subjects": 2,
        "codes": 2,
        "codes_missing": 1,
        "labels_per_document": {"mean": pytest.approx(4 / 3), "median": 1, "max": 2},
        "words_per_document": {"mean": pytest.approx(4 / 3), "median": 1, "max": 3},
    }


def test_a_part_like_the_whole_has_no_divergence():
    whole = Counter({"a": 30, "b": 20, "c": 10})
    part = Counter({"a": 3, "b": 2, "c": 1})
    assert statistics.kl_divergence(part, whole) == pytest.approx(0, abs=1e-15)
    assert statistics.missing_percent(part, whole) == 0
