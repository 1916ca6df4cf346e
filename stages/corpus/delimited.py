"""CSV tables, plain or gzipped, read in batches: only the columns asked for are kept, and never the whole file."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from stages.project.errors import InputError

WHOLE_NUMBER = re.compile(r"[0-9]{1,15}(\.0+)?")
BLOCK_BYTES = 4 << 20  # decompressed text parsed at once; a row, note text included, has to fit


def find(folder: Path, name: str) -> Path:
    """The table `name` in a folder: `name.csv.gz` or `name.csv`. Raises InputError when there is neither."""
    for suffix in (".csv.gz", ".csv"):
        if (path := folder / f"{name}{suffix}").is_file():
            return path
    raise InputError(f"{folder} has neither {name}.csv.gz nor {name}.csv; data.raw_dir should be MIMIC-III's folder")


def read(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The named columns of a CSV file as strings, batch by batch, named as asked for; column names match in any case.

    A missing value is an empty string. Raises InputError for a missing column, a row with too few or too many
    fields, and a damaged or cut file; the message never quotes a row.
    """
    names = _matching_names(path, columns)
    try:
        reader = csv.open_csv(
            path,
            read_options=csv.ReadOptions(block_size=BLOCK_BYTES),
            parse_options=csv.ParseOptions(newlines_in_values=True),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), include_columns=names, strings_can_be_null=False
            ),
        )
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, names=list(columns))
    except (OSError, EOFError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} {_damage(error)}") from None


def integers(path: Path, batch: pa.RecordBatch, column: str) -> list[int]:
    """A column of whole numbers, written `7` or `7.0`.

    Raises InputError naming the ROW_ID of the first row without one.
    """
    values = batch.column(column)
    try:
        return pc.cast(pc.cast(values, pa.float64()), pa.int64()).to_pylist()
    except pa.ArrowInvalid:
        rows = zip(batch.column("ROW_ID").to_pylist(), values.to_pylist(), strict=True)
        row, value = next(pair for pair in rows if not WHOLE_NUMBER.fullmatch(pair[1]))
        wrong = f"the {column} is not a whole number" if value else f"the {column} is missing"
        raise InputError(f"{path}: {wrong} in the row with ROW_ID {row}") from None


def _matching_names(path: Path, columns: Sequence[str]) -> list[str]:
    """The columns' names as the file spells them."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            header = [name.strip('"') for name in file.readline().strip().split(",")]
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"{path} {_damage(error)}") from None
    spelled = {name.upper(): name for name in header}
    missing = [name for name in columns if name not in spelled]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)} in its first line; it should have {', '.join(columns)}"
        )
    return [spelled[name] for name in columns]


def _damage(error: Exception) -> str:
    """What is wrong with a file, without the row that Arrow's own message quotes."""
    message = str(error)
    if isinstance(error, OSError) and error.errno:
        return f"cannot be read ({os.strerror(error.errno)})"
    if isinstance(error, pa.ArrowInvalid) and "Expected" in message:
        return "has a row with too few or too many fields; download it anew"
    if isinstance(error, UnicodeDecodeError) or "UTF8" in message:
        return "is not UTF-8 text; download it anew"
    return "is damaged or cut short; download it anew"
