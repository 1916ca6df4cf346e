"""The published splits of MIMIC-III."""

from pathlib import Path

import pyarrow as pa
from pyarrow import feather

from stages.corpus.document import Document
from stages.errors import InputError

PARTS = ("train", "val", "test")


def load(folder: Path, subset: str, documents: list[Document]) -> tuple[dict[str, str], dict[str, int]]:
    """The published part of each document, and how many of the published admissions are not in the data.

    Raises InputError where a file is missing or not in its form, or lists an admission in two parts.
    """
    part_of = (
        _read_clean(folder) if subset == "clean" else _read_mullenbach(folder, "50" if subset == "top50" else "full")
    )
    present = {document.document_id for document in documents}
    return part_of, {"published_admissions_not_in_data": len(part_of.keys() - present)}


def _read_mullenbach(folder: Path, size: str) -> dict[str, str]:
    """Admission -> part from `{train,dev,test}_{50,full}_hadm_ids.csv`, one admission a line."""
    part_of: dict[str, str] = {}
    for part in PARTS:
        path = folder / f"{'dev' if part == 'val' else part}_{size}_hadm_ids.csv"
        try:
            lines = path.read_text(encoding="utf-8").split()
        except FileNotFoundError:
            raise InputError(f"{path} does not exist") from None
        for line in lines:
            if part_of.setdefault(line, part) != part:
                raise InputError(f"{path}: admission {line} is also in {part_of[line]}")
    return part_of


def _read_clean(folder: Path) -> dict[str, str]:
    """Admission -> part from `mimiciii_clean_splits.feather`."""
    path = folder / "mimiciii_clean_splits.feather"
    try:
        table = feather.read_table(path, columns=["_id", "split"])
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except pa.ArrowInvalid:
        raise InputError(f"{path} is not a feather file with the columns _id and split") from None
    return dict(zip(map(str, table["_id"].to_pylist()), table["split"].to_pylist(), strict=True))
