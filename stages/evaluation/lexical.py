"""Two baselines without an encoder: a lookup of the codes' phrases, and TF-IDF with logistic regression."""

import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from stages.common.runner import progress_bar

WORD = re.compile(r"[a-z0-9]+")


class PhraseLookup:
    """Assigns a code to every text that contains one of its phrases, matching whole words in any case.

    `phrases` holds the phrases of each code; `codes` is the column order.
    """

    def __init__(self, phrases: Mapping[str, Iterable[str]], codes: Sequence[str]) -> None:
        self.codes = len(codes)
        self.columns: dict[tuple[str, ...], list[int]] = {}
        for column, code in enumerate(codes):
            for words in {tuple(WORD.findall(phrase.lower())) for phrase in phrases[code]} - {()}:
                self.columns.setdefault(words, []).append(column)
        self.lengths: dict[str, list[int]] = {}  # first word -> lengths of the phrases starting with it
        for words in self.columns:
            known = self.lengths.setdefault(words[0], [])
            if len(words) not in known:
                known.append(len(words))

    def predict(self, texts: Iterable[str]) -> sp.csr_array:
        """Decisions for texts, (N, C) bool."""
        rows = [sorted(self._find(WORD.findall(text.lower()))) for text in texts]
        offsets = np.cumsum([0, *map(len, rows)])
        indices = np.fromiter((column for row in rows for column in row), np.int64, offsets[-1])
        return sp.csr_array((np.ones(len(indices), bool), indices, offsets), shape=(len(rows), self.codes))

    def _find(self, words: list[str]) -> set[int]:
        columns: set[int] = set()
        for start, word in enumerate(words):
            for length in self.lengths.get(word, ()):
                columns.update(self.columns.get(tuple(words[start : start + length]), ()))
        return columns


def tfidf_probabilities(
    train_texts: Sequence[str], targets: sp.csr_array, parts: Sequence[Sequence[str]]
) -> list[np.ndarray]:
    """Probabilities (N, C) for the texts of each part, by a logistic regression per code on TF-IDF of words.

    `targets` (documents, C) belong to `train_texts`. A code carried by all or none of them gets probability 1 or 0.
    """
    vectorizer = TfidfVectorizer(min_df=3, sublinear_tf=True, dtype=np.float32)
    features = vectorizer.fit_transform(train_texts)
    unseen = [vectorizer.transform(texts) for texts in parts]
    carried = targets.toarray().astype(bool)
    probabilities = [np.tile(carried.mean(axis=0), (len(texts), 1)) for texts in parts]
    for column in progress_bar(range(carried.shape[1]), desc="logistic regression", unit="code"):
        if carried[:, column].any() and not carried[:, column].all():
            model = LogisticRegression(C=100, solver="liblinear", random_state=0).fit(features, carried[:, column])
            for filled, part in zip(probabilities, unseen, strict=True):
                filled[:, column] = model.predict_proba(part)[:, 1]
    return probabilities
