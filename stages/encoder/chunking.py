"""Documents as rows of token ids: overlapping chunks for CE, one long row for LE (section 3 of the paper).

CE: a text of n tokens, including [CLS] and [SEP], goes into the smallest bucket of L >= n tokens: chunk_length, then
1 + k S for k = 2, 3, ... below max_tokens, where S = chunk_length - 2. The smallest bucket is a single chunk. In a
larger one, chunks start at i = 0, S/2, S, ...: chunk i is [CLS], the S tokens at positions i + 1 ... i + S, and a
closing [SEP] unless the last of them is padding or [SEP] already. With the paper's chunk_length of 512 the buckets are
512, 1021, 1531, ... and the stride is 255.
"""

from collections.abc import Sequence

import numpy as np

from stages.encoder.architecture import Architecture
from stages.encoder.tokenizer import SpecialIds


def document_rows(
    token_ids: Sequence[int] | np.ndarray, architecture: Architecture, special: SpecialIds
) -> tuple[np.ndarray, np.ndarray]:
    """The rows that the encoder reads for one document.

    token_ids: the whole tokenised text from [CLS] to [SEP], neither truncated nor padded.
    Returns the ids (B, T) and the mask (B, T), both int64; the mask is 1 for real tokens. B is the number of chunks for
    CE and 1 for LE. With padding "original" the rows are those of the authors' program: T is the chunk length, or a
    multiple of the window. With "masked", chunks without text are dropped and a single row has no padding.
    """
    tokens = np.asarray(token_ids, dtype=np.int64)
    masked = architecture.padding == "masked"
    if architecture.encoder == "LE":
        tokens = _truncate(tokens, architecture.max_positions, special)
        return _one_row(tokens, len(tokens) if masked else _multiple(len(tokens), architecture.window), special)
    length = bucket(len(tokens), architecture.chunk_length, architecture.max_tokens)
    tokens = _truncate(tokens, length, special)
    if length == architecture.chunk_length:
        return _one_row(tokens, len(tokens) if masked else length, special)
    rows, mask = _chunks(tokens, length, architecture.chunk_length, special)
    if masked:
        with_text = 1 + _stride(architecture.chunk_length) * np.arange(len(rows)) < len(tokens) - 1
        return rows[with_text], mask[with_text]
    return rows, mask


def document_shape(n_tokens: int, architecture: Architecture) -> tuple[int, int]:
    """The shape (B, T) of the rows that `document_rows` makes of a text of `n_tokens` tokens."""
    masked = architecture.padding == "masked"
    if architecture.encoder == "LE":
        length = min(n_tokens, architecture.max_positions)
        return 1, length if masked else _multiple(length, architecture.window)
    chunk_length = architecture.chunk_length
    length = bucket(n_tokens, chunk_length, architecture.max_tokens)
    if length == chunk_length:
        return 1, min(n_tokens, length) if masked else length
    stride = _stride(chunk_length)
    n_chunks = 1 + (length - chunk_length + 1) // stride
    n_with_text = -(-(min(n_tokens, length) - 2) // stride)  # chunk k begins at position 1 + k stride, before [SEP]
    return min(n_chunks, n_with_text) if masked else n_chunks, chunk_length


def bucket(n_tokens: int, chunk_length: int, max_tokens: int) -> int:
    """The padded length of a text of `n_tokens` tokens: the smallest bucket that holds it, or else the largest.

    Buckets are below `max_tokens`, except that chunk_length always is one.
    """
    step = chunk_length - 2
    largest = (max_tokens - 2) // step
    if n_tokens <= chunk_length or largest < 2:
        return chunk_length
    needed = max(2, -(-(n_tokens - 1) // step))
    return 1 + step * min(needed, largest)


def _chunks(tokens: np.ndarray, length: int, chunk_length: int, special: SpecialIds) -> tuple[np.ndarray, np.ndarray]:
    """The overlapping chunks of a text padded to a bucket of `length` tokens, with their mask."""
    padded = np.full(length, special.pad)
    padded[: len(tokens)] = tokens
    real = np.arange(length) < len(tokens)
    starts = np.arange(0, length - chunk_length + 2, _stride(chunk_length))
    window = starts[:, None] + np.arange(1, chunk_length - 1)

    rows = np.full((len(starts), chunk_length), special.pad)
    mask = np.zeros((len(starts), chunk_length), dtype=np.int64)
    rows[:, 0], rows[:, 1:-1] = special.cls, padded[window]
    mask[:, 0], mask[:, 1:-1] = 1, real[window]
    open_end = ~np.isin(rows[:, -2], (special.pad, special.sep))
    rows[open_end, -1], mask[open_end, -1] = special.sep, 1
    return rows, mask


def _one_row(tokens: np.ndarray, length: int, special: SpecialIds) -> tuple[np.ndarray, np.ndarray]:
    row, mask = np.full((1, length), special.pad), np.zeros((1, length), dtype=np.int64)
    row[0, : len(tokens)], mask[0, : len(tokens)] = tokens, 1
    return row, mask


def _truncate(tokens: np.ndarray, length: int, special: SpecialIds) -> np.ndarray:
    return tokens if len(tokens) <= length else np.append(tokens[: length - 1], special.sep)


def _multiple(length: int, step: int) -> int:
    return -(-length // step) * step


def _stride(chunk_length: int) -> int:
    """The distance between chunk starts: half of a chunk's tokens without [CLS] and [SEP]."""
    return (chunk_length - 2) // 2
