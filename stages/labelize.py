"""Turn code lists into targets, and `model.type` into what each later stage reads of it.

Later stages depend on small files of data/labels, never on `model.type` itself, so a change of type or of
the synonyms reruns only the stages for which something is different.
"""

import logging
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages import files, params, paths
from stages.errors import InputError
from stages.stage import run

log = logging.getLogger("stages.labelize")


def one_hot(code_lists: list[list[str]], codes: list[str]) -> sp.csr_array:
    """Targets of documents, (N, C) uint8: 1 where a document carries a code.

    `codes` is the label set, one column each. Raises InputError for a code that is not in it.
    """
    column = {code: index for index, code in enumerate(codes)}
    try:
        columns = [sorted({column[code] for code in document}) for document in code_lists]
    except KeyError as error:
        raise InputError(f"code {error.args[0]} of a document is not in {paths.CODES}") from None
    offsets = np.cumsum([0, *map(len, columns)])
    indices = np.concatenate([np.asarray(row, dtype=np.int64) for row in columns]) if columns else np.zeros(0, np.int64)
    return sp.csr_array((np.ones(len(indices), np.uint8), indices, offsets), shape=(len(columns), len(codes)))


def architecture(model: params.Model, lowercase_documents: bool, synonyms: int) -> dict[str, Any]:
    """What `model.type` asks `train_classifier` to build, without what only another encoder or head would read.

    `synonyms` is the number of synonyms per code, which is the number of MSAM's heads as well (Z = M).
    """
    encoder = model.type[:2]
    head = "msam" if "MSAM" in model.type else "plain"
    reads = {"CE": ("chunk_length", "max_tokens"), "LE": ("window", "max_positions")}
    settings = {key: getattr(model, key) if key in reads[encoder] else None for keys in reads.values() for key in keys}
    return {
        "encoder": encoder,
        "head": head,
        "heads": synonyms if head == "msam" else None,
        "dropout": model.dropout if head == "plain" else 0.0,
        "padding": model.padding,
        "initialisation": model.initialisation if head == "msam" else "torch",
        "lowercase_documents": lowercase_documents,
        **settings,
    }


def main() -> None:
    settings = params.load()
    codes = sorted(files.read_json(paths.CODES))
    selected = files.read_json(paths.SELECTED)
    if missing := [code for code in codes if code not in selected]:
        raise InputError(f"{paths.SELECTED} lacks {len(missing)} codes, the first is {missing[0]}")
    counts = {len(selected[code]) for code in codes}
    built = architecture(settings.model, settings.encoder.lowercase_documents, max(counts))
    with files.whole_directory(paths.LABELS) as folder:
        rows = []
        for part in paths.PARTS:
            documents = pd.read_parquet(paths.split(part), columns=["document_id", "subject_id", "codes"])
            targets = one_hot(documents["codes"].tolist(), codes)
            files.write_csr(folder / paths.targets(part).name, targets)
            rows.append(documents[["document_id", "subject_id"]].assign(part=part))
            log.info("%s: %d documents, %d codes, %d assignments", part, *targets.shape, targets.nnz)
        files.write_parquet(folder / paths.LABEL_DOCUMENTS.name, pd.concat(rows, ignore_index=True))
        files.write_json(folder / paths.LABEL_CODES.name, codes)
        files.write_json(folder / paths.ARCHITECTURE.name, built)
        synonyms = {code: selected[code] for code in codes} if built["head"] == "msam" else {}
        files.write_json(folder / paths.HEAD_SYNONYMS.name, synonyms)
        files.write_json(folder / paths.JOINT.name, {"joint": settings.model.type.endswith("_CLQ")})
        corpus = {"format": settings.data.format, "subset": settings.data.subset}
        files.write_json(folder / paths.CORPUS.name, corpus)
    log.info("%s: %s encoder, %s head", settings.model.type, built["encoder"], built["head"])


if __name__ == "__main__":
    run(main)
