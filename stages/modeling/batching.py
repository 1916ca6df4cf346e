"""Documents as the encoder takes them: tokenised once, ordered by length, packed into passes by a budget of chunks.

An optimiser step is a fixed number of documents. How many forward and backward passes it takes depends on memory
alone: a pass holds the chunks of as many of its documents as the chunk budget allows, flattened into one encoder batch.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import scipy.sparse as sp
import torch
from transformers import PreTrainedTokenizerBase

from stages.encoder import chunking
from stages.encoder.architecture import Architecture
from stages.encoder.chunking import SpecialIds
from stages.project.progress import Bar

Item = TypeVar("Item")
Indices = Sequence[int] | np.ndarray

MEGABATCH_STEPS = 50  # documents are sorted by length within so many steps
GROUP_COST = 1024  # tokens that one more call of the encoder must save, in place of its own overhead


class Batch(NamedTuple):
    """The chunks of several documents, one after the other: what one call of the model takes."""

    input_ids: torch.Tensor  # (R, T)
    attention_mask: torch.Tensor  # (R, T)
    document: torch.Tensor  # (R,) which document a row belongs to, 0 ... n_documents - 1
    n_documents: int
    groups: tuple[tuple[int, int], ...] = ()  # (rows, length) of what the encoder reads at once; none: all together

    def to(self, device: torch.device) -> "Batch":
        """The batch on `device`, without waiting for the copy where the memory is pinned."""
        ids, mask, document = (part.to(device, non_blocking=True) for part in self[:3])
        return self._replace(input_ids=ids, attention_mask=mask, document=document)

    def grouped(self) -> "Batch":
        """The batch in groups of rows of like length, longest first; as it is where that would not save enough."""
        lengths = self.attention_mask.sum(dim=1)
        order = lengths.argsort(descending=True, stable=True)
        groups = row_groups(lengths[order].numpy())
        if not groups:
            return self
        ids, mask, document = (part[order] for part in self[:3])
        return Batch(ids, mask, document, self.n_documents, groups)

    def parts(self, n: int) -> list["Batch"]:
        """The rows, in their order, in up to `n` parts of about as many tokens to compute."""
        counts, lengths = zip(*(self.groups or (self.input_ids.shape,)), strict=True)
        computed = np.repeat(lengths, counts)
        return [self._rows(start, end, computed) for start, end in itertools.pairwise([0, *even_cut(computed, n)])]

    def _rows(self, start: int, end: int, computed: np.ndarray) -> "Batch":
        """The rows from `start` to before `end`, of which the encoder reads so many tokens as `computed` (R,) says."""
        groups = tuple((len(list(alike)), int(length)) for length, alike in itertools.groupby(computed[start:end]))
        ids, mask = (part[start:end, : computed[start]] for part in self[:2])
        return Batch(ids, mask, self.document[start:end], self.n_documents, groups if len(groups) > 1 else ())

    def pinned(self) -> "Batch":
        """The batch in page-locked memory, from which the host need not wait for a copy to a GPU."""
        ids, mask, document = (part.pin_memory() for part in self[:3])
        return self._replace(input_ids=ids, attention_mask=mask, document=document)


@dataclass(frozen=True)
class Documents:
    """The tokenised documents of one part, and their targets.

    `tokens` holds all documents' ids one after the other (an array or a memory map), document i at
    `offsets[i]:offsets[i + 1]`; `targets` is a sparse (N, C) matrix, or None where they are not asked for; `shapes`
    (N, 2) holds the rows and the row length of each document as the encoder sees it.
    """

    ids: Sequence[str]
    tokens: np.ndarray
    offsets: np.ndarray
    targets: sp.csr_array | None
    architecture: Architecture
    special: SpecialIds
    shapes: np.ndarray

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        tokens: np.ndarray,
        offsets: np.ndarray,
        targets: sp.csr_array | None,
        architecture: Architecture,
        special: SpecialIds,
    ) -> "Documents":
        """The documents with their shapes, found by chunking each once."""
        shapes = np.array(
            [
                chunking.document_rows(tokens[start:end], architecture, special)[0].shape
                for start, end in itertools.pairwise(offsets)
            ],
            dtype=np.int64,
        ).reshape(-1, 2)
        return cls(ids, tokens, offsets, targets, architecture, special, shapes)

    def __len__(self) -> int:
        return len(self.ids)

    def passes(self, indices: Indices, chunk_budget: int) -> list[np.ndarray]:
        """The documents `indices` cut into passes within the chunk budget."""
        return pack(indices, self.shapes, chunk_budget, self.architecture)

    def batch(self, indices: Indices) -> Batch:
        """The chunks of the documents `indices`, padded to the longest row among them.

        Where a group of short rows is worth a call of its own, rows come from the longest to the shortest.
        """
        rows, masks = [], []
        length = int(self.shapes[indices, 1].max())
        for index in indices:
            ids = self.tokens[self.offsets[index] : self.offsets[index + 1]]
            document_rows, mask = chunking.document_rows(ids, self.architecture, self.special)
            missing = length - document_rows.shape[1]
            rows.append(np.pad(document_rows, ((0, 0), (0, missing)), constant_values=self.special.pad))
            masks.append(np.pad(mask, ((0, 0), (0, missing))))
        document = np.repeat(np.arange(len(indices)), [len(part) for part in rows])
        whole = Batch(
            torch.from_numpy(np.concatenate(rows).astype(np.int64)),
            torch.from_numpy(np.concatenate(masks).astype(np.int64)),
            torch.from_numpy(document),
            len(indices),
        )
        return whole.grouped() if self.architecture.padding == "masked" else whole  # else padding is attended to

    def dense_targets(self, indices: Indices) -> torch.Tensor | None:
        """The targets of the documents `indices`: float32 (n, C); None where none were given."""
        if self.targets is None:
            return None
        return torch.from_numpy(self.targets[indices].toarray().astype(np.float32))


def tokenise(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """The ids of all texts, one after the other (int32), and where each begins: (N + 1,) offsets."""
    tokens, lengths = [np.zeros(0, np.int32)], [0]
    for start in Bar(range(0, len(texts), 256), desc="tokenising", unit_scale=256, unit="document"):
        encoded = tokenizer(list(texts[start : start + 256]), verbose=False, return_attention_mask=False)["input_ids"]
        tokens += [np.array(ids, np.int32) for ids in encoded]
        lengths += [len(ids) for ids in encoded]
    return np.concatenate(tokens), np.cumsum(lengths)


def n_tokens(shapes: np.ndarray) -> np.ndarray:
    """How many tokens the encoder reads of each document: (N,) of shapes (N, 2), overlaps and own padding counted."""
    return shapes.prod(axis=1)


def epoch_steps(shapes: np.ndarray, batch_documents: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The documents of each optimiser step of an epoch: every document once, documents of like length together.

    The documents are shuffled, sorted by length within megabatches, cut into steps, and the steps shuffled; the
    step with the longest document comes first, so that a lack of memory shows at once. The last step cut may
    hold fewer documents. Depends only on the arguments.
    """
    generator = np.random.default_rng([seed, epoch])
    tokens = n_tokens(shapes)
    order = generator.permutation(len(shapes))
    steps = []
    for start in range(0, len(order), batch_documents * MEGABATCH_STEPS):
        megabatch = order[start : start + batch_documents * MEGABATCH_STEPS]
        megabatch = megabatch[np.argsort(tokens[megabatch], kind="stable")]
        cuts = [megabatch[at : at + batch_documents] for at in range(0, len(megabatch), batch_documents)]
        steps += [cuts[at] for at in generator.permutation(len(cuts))]
    longest = int(np.argmax([tokens[step].max() for step in steps]))
    return [steps[longest], *steps[:longest], *steps[longest + 1 :]]


def pack(indices: Indices, shapes: np.ndarray, chunk_budget: int, architecture: Architecture) -> list[np.ndarray]:
    """Cut documents, in their order, into passes of at most `chunk_budget` chunks (for LE: windows).

    What counts is the padded pass: rows x longest row. A document larger than the budget is a pass of its own.
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
    """Rows of so many real tokens (R,), from the longest to the shortest, cut so that little padding is computed.

    Returns the rows and the length of each group; nothing where all rows may as well go together. Of all ways to cut,
    the one of least padded tokens plus `GROUP_COST` a group, found from the end by dynamic programming.
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


def even_cut(sizes: np.ndarray, n: int) -> list[int]:
    """The ends of at most `n` parts of a sequence of `sizes` (R,), so cut that the largest part is as small as can be.

    The smallest limit for which filling one part after the other needs no more than `n`, found by bisection.
    """
    through = np.concatenate([[0], np.cumsum(sizes)])
    least, most = int(sizes.max()), int(sizes.sum())
    while least < most:
        limit = (least + most) // 2
        least, most = (least, limit) if len(_filled(through, limit)) <= n else (limit + 1, most)
    return _filled(through, least)


def _filled(through: np.ndarray, limit: int) -> list[int]:
    """The ends of parts, each as long as its size stays within `limit`, where `through` has the sums from the start."""
    ends = [0]
    while ends[-1] < len(through) - 1:
        ends.append(int(np.searchsorted(through, through[ends[-1]] + limit, side="right")) - 1)
    return ends[1:]


def by_length(shapes: np.ndarray) -> np.ndarray:
    """The documents from the longest to the shortest, for prediction with little padding."""
    return np.argsort(-n_tokens(shapes), kind="stable")


def prefetched(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
    """The items, made by a thread that runs up to `depth` ahead of the one that takes them."""
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(next, source, None) for _ in range(depth))
        while (item := coming.popleft().result()) is not None:
            coming.append(thread.submit(next, source, None))
            yield item
