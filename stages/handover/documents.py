"""The documents of a part as the stages that train and predict read them: tokenised, with their targets."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from stages.encoder.architecture import Architecture
from stages.encoder.encoder import load_tokenizer, special_ids
from stages.modeling.batching import Documents, tokenise
from stages.project import files, formats, paths
from stages.project.errors import InputError

log = logging.getLogger(__name__)


def load(
    part: str,
    tokenizer_folder: Path,
    architecture: Architecture,
    targets: bool = True,
    cache: Path | None = None,
) -> Documents:
    """The documents of `part`, tokenised by the tokenizer in `tokenizer_folder`, with or without their targets.

    With a `cache` folder the tokens are written there once and memory-mapped. Raises InputError for an empty part or
    targets that don't fit it.
    """
    table = pd.read_parquet(paths.split(part), columns=["document_id", "text"])
    if len(table) == 0:
        raise InputError(f"{paths.split(part)} has no document; every part needs at least one")
    matrix = formats.read_csr(paths.targets(part)) if targets else None
    if matrix is not None and matrix.shape[0] != len(table):
        wrong = f"{paths.targets(part)} has {matrix.shape[0]} rows, {paths.split(part)} has {len(table)}"
        raise InputError(f"{wrong}; `dvc repro labelize` makes them anew")
    tokenizer = load_tokenizer(tokenizer_folder, lowercase=architecture.lowercase_documents)
    tokens, offsets = _tokens(table["text"], tokenizer, cache and cache / part)
    log.info("%s: %d documents, %d tokens", part, len(table), len(tokens))
    ids = table["document_id"].tolist()
    return Documents.of(ids, tokens, offsets, matrix, architecture, special_ids(tokenizer))


def _tokens(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, cache: Path | None
) -> tuple[np.ndarray, np.ndarray]:
    """What `tokenise` gives; from `cache`, memory-mapped, where that is given."""
    if cache is None:
        return tokenise(texts, tokenizer)
    if not cache.exists():
        with files.whole_directory(cache) as partial:
            for name, array in zip(("tokens", "offsets"), tokenise(texts, tokenizer), strict=True):
                np.save(partial / f"{name}.npy", array)
    return np.load(cache / "tokens.npy", mmap_mode="r"), np.load(cache / "offsets.npy")
