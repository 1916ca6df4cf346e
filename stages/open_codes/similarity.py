"""Similarity of a text to a code's phrases: windows of words against phrases, by embedding and by letters.

Embeddings are means of the untrained encoder's states, which rank open codes better than its [CLS] state on CodiEsp.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.encoder.encoder import embeddings

WINDOWS = ((3, 2), (6, 3), (12, 6))  # words per window, and the step between windows
OVERLAP = (8, 4)
PHRASES_AT_ONCE = 2**14
LEARNT_FROM = 5_000


def windows(text: str, size: int, step: int) -> list[str]:
    """Windows of `size` words, `step` words apart, that cover a text; at least one."""
    words = text.split()
    return [" ".join(words[start : start + size]) for start in range(0, max(1, len(words) - size + step), step)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (n, d) scaled to length 1, float32."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)


class CodeIndex:
    """Codes, their phrases, and the phrases' embeddings `states` (P, 2, d) ([CLS] and mean), grouped by code."""

    def __init__(self, pool: Mapping[str, Sequence[str]], states: np.ndarray) -> None:
        self.pool = pool
        self.codes = list(pool)
        self.phrases = [phrase for code in self.codes for phrase in pool[code]]
        self.starts = np.cumsum([0, *(len(pool[code]) for code in self.codes)])
        self.states = states

    @cached_property
    def means(self) -> np.ndarray:
        return unit(self.states[:, 1])

    @cached_property
    def letters(self) -> TfidfVectorizer:
        """TF-IDF of 3- to 5-letter runs, fitted on the phrases or a sample of them."""
        vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, dtype=np.float32)
        return vectorizer.fit(self.phrases[:: 1 + len(self.phrases) // LEARNT_FROM])

    def best(self, by_phrase: np.ndarray, codes: np.ndarray | None = None) -> np.ndarray:
        """The highest of the values (P,) of each code's phrases, (C,); with `codes`, only for their phrases."""
        sizes = np.diff(self.starts) if codes is None else np.diff(self.starts)[codes]
        return np.maximum.reduceat(by_phrase, np.cumsum([0, *sizes[:-1]]))

    def similarities(self, read: Sequence[np.ndarray]) -> np.ndarray:
        """The highest cosine of any window and any phrase of each code, per window size: (sizes, C)."""
        found = np.empty((len(read), len(self.phrases)), np.float32)
        for start in range(0, len(self.phrases), PHRASES_AT_ONCE):
            part = slice(start, start + PHRASES_AT_ONCE)
            for kind, vectors in enumerate(read):
                found[kind, part] = (self.means[part] @ vectors.T).max(axis=1)
        return np.stack([self.best(row) for row in found])

    def overlaps(self, text: str, codes: np.ndarray) -> np.ndarray:
        """The highest letter-based cosine of any window of a text and any phrase of each of some codes."""
        pieces = self.letters.transform(windows(text, *OVERLAP))
        phrases = self.letters.transform([phrase for code in codes for phrase in self.pool[self.codes[code]]])
        return self.best((phrases @ pieces.T).max(axis=1).toarray().ravel(), codes)


def read_windows(
    text: str, encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, device: torch.device | str
) -> list[np.ndarray]:
    """The unit embeddings (n, d) of a text's windows, per window size."""
    kinds = [windows(text, size, step) for size, step in WINDOWS]
    distinct = list(dict.fromkeys(piece for kind in kinds for piece in kind))
    vectors = unit(embeddings(encoder, tokenizer, distinct, device, silent=True)[:, 1].numpy())
    row = {piece: number for number, piece in enumerate(distinct)}
    return [vectors[[row[piece] for piece in kind]] for kind in kinds]
