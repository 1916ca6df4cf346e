"""Documents as rows of token ids: overlapping chunks for CE, one long row for LE (the paper's sections on encoders)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.modeling.architecture import Architecture


@dataclass(frozen=True)
class SpecialTokens:
    """The tokenizer's own ids of [CLS], [SEP] and [PAD]."""

    cls: int
    sep: int
    pad: int


def document_rows(
    token_ids: Sequence[int], architecture: Architecture, special: SpecialTokens
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that the encoder reads for one document.

    token_ids: the whole tokenised text, [CLS] first and [SEP] last, not truncated, not padded.
    Returns the ids (B, T) and the mask (B, T), both int64; mask 1 where a token is real. B is the number of chunks for CE
    and 1 for LE. With padding "original" the rows are the authors' (T fixed by chunk length or a multiple of the
    window); with "masked" rows without text are left out and a single row has no padding at all.
    """
    raise NotImplementedError
