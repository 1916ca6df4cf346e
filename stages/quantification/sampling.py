"""Groups of documents: how they are sampled, and means over their members.

The groups of a draw form a boolean matrix (S, N) that says whether sample s has document i. Since members are drawn
without replacement this loses nothing, and the means of all groups are one matrix product.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.sparse as sp

BLOCK = 512  # groups per block; a block of memberships as floats takes at most 512 x N x 8 bytes


def membership(index_lists: Iterable[Sequence[int]], n_documents: int) -> np.ndarray:
    """The boolean matrix (S, N) of groups given as lists of document indices in 0 ... `n_documents` - 1."""
    index_lists = list(index_lists)
    groups = np.zeros((len(index_lists), n_documents), dtype=bool)
    for row, indices in zip(groups, index_lists, strict=True):
        row[np.asarray(indices, dtype=np.int64)] = True
    return groups


def uniform_groups(n_documents: int, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Groups as in the paper: size uniform in 1 ... N, members without replacement; (S, N) booleans."""
    sizes = rng.integers(1, n_documents, size=n_samples, endpoint=True)
    return membership((rng.choice(n_documents, size, replace=False, shuffle=False) for size in sizes), n_documents)


def training_groups(n_documents: int, n_samples: int, seed: int) -> np.ndarray:
    """The groups of validation documents that quantifiers learn from, (S, N) booleans."""
    return uniform_groups(n_documents, n_samples, np.random.default_rng([seed, 0]))


def shifted_groups(targets: sp.csr_array, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Groups with forced prevalence, following the artificial-prevalence protocol; (S, N) booleans.

    Each group is built around one code, drawn from those that some but not all documents of `targets` (N, C) have. Its
    prevalence is uniform in [0, 1], the group's size uniform in what the available documents allow, and members are
    drawn without replacement from the documents with and without the code; other codes follow by co-occurrence. If no
    code has both kinds of documents, the groups are uniform. The multi-label version is that of Moreo, Francisco and
    Sebastiani (2023), "Multi-Label Quantification".
    """
    n_documents = targets.shape[0]
    columns = sp.csc_array(targets)
    carriers = np.diff(columns.indptr)
    movable = np.flatnonzero((carriers > 0) & (carriers < n_documents))
    if movable.size == 0:
        return uniform_groups(n_documents, n_samples, rng)

    groups = np.zeros((n_samples, n_documents), dtype=bool)
    for row in groups:
        code = rng.choice(movable)
        carries = np.zeros(n_documents, dtype=bool)
        carries[columns.indices[columns.indptr[code] : columns.indptr[code + 1]]] = True
        with_code, without_code = np.flatnonzero(carries), np.flatnonzero(~carries)
        prevalence = rng.uniform()
        available = with_code.size / max(prevalence, 1e-9), without_code.size / max(1 - prevalence, 1e-9)
        most = int(min(*available, n_documents))
        size = rng.integers(1, max(most, 1), endpoint=True)
        positives = min(round(float(size * prevalence)), int(with_code.size))
        negatives = min(int(size) - positives, int(without_code.size))
        row[rng.choice(with_code, positives, replace=False, shuffle=False)] = True
        row[rng.choice(without_code, negatives, replace=False, shuffle=False)] = True
    return groups


def group_sizes(groups: np.ndarray) -> np.ndarray:
    """The number of documents of each group, (S,)."""
    return groups.sum(axis=1)


def group_means(groups: np.ndarray, values: np.ndarray | sp.sparray) -> np.ndarray:
    """The mean of `values` (N, C) over the members of each group, (S, C).

    A group's true prevalence, CC and PCC are this mean of its labels, decisions and probabilities. Dense float32 values
    give float32 means, all others float64; for sparse matrices only stored entries cost time.
    """
    dense = not sp.issparse(values)
    dtype = np.float32 if dense and values.dtype == np.float32 else np.float64
    values = values.astype(dtype, copy=False) if dense else sp.csr_array(values.T, dtype=dtype)
    sizes = group_sizes(groups)
    means = np.empty((len(groups), values.shape[1] if dense else values.shape[0]), dtype=dtype)
    for start in range(0, len(groups), BLOCK):
        rows = slice(start, start + BLOCK)
        if dense:
            np.matmul(groups[rows].astype(dtype), values, out=means[rows])
        else:
            means[rows] = (values @ np.ascontiguousarray(groups[rows].T, dtype=dtype)).T
        means[rows] /= sizes[rows, None]
    return means


def mean_of_means(groups: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean over groups of the group means of dense `values` (N, C), (C,), without computing the group means."""
    weights = (1.0 / (len(groups) * group_sizes(groups))) @ groups
    return weights @ values
