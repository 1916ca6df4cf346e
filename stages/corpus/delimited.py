"""Delimited text tables (CSV), plain or gzipped, read in batches of the requested columns.

Truncated tables are refused. Fields are separated by commas; semicolons, tabs and bars are detected from the header.
Quoted fields may contain line ends, and quotation marks that are doubled or, as in Spark's and MySQL's exports,
escaped by a backslash; the beginning of the file shows which.
"""

import csv as csv_module
import io
import logging
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from stages.common.io import InputError

log = logging.getLogger(__name__)

WHOLE_NUMBER = re.compile(r"[0-9]{1,15}(\.0+)?")
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{0,39}")  # the form of an id; anything else may be text
SHORT_ID = re.compile(r"[A-Za-z]{0,2}[0-9]{1,10}")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,30}")  # the form of a column name
BLOCK_BYTES = 4 << 20  # decompressed text parsed at once; every row must fit
SNIFFED_BYTES = 8 << 20  # read ahead to see how quotation marks are escaped
KINDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz")  # file suffixes of tables, in any case
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
RECORD = "record"  # the column that `read` adds: the record number, from 1 after the header
ESCAPED = re.compile(rb'\\"[^",\r\n;\t|]')  # does not occur where quotation marks are doubled

UNREADABLE = (OSError, EOFError, UnicodeDecodeError, zlib.error, pa.ArrowInvalid)


@dataclass(frozen=True)
class Dialect:
    """A table's format: its spelling of the column names, the separator, and whether backslashes escape."""

    names: list[str]
    separator: str
    backslash: bool


def find(folder: Path, name: str, wanted: str = "data.raw_dir should be MIMIC-III's folder") -> Path:
    """The table `name` in a folder, `name.csv.gz` or `name.csv`. Raises InputError if neither exists."""
    tables = [path for suffix in (".csv.gz", ".csv") if (path := folder / f"{name}{suffix}").is_file()]
    if not tables:
        raise InputError(f"{folder} has neither {name}.csv.gz nor {name}.csv; {wanted}")
    if len(tables) > 1:
        log.warning("%s: reading %s, ignoring %s", folder, *(path.name for path in tables))
    return tables[0]


def read(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The requested columns of a table as strings, batch by batch, and the number of each record.

    Column names match in any case, and missing values are empty strings. Raises InputError, which never quotes a row,
    for a missing column, a row with too few or too many fields, and a damaged or truncated file (which may only show at
    its end).
    """
    dialect = sniff(path, columns)
    before = 0
    try:
        with _open(path) as file:
            whole = _Whole(file, path, dialect.backslash)
            reader = csv.open_csv(
                pa.PythonFile(whole, mode="r"),
                read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
                parse_options=csv.ParseOptions(
                    delimiter=dialect.separator,
                    newlines_in_values=True,
                    double_quote=not dialect.backslash,
                    escape_char="\\" if dialect.backslash else False,
                ),
                convert_options=csv.ConvertOptions(
                    column_types=dict.fromkeys(dialect.names, pa.string()),
                    include_columns=dialect.names,
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                records = pa.array(np.arange(before + 1, before + batch.num_rows + 1))
                before += batch.num_rows
                yield pa.RecordBatch.from_arrays([*batch.columns, records], names=[*columns, RECORD])
            whole.check_end()
    except UNREADABLE as error:
        _raise_damage(path, error)


def sniff(path: Path, columns: Sequence[str]) -> Dialect:
    """Detect a table's format from its beginning. Raises InputError if the header lacks a requested column."""
    try:
        with _open(path) as file:
            beginning = file.read(SNIFFED_BYTES)
        if beginning.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in beginning[:1000]:
            raise InputError(f"{path} is UTF-16 or no text at all; it should be UTF-8")
        header = re.split(rb"[\r\n]", beginning, maxsplit=1)[0].decode("utf-8-sig")
    except UNREADABLE as error:
        _raise_damage(path, error)
    closest: list[str] = []
    for separator in SEPARATORS:
        names = next(csv_module.reader([header], delimiter=separator), [])
        spelled = {name.strip().upper(): name for name in names}
        spelled |= {name.upper(): name for name in columns if name in names}  # prefer the exact name over `TEXT`
        if twice := [name for name in columns if names.count(spelled.get(name.upper(), "")) > 1]:
            raise InputError(f"{path} has the column {', '.join(twice)} twice in its first line")
        if all(name.upper() in spelled for name in columns):
            backslash = ESCAPED.search(beginning) is not None
            return Dialect([spelled[name.upper()] for name in columns], separator, backslash)
        closest = max(closest, names, key=len)
    missing = [name for name in columns if name.upper() not in {known.strip().upper() for known in closest}]
    shown = (
        ", ".join(closest) if all(map(NAME.fullmatch, closest)) else f"{len(closest)} fields that are no columns' names"
    )
    raise InputError(
        f"{path} has no column {', '.join(missing)} in its first line; it should have {', '.join(columns)}, and has "
        f"{shown or 'nothing'}"
    )


def place(batch: pa.RecordBatch, index: int) -> str:
    """How to name a row to the user: by its ROW_ID if that looks like one, otherwise by its record number."""
    if "ROW_ID" in batch.schema.names and WHOLE_NUMBER.fullmatch(row := batch.column("ROW_ID")[index].as_py()):
        return f"the row with ROW_ID {row}"
    return f"record {batch.column(RECORD)[index].as_py()} (counted from 1 after the header)"


def integers(path: Path, batch: pa.RecordBatch, column: str) -> list[int]:
    """A column of whole numbers, written `7` or `7.0`. Raises InputError that names the first other row."""
    values = batch.column(column)
    try:
        return pc.cast(pc.cast(values, pa.float64()), pa.int64()).to_pylist()
    except pa.ArrowInvalid:
        spelled = values.to_pylist()
        index = next(i for i, value in enumerate(spelled) if not WHOLE_NUMBER.fullmatch(value))
        wrong = f"the {column} is not a whole number" if spelled[index] else f"the {column} is missing"
        raise InputError(f"{path}: {wrong} in {place(batch, index)}") from None


def _open(path: Path) -> IO[bytes]:
    """The file's bytes. Arrow decompresses whole blocks, beside the rest of the program; Python 8 kB at a time."""
    if path.suffix.lower() != ".gz":
        return path.open("rb")
    return cast(IO[bytes], pa.CompressedInputStream(pa.OSFile(str(path)), "gzip"))


class _Whole(io.RawIOBase):
    """Passes a table's bytes to the parser and checks that the last record ends and the dialect does not change."""

    def __init__(self, file: IO[bytes], path: Path, backslash: bool) -> None:
        super().__init__()
        self.file, self.path, self.backslash = file, path, backslash
        self.n_quotes = 0  # that open or close a field, or are doubled inside one
        self.held = b""  # the end of the last block, perhaps half of an escape
        self.last = b"\n"

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.last = block[-1:] or self.last
        watched = self.held + block
        if self.backslash:
            plain = re.sub(rb"\\.", b"", watched, flags=re.DOTALL)  # a backslash and the escaped character
            self.held = b"\\" if plain.endswith(b"\\") else b""
            self.n_quotes += plain.count(b'"')
            return block
        self.n_quotes += block.count(b'"')
        if b'\\"' in watched and ESCAPED.search(watched):
            raise InputError(
                f"{self.path}: a quotation mark is escaped by a backslash, while the beginning of the file has none of "
                "these; it should double them"
            )
        self.held = watched[-2:]
        return block

    def check_end(self) -> None:
        if self.n_quotes % 2:
            raise InputError(
                f"{self.path} is cut short: it ends inside a field in quotation marks (or has one that is not doubled)"
            )
        if self.last not in (b"\n", b"\r"):
            raise InputError(f"{self.path} is cut short: its last record has no line end (if it is whole, add one)")


def _raise_damage(path: Path, error: Exception) -> NoReturn:
    """Report what is wrong with a file without the row that Arrow's message quotes."""
    message = str(error)
    if isinstance(error, InputError):
        raise error
    if isinstance(error.__cause__, InputError):
        raise error.__cause__ from None
    if isinstance(error, OSError) and error.errno:
        wrong = f"cannot be read ({os.strerror(error.errno)})"
    elif isinstance(error, UnicodeDecodeError) or "UTF8" in message:
        wrong = "is not UTF-8 text (Latin-1, perhaps); it should be UTF-8"
    elif isinstance(error, pa.ArrowInvalid) and (counts := re.search(r"Expected (\d+) columns, got (\d+)", message)):
        record = re.search(r"Row #(\d+)", message)
        where = f"row {record[1]}" if record else "a row"
        wrong = (
            f"has too few or too many fields in {where} ({counts[2]} for {counts[1]}): a quotation mark that is not "
            "doubled, another separator, or a row that was cut"
        )
    elif "straddling" in message:
        wrong = f"has a record of more than {BLOCK_BYTES >> 20} MB: a quotation mark is open, or not doubled"
    else:
        wrong = "is damaged or cut short"
    raise InputError(f"{path} {wrong}") from None


def is_id(value: str) -> bool:
    return ID.fullmatch(value) is not None


def quote_id(value: str) -> str:
    """`value` if it is a short number with at most two letters before it; anything else might be text or a date."""
    return value if SHORT_ID.fullmatch(value) else "(not quoted, for it may be a text)"
