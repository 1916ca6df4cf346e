"""A custom corpus: one table of documents with their codes (docs/CORPORA.md)."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.common import outside
from stages.common.io import InputError
from stages.common.parts import PARTS
from stages.corpus import delimited, icd, text
from stages.corpus.document import Code, Corpus, Document, Kind

log = logging.getLogger(__name__)

COLUMNS = ("document_id", "subject_id", "text", "codes")
PART = "part"
PARQUET = ".parquet"
KINDS = (PARQUET, *delimited.KINDS, *outside.JSON_LINES)
SEPARATORS = re.compile(r"[;,\s]+")
LIST = re.compile(r"""\[\s*(?:(?:'[^']*'|"[^"]*")[\s,]*)*\]""")  # a list of strings written as text
ITEM = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def load(folder: Path, min_documents: int) -> tuple[Corpus, dict[str, str] | None]:
    """The documents of the table in `folder`, sorted by subject and document, and their parts if it names them.

    Whitespace in texts is collapsed. Codes are upper-cased but otherwise kept as spelled; those with fewer than
    `min_documents` documents are dropped. Raises InputError if the table is malformed.
    """
    path = find(folder)
    documents: list[Document] = []
    part_of: dict[str, str] = {}
    seen: set[str] = set()
    n_read = n_uncoded = 0
    for number, row in enumerate(rows(path), start=1):
        n_read += 1
        document_id, subject_id = (read_id(path, number, row, name) for name in ("document_id", "subject_id"))
        if document_id in seen:
            raise InputError(f"{path}, record {number}: the document_id {delimited.quote_id(document_id)} occurs twice")
        seen.add(document_id)
        if not isinstance(row["text"], str) or not row["text"].strip():
            raise InputError(f"{path}, record {number}: the text is missing or not text")
        codes = read_codes(path, number, row["codes"])
        if row.get(PART) not in (None, ""):
            if row[PART] not in PARTS:
                raise InputError(f"{path}, record {number}: the part should be train, val or test")
            part_of[document_id] = row[PART]
        if not codes:
            n_uncoded += 1
            continue
        documents.append(Document(document_id, subject_id, text.fold_white_space(row["text"]), codes))
    if part_of and len(part_of) != n_read:
        raise InputError(
            f"{path}: {n_read - len(part_of)} of {n_read} documents have no part; name it for all, or none"
        )
    documents.sort(key=lambda document: (document.subject_id, document.document_id))
    occurrences = Counter(code for document in documents for code in document.codes)
    dotted = {icd.compact(code) for code in occurrences if "." in code}
    if twice := [code for code in sorted(occurrences) if "." not in code and code in dotted]:
        log.warning("%d codes occur with and without their dot, as two codes: %s", len(twice), ", ".join(twice[:5]))
    kept = {code for code, count in occurrences.items() if count >= min_documents}
    cut = (document._replace(codes=[code for code in document.codes if code in kept]) for document in documents)
    coded = [document for document in cut if document.codes]
    counts = {
        "documents": n_read,
        "documents_without_codes": n_uncoded,
        "documents_without_kept_code": len(documents) - len(coded),
    }
    kind: Kind = "diagnosis"
    return Corpus(coded, {code: Code(kind, []) for code in sorted(kept)}, counts), part_of or None


def find(folder: Path) -> Path:
    """The only table in a folder. Raises InputError if there is none or more than one."""
    tables = [path for path in sorted(folder.glob("[!.]*")) if path.name.lower().endswith(KINDS)]
    if len(tables) != 1:
        names = ", ".join(path.name for path in tables[:3]) or "none"
        raise InputError(f"{folder} should have one table ({', '.join(KINDS)}); it has {len(tables)}: {names}")
    return tables[0]


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a table as dictionaries. Raises InputError for a missing column or a damaged file."""
    if path.suffix.lower() == PARQUET:
        try:
            table = pq.read_table(path)
        except (OSError, pa.ArrowInvalid):
            raise InputError(f"{path} is not a parquet file, or damaged") from None
        _check_columns(path, set(table.column_names))
        yield from table.to_pylist()
    elif path.suffix.lower() in outside.JSON_LINES:
        for _, row in outside.json_lines(path, f"an object with {', '.join(COLUMNS)}"):
            _check_columns(path, set(row))
            yield row
    else:
        names = [*COLUMNS, PART] if _has_part(path) else list(COLUMNS)
        for batch in delimited.read(path, names):
            yield from batch.to_pylist()


def _has_part(path: Path) -> bool:
    try:
        delimited.sniff(path, [PART])
    except InputError:
        return False
    return True


def _check_columns(path: Path, present: set[str]) -> None:
    if missing := [name for name in COLUMNS if name not in present]:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; it should have {', '.join(COLUMNS)} and, if wanted, {PART}"
        )


def read_id(path: Path, number: int, row: dict[str, Any], name: str) -> str:
    cell = row[name]
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # whole numbers in a column with missing values
    value = "" if cell is None or icd.is_missing(str(cell)) else str(cell).strip()
    if isinstance(cell, bool) or not delimited.is_id(value):
        wrong = "is missing" if not value else "is no id (letters, digits, dots, dashes; at most 40)"
        raise InputError(f"{path}, record {number}: the {name} {wrong}")
    return value


def read_codes(path: Path, number: int, value: object) -> list[str]:
    """The sorted, distinct upper-case codes of a row: a list, or text with semicolons, commas or blanks between them.

    Lists that JSON, Python or NumPy wrote as text are understood.
    """
    if isinstance(value, str) and LIST.fullmatch(value.strip()):
        value = [quoted or plain for quoted, plain in ITEM.findall(value)]
    listed = SEPARATORS.split(value) if isinstance(value, str) else value
    if listed is None or (isinstance(listed, float) and listed != listed):
        return []
    if not isinstance(listed, list) or not all(isinstance(code, str) for code in listed):
        raise InputError(
            f"{path}, record {number}: codes should be a list of texts, or one text with semicolons between them; "
            "numbers lose their zeros"
        )
    try:
        return sorted({code for spelled in listed if (code := icd.read_any(spelled)) is not None})
    except icd.NotACode as error:
        raise InputError(f"{path}, record {number}: {error}") from None
