"""Statistics of a split: sizes, labels and words per document, and how each part's label distribution differs."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import mean, median
from typing import Any

from stages.corpus.document import Document
from stages.corpus.text import count_words


def describe(documents: list[Document], whole: Counter[str]) -> dict[str, Any]:
    """Statistics of one part, given the counts of each code over all parts."""
    part = code_counts(documents)
    return {
        "documents": len(documents),
        "subjects": len({document.subject_id for document in documents}),
        "codes": len(part),
        "codes_missing": len(whole.keys() - part.keys()),
        "codes_missing_percent": missing_percent(part, whole),
        "kl_divergence": kl_divergence(part, whole),
        "labels_per_document": _spread([len(document.codes) for document in documents]),
        "words_per_document": _spread([count_words(document.text) for document in documents]),
    }


def code_counts(documents: Iterable[Document]) -> Counter[str]:
    return Counter(code for document in documents for code in document.codes)


def missing_percent(part: Counter[str], whole: Counter[str]) -> float:
    """100 x (codes that never occur in the part) / (all codes)."""
    return 100 * len(whole.keys() - part.keys()) / len(whole)


def kl_divergence(part: Counter[str], whole: Counter[str]) -> float:
    """KL(part || whole) = sum over codes of p ln(p / q), with p and q a code's share of all codes in each."""
    in_part, in_whole = part.total(), whole.total()
    return sum(count / in_part * math.log(count / in_part * in_whole / whole[code]) for code, count in part.items())


def _spread(values: Sequence[int]) -> dict[str, float]:
    return {"mean": float(mean(values)), "median": float(median(values)), "max": max(values)}
