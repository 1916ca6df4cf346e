"""From token scores to words and snippets of a document's text."""

from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Words:
    """A tokenised text and the words its tokens belong to.

    ids: (n,) including [CLS] and [SEP]. word: (n,) int, -1 for special tokens. offsets: (n, 2), each token's
    characters; spans: (W, 2), each word's.
    """

    text: str
    ids: np.ndarray
    word: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray

    @classmethod
    def from_text(cls, text: str, tokenizer: PreTrainedTokenizerBase) -> "Words":
        """The words of `text` as the tokenizer separates them."""
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
        """Word scores (K, W): the sums of their tokens' scores (K, n)."""
        real = self.word >= 0
        summed = np.zeros((len(scores), len(self.spans)))
        for row, values in zip(summed, scores, strict=True):
            np.add.at(row, self.word[real], values[real])
        return summed


def snippets(words: Words, scores: np.ndarray, number: int = 3, context: int = 4) -> list[str]:
    """The words with the highest scores (W,) for a code, each with some context.

    Snippets do not overlap, and words below an eighth of the highest score are left out.
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
