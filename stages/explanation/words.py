"""From scores of tokens to words and stretches of a document's text."""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Words:
    """A tokenised text: the ids of its tokens, and the word that each belongs to.

    ids: (n,) with [CLS] and [SEP]. word: (n,) int, -1 for special tokens. offsets: (n, 2), the characters of each
    token; spans: (W, 2), those of each word.
    """

    text: str
    ids: np.ndarray
    word: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray

    @classmethod
    def from_text(cls, text: str, tokenizer: PreTrainedTokenizerBase) -> "Words":
        """The words of `text` as the tokenizer parts them."""
        encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
        word = np.array([-1 if number is None else number for number in encoded.word_ids()], dtype=np.int64)
        offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        n_words = int(word.max(initial=-1)) + 1
        spans = np.zeros((n_words, 2), dtype=np.int64)
        spans[:, 0] = len(text)
        real = word >= 0
        np.minimum.at(spans[:, 0], word[real], offsets[real, 0])
        np.maximum.at(spans[:, 1], word[real], offsets[real, 1])
        return cls(text, np.array(encoded["input_ids"], dtype=np.int64), word, offsets, spans)

    def sums(self, scores: np.ndarray) -> np.ndarray:
        """Scores of words (K, W): the sums of those of their tokens (K, n)."""
        real = self.word >= 0
        summed = np.zeros((len(scores), len(self.spans)))
        for row, values in zip(summed, scores, strict=True):
            np.add.at(row, self.word[real], values[real])
        return summed


def snippets(words: Words, scores: np.ndarray, number: int = 3, context: int = 4) -> list[str]:
    """The strongest words (W,) of one code, each with the words around it.

    None that overlap, and none of less than an eighth of the strongest word's score.
    """
    least = scores.max(initial=0.0) / 8
    taken = np.zeros(len(scores), dtype=bool)
    chosen: list[str] = []
    for word in np.argsort(-scores, kind="stable"):
        if len(chosen) == number or scores[word] <= 0 or scores[word] < least:
            break
        first, last = max(0, word - context), min(len(scores) - 1, word + context)
        if not taken[first : last + 1].any():
            taken[first : last + 1] = True
            chosen.append(words.text[words.spans[first, 0] : words.spans[last, 1]])
    return chosen
