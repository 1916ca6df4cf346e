"""Reading and writing files: outputs appear whole or not at all, and equal content gives equal bytes."""

import io
import json
import math
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends well.

    If the block raises, the temporary file is removed and an earlier `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield an empty temporary directory beside `path`; put it in the place of `path` when the block ends well.

    If the block raises, the temporary directory is removed and an earlier `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, replaced = (path.with_name(f".{path.name}.{state}") for state in ("partial", "replaced"))
    for leftover in (partial, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(replaced)
        partial.rename(path)
    finally:
        for leftover in (partial, replaced):
            shutil.rmtree(leftover, ignore_errors=True)


def stable(value: Any, digits: int = 6) -> Any:
    """`value` with every float rounded to `digits` significant digits and NumPy scalars made plain.

    A float that is not finite has no JSON form; it raises ValueError.
    """
    if isinstance(value, dict):
        return {str(key): stable(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [stable(item, digits) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} cannot be stored as JSON")
        return float(f"{value:.{digits}g}")
    return value


def write_json(path: Path, value: Any, digits: int = 6) -> None:
    """Write `value` as JSON with sorted keys and floats of `digits` significant digits."""
    with whole_file(path) as partial:
        text = json.dumps(stable(value, digits), sort_keys=True, indent=2, ensure_ascii=False)
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises InputError where it is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON ({error})") from None


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    """Write a table as parquet, without its index."""
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV with a header and floats of six significant digits, without its index."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def write_csr(path: Path, matrix: sp.csr_array) -> None:
    """Write a sparse matrix as `.npz`, with sorted indices and without pickle.

    The archive that scipy makes is packed anew, since releases of Python write its headers differently.
    """
    matrix = sp.csr_array(matrix)
    matrix.sort_indices()
    made = io.BytesIO()
    sp.save_npz(made, matrix, compressed=False)
    with whole_file(path) as partial, zipfile.ZipFile(made) as given, zipfile.ZipFile(partial, "w") as archive:
        for name in given.namelist():
            archive.writestr(zipfile.ZipInfo(name), given.read(name))


def read_csr(path: Path) -> sp.csr_array:
    """Read a sparse matrix that `write_csr` wrote."""
    return sp.csr_array(sp.load_npz(path))
