"""Turn code lists into targets, and `model.type` into small files for each later stage.

Later stages depend on these files in data/labels, never on `model.type` itself, so a change of type or synonyms reruns
only the stages it affects.
"""

import logging
import random

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.common import io, params, paths
from stages.common.io import InputError
from stages.common.parts import PARTS
from stages.common.runner import run
from stages.modeling.model_type import ModelType, architecture_of

log = logging.getLogger("stages.labelize")


def one_hot(code_lists: list[list[str]], codes: list[str]) -> sp.csr_array:
    """Targets of documents, (N, C) uint8: 1 if a document has a code.

    `codes` is the label set, in column order. Raises InputError for a code outside it.
    """
    column = {code: index for index, code in enumerate(codes)}
    try:
        columns = [sorted({column[code] for code in document}) for document in code_lists]
    except KeyError as error:
        raise InputError(f"code {error.args[0]} of a document is not in {paths.CODES}") from None
    offsets = np.cumsum([0, *map(len, columns)])
    indices = np.concatenate([np.zeros(0, np.int64), *(np.asarray(row, dtype=np.int64) for row in columns)])
    return sp.csr_array((np.ones(len(indices), np.uint8), indices, offsets), shape=(len(columns), len(codes)))


def draw_withheld(codes: list[str], number: int, seed: int) -> set[str]:
    """`number` random codes. Raises InputError if none would be left to train on."""
    if number >= len(codes):
        raise InputError(f"data.withheld: {number} leaves none of the {len(codes)} codes to train")
    return set(random.Random(f"{seed} withheld").sample(codes, number))


def main() -> None:
    settings = params.load()
    known = sorted(io.read_json(paths.CODES))
    withheld = draw_withheld(known, settings.data.withheld, settings.data.seed)
    codes = [code for code in known if code not in withheld]
    selected = io.read_json(paths.SELECTED)
    if missing := [code for code in codes if code not in selected]:
        raise InputError(f"{paths.SELECTED} lacks {len(missing)} codes, the first is {missing[0]}")
    if other := [code for code in codes if len(selected[code]) != settings.synonyms.M]:
        wrong = f"{paths.SELECTED} has {len(selected[other[0]])} synonyms for {other[0]}, not synonyms.M = "
        raise InputError(f"{wrong}{settings.synonyms.M}; `dvc repro select_synonyms` makes it again")
    model, architecture = ModelType.parse(settings.model.type), architecture_of(settings)
    with io.whole_directory(paths.LABELS) as folder:
        rows = []
        for part in PARTS:
            documents = pd.read_parquet(paths.split(part), columns=["document_id", "subject_id", "codes"])
            targets = one_hot([sorted({*listed} - withheld) for listed in documents["codes"]], codes)
            io.write_csr(folder / paths.targets(part).name, targets)
            rows.append(documents[["document_id", "subject_id"]].assign(part=part))
            log.info("%s: %d documents, %d codes, %d assignments", part, *targets.shape, targets.nnz)
        io.write_parquet(folder / paths.LABEL_DOCUMENTS.name, pd.concat(rows, ignore_index=True))
        io.write_json(folder / paths.LABEL_CODES.name, codes)
        io.write_json(folder / paths.ARCHITECTURE.name, architecture.to_dict())
        synonyms = {code: selected[code] for code in codes} if model.msam else {}
        io.write_json(folder / paths.HEAD_SYNONYMS.name, synonyms)
        chosen = {"M": settings.synonyms.M, "criterion": settings.synonyms.criterion, "seed": settings.synonyms.seed}
        choice = (chosen | ({} if chosen["criterion"] == "rand" else {"seed": 0})) if model.msam else None
        io.write_json(folder / paths.OPEN_LABELS.name, {"withheld": sorted(withheld), "choice": choice})
        io.write_json(folder / paths.JOINT.name, {"joint": model.joint})
    log.info("%s: %s encoder, %s head", settings.model.type, architecture.encoder, architecture.head)


if __name__ == "__main__":
    run(main)
