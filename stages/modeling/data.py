"""The documents of a part as the model reads them: tokenised, with targets."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
import torch
from transformers import PreTrainedTokenizerBase

from stages.common import io, paths
from stages.common.io import InputError
from stages.common.runner import progress_bar
from stages.corpus.document import UNCODED
from stages.encoder.architecture import Architecture
from stages.encoder.chunking import document_rows, document_shape
from stages.encoder.tokenizer import SpecialIds, load_tokenizer, special_ids
from stages.modeling.batching import Batch, Indices, pack

log = logging.getLogger(__name__)


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
    part: str,
    tokenizer_folder: Path,
    architecture: Architecture,
    targets: bool = True,
    cache: Path | None = None,
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
