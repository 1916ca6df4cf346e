"""The documents of a part as the stages that train and predict read them: tokenised, with their targets."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from stages import files, paths
from stages.errors import InputError
from stages.modeling.architecture import Architecture
from stages.modeling.batching import Documents, tokenise
from stages.modeling.encoder import load_tokenizer, special_tokens

log = logging.getLogger(__name__)


def load(part: str, tokenizer_folder: Path, architecture: Architecture, cache: Path | None = None) -> Documents:
    """The documents of `part`, tokenised by the tokenizer in `tokenizer_folder`.

    With a `cache` folder the tokens are written there once and memory-mapped. Raises InputError for an empty part or
    targets that don't fit it.
    """
    table = pd.read_parquet(paths.split(part), columns=["document_id", "text"])
    targets = files.read_csr(paths.targets(part))
    if len(table) == 0:
        raise InputError(f"{paths.split(part)} has no document; every part needs at least one")
    if targets.shape[0] != len(table):
        wrong = f"{paths.targets(part)} has {targets.shape[0]} rows, {paths.split(part)} has {len(table)}"
        raise InputError(f"{wrong}; rerun labelize")
    tokenizer = load_tokenizer(tokenizer_folder, lowercase=architecture.lowercase_documents)
    if cache is None:
        tokens, offsets = tokenise(table["text"], tokenizer)
    else:
        if not (cache / part).exists():
            with files.whole_directory(cache / part) as partial:
                for name, array in zip(("tokens", "offsets"), tokenise(table["text"], tokenizer), strict=True):
                    np.save(partial / f"{name}.npy", array)
        tokens = np.load(cache / part / "tokens.npy", mmap_mode="r")
        offsets = np.load(cache / part / "offsets.npy")
    log.info("%s: %d documents, %d tokens", part, len(table), len(tokens))
    ids = table["document_id"].tolist()
    return Documents.of(ids, tokens, offsets, targets, architecture, special_tokens(tokenizer))
