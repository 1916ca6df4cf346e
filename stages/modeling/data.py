"""The documents of a part as the model reads them, in batches of rows, and their assignment to steps and passes.

An optimiser step is a fixed number of documents. Memory alone decides how many forward and backward passes it takes: a
pass holds the chunks of as many documents as the chunk budget allows, flattened into one encoder batch.
"""

import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from transformers import PreTrainedTokenizerBase

from stages.common import io, paths
from stages.common.io import InputError
from stages.common.parts import UNCODED
from stages.common.runner import progress_bar
from stages.encoder.architecture import Architecture
from stages.encoder.chunking import document_rows, document_shape
from stages.encoder.tokenizer import SpecialIds, load_tokenizer, special_ids

log = logging.getLogger(__name__)

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
        n_rows, length = (int(size) for size in shapes[index])
        rows, longest = rows + n_rows, max(longest, length)
        if not passes or rows * longest > budget:
            passes.append([])
            rows, longest = n_rows, length
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


@dataclass(frozen=True)
class Documents:
    """The tokenised documents of one part, and their targets.

    `tokens` holds the concatenated ids of all documents (an array or a memory map), document i at
    `offsets[i]:offsets[i + 1]`; `targets` is a sparse (N, C) matrix, or None if not requested.
    """

    ids: Sequence[str]
    tokens: np.ndarray
    offsets: np.ndarray
    targets: sp.csr_array | None
    architecture: Architecture
    special: SpecialIds

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def shapes(self) -> np.ndarray:
        """The number of rows and the row length of each document (N, 2) as the encoder sees it."""
        shapes = [document_shape(int(length), self.architecture) for length in np.diff(self.offsets)]
        return np.array(shapes, dtype=np.int64).reshape(-1, 2)

    @cached_property
    def n_unknown(self) -> np.ndarray:
        """The number of unknown tokens of each document (N,)."""
        so_far = np.cumsum(np.append(0, self.tokens == self.special.unknown))
        return np.diff(so_far[self.offsets])

    @cached_property
    def n_tokens(self) -> np.ndarray:
        """The number of tokens the encoder reads for each document (N,), including overlaps and padding."""
        return self.shapes.prod(axis=1)

    def passes(self, indices: Indices, chunk_budget: int) -> list[np.ndarray]:
        return pack(indices, self.shapes, chunk_budget, self.architecture)

    def batch(self, indices: Indices) -> Batch:
        """The rows of the documents `indices`, padded to the longest of them.

        If a group of short rows is worth a separate encoder call, rows are sorted by descending length.
        """
        rows, masks = [], []
        length = int(self.shapes[indices, 1].max())
        for index in indices:
            ids = self.tokens[self.offsets[index] : self.offsets[index + 1]]
            row, mask = document_rows(ids, self.architecture, self.special)
            missing = length - row.shape[1]
            rows.append(np.pad(row, ((0, 0), (0, missing)), constant_values=self.special.pad))
            masks.append(np.pad(mask, ((0, 0), (0, missing))))
        document = np.repeat(np.arange(len(indices)), [len(part) for part in rows])
        batch = Batch(
            torch.from_numpy(np.concatenate(rows).astype(np.int64)),
            torch.from_numpy(np.concatenate(masks).astype(np.int64)),
            torch.from_numpy(document),
            len(indices),
        )
        return batch.group_rows() if self.architecture.padding == "masked" else batch  # otherwise padding takes part

    def dense_targets(self, indices: Indices) -> torch.Tensor | None:
        """The targets of the documents `indices`, float32 (n, C), or None."""
        if self.targets is None:
            return None
        return torch.from_numpy(self.targets[indices].toarray().astype(np.float32))

    def __getitems__(self, indices: Indices) -> tuple[np.ndarray, Batch, torch.Tensor | None]:
        """A pass for torch's DataLoader: its documents, their batch and their targets."""
        return np.asarray(indices), self.batch(indices), self.dense_targets(indices)


def load_documents(
    part: str, tokenizer_folder: Path, architecture: Architecture, targets: bool = True, cache: Path | None = None
) -> Documents:
    """The documents of `part`, tokenised by the tokenizer in `tokenizer_folder`, with or without targets.

    With a `cache` folder, tokens are written there once and memory-mapped. Raises InputError for an empty part or
    targets that do not fit.
    """
    table = pd.read_parquet(paths.split(part), columns=["document_id", "text"])
    if len(table) == 0 and part != UNCODED:
        raise InputError(f"{paths.split(part)} has no document; every part needs at least one")
    matrix = io.read_csr(paths.targets(part)) if targets else None
    if matrix is not None and matrix.shape[0] != len(table):
        wrong = f"{paths.targets(part)} has {matrix.shape[0]} rows, {paths.split(part)} has {len(table)}"
        raise InputError(f"{wrong}; `dvc repro labelize` makes them again")
    tokenizer = load_tokenizer(tokenizer_folder, lowercase=architecture.lowercase_documents)
    tokens, offsets = _cached_tokens(table["text"], tokenizer, cache and cache / part)
    log.info("%s: %d documents, %d tokens", part, len(table), len(tokens))
    return Documents(table["document_id"].tolist(), tokens, offsets, matrix, architecture, special_ids(tokenizer))


def tokenise(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase) -> tuple[np.ndarray, np.ndarray]:
    """The concatenated ids (int32) of all texts, and their offsets (N + 1,)."""
    tokens, lengths = [np.zeros(0, np.int32)], [0]
    for start in progress_bar(range(0, len(texts), 256), desc="tokenising", unit_scale=256, unit="document"):
        encoded = tokenizer(list(texts[start : start + 256]), verbose=False, return_attention_mask=False)["input_ids"]
        tokens += [np.array(ids, np.int32) for ids in encoded]
        lengths += [len(ids) for ids in encoded]
    return np.concatenate(tokens), np.cumsum(lengths)


def _cached_tokens(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, cache: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """The result of `tokenise`, memory-mapped from `cache` if that is given."""
    if cache is None:
        return tokenise(texts, tokenizer)
    if not cache.exists():
        with io.whole_directory(cache) as partial:
            for name, array in zip(("tokens", "offsets"), tokenise(texts, tokenizer), strict=True):
                np.save(partial / f"{name}.npy", array)
    return np.load(cache / "tokens.npy", mmap_mode="r"), np.load(cache / "offsets.npy")
