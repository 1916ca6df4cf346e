"""The published splits of MIMIC-III and MIMIC-IV: which admission belongs to which part.

Beside the split files may lie pins.yaml: file -> the `url` it comes from, and its `md5`.
"""

import hashlib
import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import feather

from stages.common import io, outside
from stages.common.io import InputError
from stages.corpus.document import PARTS
from stages.corpus.icd import NotACode, read_any

log = logging.getLogger(__name__)

PINS = "pins.yaml"


def load(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Admission -> part (`train`, `val`, `test`) by a subset's published files: one list per part, or one feather file.

    Raises InputError where a file is missing, has another form, or deals an admission to two parts.
    """
    part_of: dict[str, str] = {}
    rows = _feather_rows(folder / names[0]) if len(names) == 1 else _rows([folder / name for name in names])
    for path, admission, part in rows:
        if (other := part_of.setdefault(admission, part)) != part:
            raise InputError(f"{path}: admission {admission} is in two parts, {other} and {part}")
    return part_of


def _rows(files: Sequence[Path]) -> Iterator[tuple[Path, str, str]]:
    """Each admission and its part, from one file per part with one admission per line."""
    for part, path in zip(PARTS, map(_present, files), strict=True):
        content = path.read_bytes()
        for number, line in enumerate(content.split(b"\n"), start=1):
            if (admission := line.strip().removeprefix(b"\xef\xbb\xbf")).isdigit():
                yield path, admission.decode(), part
            elif admission:
                raise InputError(f"{path}, line {number}: should be a HADM_ID, a whole number")
        if not content.endswith(b"\n"):
            log.warning("%s is empty, or ends without a line end: it may be cut short", path)


def _feather_rows(file: Path) -> Iterator[tuple[Path, str, str]]:
    """Each admission and its part, from the feather file with the columns `_id` and `split`."""
    path = _present(file)
    try:
        table = feather.read_table(path, columns=["_id", "split"])
        admissions = table["_id"].cast(pa.int64()).to_pylist()
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError):
        raise InputError(f"{path} should be a feather file with the columns _id (whole numbers) and split") from None
    if None in admissions or not admissions:
        raise InputError(f"{path} has {'no rows' if not admissions else 'a row without _id'}")
    for admission, part in zip(admissions, table["split"].to_pylist(), strict=True):
        if part not in PARTS:
            raise InputError(f"{path}: the split of admission {admission} should be train, val or test")
        yield path, str(admission), part


def read_codes(path: Path) -> frozenset[str]:
    """A file of codes, one per line. Raises InputError where a line is none, or there is no line."""
    codes = []
    for number, line in enumerate(outside.read_text(_present(path)).split("\n"), start=1):
        try:
            if (code := read_any(line.strip().removesuffix("."))) is not None:
                codes.append(code)
        except NotACode as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    if not codes:
        raise InputError(f"{path} has no code")
    return frozenset(codes)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path} does not exist; `dvc repro fetch_splits` makes it")
    return path


def fetch(folder: Path, name: str) -> Path:
    """The path of a split file; DVC downloads it when it is missing and pinned, and a pinned one must have its md5.

    Raises InputError where the file stays missing or differs from its pin.
    """
    path = folder / name
    pins = read_pins(folder / PINS) if (folder / PINS).exists() else {}
    if name not in pins:
        if not path.is_file() and path.name not in pins:  # a user's own, in no folder of its own
            path = folder / path.name
        if not path.is_file():
            raise InputError(
                f"{folder / name} does not exist; data.published_dir should be a folder with the split files"
            )
        return path
    if path.is_file():
        _check(path, path, pins[name]["md5"])
        return path
    log.info("downloading %s", name)
    with io.whole_file(path) as partial:
        command = [sys.executable, "-m", "dvc", "get-url", "--quiet", pins[name]["url"], str(partial)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not partial.exists():
            raise InputError(
                f"{path} is missing, and DVC could not download it from {pins[name]['url']}; put it there by hand, or "
                "set data.published_dir to a folder that has it"
            )
        _check(path, partial, pins[name]["md5"])
    return path


def read_pins(path: Path) -> dict[str, dict[str, str]]:
    """Each split file's `url` and `md5`. Raises InputError for a file of another form."""
    pins = outside.parse_yaml(outside.read_text(path), path) or {}
    if not isinstance(pins, dict) or not all(
        isinstance(pin, dict) and all(isinstance(pin.get(key), str) for key in ("url", "md5")) for pin in pins.values()
    ):
        raise InputError(f"{path} should map each file to its url and md5, both texts")
    return pins


def _check(path: Path, content: Path, expected: str) -> None:
    """Raise InputError unless the content that is, or is to be, at a path has the expected md5."""
    found = hashlib.md5(content.read_bytes(), usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(f"{path}: its md5 is {found}, but should be {expected}; delete it and download it again")
