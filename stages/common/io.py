"""Atomic writes in one canonical form: equal content gives equal bytes under every Python release.

This module decides the bytes of outputs, so every stage depends on it.
"""

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from safetensors import SafetensorError


class InputError(Exception):
    """Something the user gave is wrong: one line that says what is wrong, where, and what would be right.

    It quotes ids and counts, never note text. Scripts print it and exit with status 1, without a traceback.
    """


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`, renamed to `path` when the block succeeds and removed if it raises."""
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
    """Yield an empty temporary directory next to `path`, which replaces `path` when the block succeeds.

    If the block or the renaming raises, the temporary directory is removed and any earlier `path` is left untouched.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, replaced = (path.with_name(f".{path.name}.{state}") for state in ("partial", "replaced"))
    if replaced.exists() and not path.exists():
        replaced.rename(path)  # the process was killed between the two renamings
    for leftover in (partial, replaced):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        if path.exists():
            path.rename(replaced)
        try:
            partial.rename(path)
        except BaseException:
            if replaced.exists():
                replaced.rename(path)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(replaced, ignore_errors=True)


@contextmanager
def named_damage(path: Path, what: str) -> Iterator[None]:
    """Turn an error in reading `what` from a file of tensors into an InputError."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} holds no {what} ({reason}); remove it, and `dvc repro` makes it again") from None


def write_text(path: Path, text: str) -> None:
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's file names and contents."""
    path = Path(path)
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n".encode())
        return total.hexdigest()
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def read_json(path: Path) -> Any:
    """Raises InputError where the file is missing or damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error})") from None


def write_json(path: Path, value: Any, digits: int = 6) -> None:
    """Write JSON with sorted keys and floats of `digits` significant digits. Raises InputError for NaN and infinity."""

    def stable(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): stable(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [stable(item) for item in value]
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float):
            if not math.isfinite(value):
                raise InputError(f"{path}: {value} cannot be stored as JSON; an input of this stage is not finite")
            return float(f"{value:.{digits}g}")
        return value

    write_text(path, json.dumps(stable(value), sort_keys=True, indent=2, ensure_ascii=False) + "\n")


def write_parquet(path: Path, table: pd.DataFrame) -> None:
    with whole_file(path) as partial:
        table.to_parquet(partial, index=False)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table with a header and floats of six significant digits, without its index."""
    with whole_file(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g", lineterminator="\n")


def write_csr(path: Path, matrix: sp.csr_array) -> None:
    """Write a sparse matrix as `.npz`, with sorted indices and without pickle.

    scipy's archive is repacked because Python releases write different zip headers.
    """
    matrix = sp.csr_array(matrix)
    matrix.sort_indices()
    packed = BytesIO()
    sp.save_npz(packed, matrix, compressed=False)
    with whole_file(path) as partial, zipfile.ZipFile(packed) as source, zipfile.ZipFile(partial, "w") as archive:
        for name in source.namelist():
            archive.writestr(zipfile.ZipInfo(name), source.read(name))


def read_csr(path: Path) -> sp.csr_array:
    return sp.csr_array(sp.load_npz(path))
