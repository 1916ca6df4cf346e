"""Batches of rows, and the assignment of documents to optimiser steps and passes.

An optimiser step is a fixed number of documents. Memory alone decides how many forward and backward passes it takes: a
pass holds the chunks of as many documents as the chunk budget allows, flattened into one encoder batch.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from stages.encoder.architecture import Architecture

Indices = Sequence[int] | np.ndarray

MEGABATCH_STEPS = 50  # documents are sorted by length within this many steps
GROUP_COST = 1024  # tokens that another encoder call must save to make up for its overhead


class Batch(NamedTuple):
    input_ids: torch.Tensor  # (R, T) int64, padded by the padding id
    attention_mask: torch.Tensor  # (R, T) int64, 0 for padding
    document: torch.Tensor  # (R,) the document of each row, 0 ... n_documents - 1
    n_documents: int
    groups: tuple[tuple[int, int], ...] = ()  # (rows, length) per encoder call; empty: one call

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`; copies from pinned memory are asynchronous."""
        ids, mask, document = (part.to(device, non_blocking=True) for part in self[:3])
        return self._replace(input_ids=ids, attention_mask=mask, document=document)

    def group_rows(self) -> "Batch":
        """The batch grouped into rows of similar length, longest first; unchanged if that would not pay off."""
        lengths = self.attention_mask.sum(dim=1)
        order = lengths.argsort(descending=True, stable=True)
        groups = row_groups(lengths[order].numpy())
        if not groups:
            return self
        ids, mask, document = (part[order] for part in self[:3])
        return Batch(ids, mask, document, self.n_documents, groups)

    def parts(self, n: int) -> list["Batch"]:
        """The rows, in order, in up to `n` parts with about equal numbers of tokens."""
        counts, lengths = zip(*(self.groups or (self.input_ids.shape,)), strict=True)
        length = np.repeat(lengths, counts)
        sums = np.cumsum(length)
        ends = 1 + np.searchsorted(sums, sums[-1] * np.arange(1, n + 1) / n)
        return [self._rows(first, last, length) for first, last in itertools.pairwise(np.unique([0, *ends]).tolist())]

    def _rows(self, first: int, last: int, length: np.ndarray) -> "Batch":
        """The rows [first, last); the encoder reads `length` (R,) tokens of each."""
        groups = tuple((len(list(alike)), int(size)) for size, alike in itertools.groupby(length[first:last]))
        ids, mask = (part[first:last, : length[first]] for part in self[:2])
        return Batch(ids, mask, self.document[first:last], self.n_documents, groups if len(groups) > 1 else ())


def epoch_steps(n_tokens: np.ndarray, batch_documents: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The documents of each optimiser step of an epoch, each document once, with similar lengths together.

    Documents with `n_tokens` (N,) are shuffled, sorted by length within megabatches and cut into steps, which are
    shuffled; the step with the longest document comes first so that a lack of memory shows immediately. One step may
    have fewer documents. Depends only on the arguments.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(n_tokens))
    steps = []
    for start in range(0, len(order), batch_documents * MEGABATCH_STEPS):
        megabatch = order[start : start + batch_documents * MEGABATCH_STEPS]
        megabatch = megabatch[np.argsort(n_tokens[megabatch], kind="stable")]
        cuts = [megabatch[i : i + batch_documents] for i in range(0, len(megabatch), batch_documents)]
        steps += [cuts[i] for i in generator.permutation(len(cuts))]
    longest = int(np.argmax([n_tokens[step].max() for step in steps]))
    return [steps[longest], *steps[:longest], *steps[longest + 1 :]]


def pack(indices: Indices, shapes: np.ndarray, chunk_budget: int, architecture: Architecture) -> list[np.ndarray]:
    """Cut documents, in order, into passes of at most `chunk_budget` chunks (for LE: windows).

    `shapes` (N, 2): rows and row length of each document. A pass costs rows x longest row. A document larger than the
    budget gets its own pass.
    """
    budget = chunk_budget * (architecture.chunk_length if architecture.encoder == "CE" else architecture.window)
    passes: list[list[int]] = []
    rows = longest = 0
    for index in indices:
        document_rows, length = (int(size) for size in shapes[index])
        rows, longest = rows + document_rows, max(longest, length)
        if not passes or rows * longest > budget:
            passes.append([])
            rows, longest = document_rows, length
        passes[-1].append(int(index))
    return [np.array(part) for part in passes]


def row_groups(lengths: np.ndarray) -> tuple[tuple[int, int], ...]:
    """Group rows with `lengths` (R,) real tokens, in descending order, so that little padding is computed.

    Returns the rows and the length of each group; empty if grouping would not pay off. The grouping minimises padded
    tokens plus `GROUP_COST` per group, by dynamic programming from the end.
    """
    least, ends = np.zeros(len(lengths) + 1), np.zeros(len(lengths), dtype=int)
    for start in range(len(lengths) - 1, -1, -1):
        costs = least[start + 1 :] + lengths[start] * np.arange(1, len(lengths) - start + 1) + GROUP_COST
        ends[start] = start + 1 + np.argmin(costs)
        least[start] = costs.min()
    groups, start = [], 0
    while start < len(lengths):
        groups.append((int(ends[start] - start), int(lengths[start])))
        start = ends[start]
    return tuple(groups) if len(groups) > 1 else ()
