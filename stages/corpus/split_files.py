"""The published splits of MIMIC-III and MIMIC-IV: which admission belongs to which part.

A pins.yaml next to the split files maps each file to its `url` and `md5`.
"""

import logging
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import feather

from stages.common import io, outside
from stages.common.io import InputError
from stages.common.parts import PARTS
from stages.corpus.icd import NotACode, read_any

log = logging.getLogger(__name__)

PINS = "pins.yaml"


def load(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Admission -> part (`train`, `val`, `test`) from a subset's published files: a list per part, or a feather file.

    Raises InputError if a file is missing or malformed, or an admission is in two parts.
    """
    part_of: dict[str, str] = {}
    files = [folder / name for name in names]
    rows = _feather_rows(files[0]) if len(files) == 1 else _rows(files)
    for path, admission, part in rows:
        if (other := part_of.setdefault(admission, part)) != part:
            raise InputError(f"{path}: admission {admission} is in two parts, {other} and {part}")
    return part_of


def _rows(files: Sequence[Path]) -> Iterator[tuple[Path, str, str]]:
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
    """The codes of a file with one per line. Raises InputError for an invalid line or an empty file."""
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
    """The path of a split file; DVC downloads a pinned file that is missing.

    Raises InputError if the file stays missing or its md5 differs from the pinned one.
    """
    path = folder / name
    pins = read_pins(folder / PINS) if (folder / PINS).exists() else {}
    if name not in pins:
        if not path.is_file() and path.name not in pins:  # the user's own file, outside a subfolder
            path = folder / path.name
        if not path.is_file():
            wanted = "data.published_dir should be a folder with the split files"
            raise InputError(f"{folder / name} does not exist; {wanted}")
        return path
    if path.is_file():
        _check(path, path, pins[name]["md5"])
        return path
    log.info("downloading %s", name)
    with io.whole_file(path) as partial:
        command = [sys.executable, "-m", "dvc", "get-url", "--quiet", pins[name]["url"], str(partial)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not partial.exists():
            wrong = f"{path} is missing, and DVC could not download it from {pins[name]['url']}"
            raise InputError(f"{wrong}; put it there by hand, or set data.published_dir to a folder that has it")
        _check(path, partial, pins[name]["md5"])
    return path


def read_pins(path: Path) -> dict[str, dict[str, str]]:
    """Each split file's `url` and `md5`. Raises InputError for a malformed file."""
    pins = outside.parse_yaml(outside.read_text(path), path) or {}
    if not isinstance(pins, dict) or not all(
        isinstance(pin, dict) and all(isinstance(pin.get(key), str) for key in ("url", "md5")) for pin in pins.values()
    ):
        raise InputError(f"{path} should map each file to its url and md5, both texts")
    return pins


def _check(path: Path, content: Path, expected: str) -> None:
    if (actual := io.md5(content.read_bytes())) != expected:
        raise InputError(f"{path}: its md5 is {actual}, but should be {expected}; delete it and download it again")
