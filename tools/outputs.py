"""Outputs of tools: refused before any work if something would be lost, and written atomically."""

import argparse
import csv
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common.io import InputError, whole_file, write_text


def check_files(outputs: Sequence[Path], inputs: Sequence[Path] = ()) -> None:
    """Raise InputError for an output that is also an input or another output, or a folder or device."""
    taken = {path.resolve(): "is an input and would be overwritten" for path in inputs}
    for path in outputs:
        target = path.resolve()
        if target in taken:
            raise InputError(f"{path} {taken[target]}; give another name")
        if target.exists() and not target.is_file():
            raise InputError(f"{path} is a {'folder' if target.is_dir() else 'device'}; give the name of a file")
        taken[target] = "is named for two outputs"
    for path in outputs:
        _check_parent(path)


def check_folder(folder: Path, own: Collection[str]) -> Path:
    """The folder to write, with links resolved. Raises InputError for a file, or a folder with other content.

    `own`: the names of what the tool itself wrote there earlier, which may be replaced.
    """
    target = folder.resolve()
    if target.exists() and not target.is_dir():
        raise InputError(f"{folder} is a file; give the name of a new folder")
    if lost := [path.name for path in target.glob("*") if path.name not in own]:
        raise InputError(f"{folder} has {len(lost)} other files, which would be lost; give the name of a new folder")
    _check_parent(folder)
    return target


def _check_parent(path: Path) -> None:
    """Raise InputError if one of the parents of `path` is a file."""
    if blocking := next((parent for parent in path.resolve().parents if parent.exists() and not parent.is_dir()), None):
        raise InputError(f"{path}: {blocking} is a file, not a folder")


def write(
    options: argparse.Namespace, value: Any, rows: Sequence[Mapping[str, object]], page: Callable[[], str]
) -> bool:
    """Write what `--json` (`value`), `--csv` (`rows`) and `--html` (`page`) ask for; whether any of them did."""
    if options.json:
        write_text(options.json, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
    if options.csv:
        with whole_file(options.csv) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    if options.html:
        write_text(options.html, page())
    return any((options.json, options.csv, options.html))
