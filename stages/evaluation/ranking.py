"""Sorted scores and the positives among them, for rank metrics, AUC and thresholds.

Targets are `(N, C)`, dense or sparse, non-zero if the document has the code; probabilities are `(N, C)`.
"""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

BLOCK_CELLS = 1 << 21  # cells processed at once; bounds the memory of every pass over (N, C)


def positive_cells(targets: np.ndarray | sp.csr_array, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Documents (P,) and codes (P,) of the positive cells, sorted by document, then code.

    Raises ValueError if `targets` does not have the expected `shape`.
    """
    if targets.shape != shape:
        raise ValueError(f"targets of shape {targets.shape} do not fit predictions of shape {shape}")
    if not sp.issparse(targets):
        documents, codes = np.nonzero(targets)
        return documents, codes
    targets = sp.csr_array(targets, copy=True)
    targets.sum_duplicates()
    targets.eliminate_zeros()
    return np.repeat(np.arange(shape[0]), np.diff(targets.indptr)), targets.indices.astype(np.intp)


def row_blocks(shape: tuple[int, int]) -> Iterator[slice]:
    """Slices of documents that together cover (N, C), each of about `BLOCK_CELLS` cells."""
    step = max(1, BLOCK_CELLS // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, start + step)


def pooled_scores(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All scores (N * C,) and those of the positives (P,), both ascending."""
    cells = positive_cells(targets, probabilities.shape)
    return np.sort(probabilities, axis=None), np.sort(probabilities[cells])


def scores_by_code(
    targets: np.ndarray | sp.csr_array, probabilities: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each code its scores (N,) and those of its positives, both ascending."""
    documents, codes = positive_cells(targets, probabilities.shape)
    by_code = split_by_code(documents, codes, probabilities.shape[1])
    for scores, positives in zip(columns(probabilities), by_code, strict=True):
        yield np.sort(scores), np.sort(scores[positives])


def columns(values: np.ndarray) -> Iterator[np.ndarray]:
    """The columns of (N, C), each contiguous, transposed in blocks."""
    step = max(1, BLOCK_CELLS // max(1, values.shape[0]))
    for start in range(0, values.shape[1], step):
        yield from np.ascontiguousarray(values[:, start : start + step].T)


def split_by_code(documents: np.ndarray, codes: np.ndarray, count: int) -> list[np.ndarray]:
    """The documents of the positive cells (P,), one array per code."""
    by_code = np.argsort(codes, kind="stable")
    return np.split(documents[by_code], np.searchsorted(codes[by_code], np.arange(1, count)))[:count]


def auc(scores: np.ndarray, positives: np.ndarray) -> float:
    """Area under the ROC curve: P(score of a positive > of a negative) + P(equal) / 2; nan without both kinds.

    `scores`: all scores; `positives`: those of the positives; both ascending. Counts pairs (Mann-Whitney).
    """
    pairs = len(positives) * (len(scores) - len(positives))
    if not pairs:
        return float("nan")
    below = np.searchsorted(scores, positives, "left").sum() + np.searchsorted(scores, positives, "right").sum()
    return float((below - len(positives) ** 2) / 2 / pairs)


def positive_ranks(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Documents (P,) of the positive cells, and their rank (P,) among the document's codes, best first.

    Rank 1 is the highest probability and ties go to the lower column, so ranks within a document are distinct. They
    are listed in ascending order.
    """
    documents, codes = positive_cells(targets, probabilities.shape)
    firsts = np.searchsorted(documents, np.arange(probabilities.shape[0] + 1))
    ranks = np.empty(len(documents), dtype=np.intp)
    for rows in row_blocks(probabilities.shape):
        block = probabilities[rows]
        for document, (row, ascending) in enumerate(zip(block, np.sort(block, axis=1), strict=True), rows.start):
            cells = slice(firsts[document], firsts[document + 1])
            ranks[cells] = np.sort(_ranks(row, ascending, codes[cells]))
    return documents, ranks


def _ranks(row: np.ndarray, ascending: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The rank of each of `codes` in one document's scores `row` (sorted: `ascending`)."""
    scores = row[codes]
    upto = np.searchsorted(ascending, scores, "right")
    ranks = len(row) - upto + 1
    for tied in np.flatnonzero(upto - np.searchsorted(ascending, scores, "left") > 1):
        ranks[tied] += np.count_nonzero(row[: codes[tied]] == scores[tied])
    return ranks
