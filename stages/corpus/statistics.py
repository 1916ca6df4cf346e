"""What a split looks like: sizes, labels per document, and how far a part's labels are from the whole's."""

import math
from collections import Counter
from collections.abc import Iterable
from statistics import mean, median
from typing import Any

from stages.corpus.document import Document
from stages.corpus.text import count_words


def describe(documents: list[Document], whole: Counter[str]) -> dict[str, Any]:
    """Statistics of one part, given the code frequencies of the whole corpus."""
    codes = Counter(code for document in documents for code in document.codes)
    labels = [len(document.codes) for document in documents]
    words = [count_words(document.text) for document in documents]
    return {
        "documents": len(documents),
        "subjects": len({document.subject_id for document in documents}),
        "codes": len(codes),
        "codes_missing": len(whole) - len(codes),
        "codes_missing_percent": 100 * missing_share(codes, whole),
        "kl_divergence": kl_divergence(codes, whole),
        "labels_per_document": {"mean": mean(labels), "median": median(labels), "max": max(labels)},
        "words_per_document": {"mean": mean(words), "median": median(words), "max": max(words)},
    }


def code_counts(documents: Iterable[Document]) -> Counter[str]:
    """How often each code occurs."""
    return Counter(code for document in documents for code in document.codes)


def missing_share(part: Counter[str], whole: Counter[str]) -> float:
    """The share of the whole's codes that never occur in a part."""
    return 1 - len(part.keys() & whole.keys()) / len(whole)


def kl_divergence(part: Counter[str], whole: Counter[str]) -> float:
    """KL(part || whole) = sum over codes of p log(p / q), natural logarithm, p and q the codes' shares."""
    in_part, in_whole = part.total(), whole.total()
    return sum(n / in_part * math.log(n / in_part * in_whole / whole[code]) for code, n in sorted(part.items()) if n)
