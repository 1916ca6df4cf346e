"""Inputs and outputs shared by the tools that read notes."""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.common import outside
from stages.common.io import InputError, whole_file, write_text
from stages.corpus import delimited
from tools.common.outputs import check_files

log = logging.getLogger(__name__)

KINDS = (".txt", *delimited.KINDS, *outside.JSON_LINES)
TEXT, ID = "text", "id"


def add_arguments(parser: argparse.ArgumentParser, notes: str = "+") -> None:
    parser.add_argument(
        "notes", nargs=notes, help="text files, folders of .txt, .csv or .jsonl with a column text, or -"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a folder that tools.export wrote (default: what the pipeline made)")
    which.add_argument("--revision", help="an experiment, or another git revision, whose model DVC's cache has")
    for form in ("json", "csv", "html"):
        parser.add_argument(f"--{form}", type=Path, metavar="FILE")


def read_all(options: argparse.Namespace, inputs: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """The name and text of each note, after checking inputs and outputs. Raises InputError for an invalid one."""
    check_sources(options.notes)
    read = [file for source in options.notes for file in (*files_of(Path(source)), Path(source))]
    model = (options.model, *options.model.rglob("*")) if options.model else ()
    outputs = [path for path in (options.json, options.csv, options.html) if path is not None]
    check_files(outputs, [*read, *model, *inputs])
    notes = list(read_notes(options.notes))
    if repeated := len(notes) - len({name for name, _ in notes}):
        log.warning("%d notes have the same name as another one", repeated)
    return notes


def files_of(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix.lower() == ".txt" and file.name[0] != ".")


def read_notes(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name and text of each note. Raises InputError for anything that is not a note."""
    for source in sources:
        path = Path(source)
        if source == "-":
            yield "standard input", outside.decode(sys.stdin.buffer.read(), "standard input")
        elif path.is_dir():
            files = files_of(path)
            if not files:
                raise InputError(f"{path} has no .txt file")
            if others := len(list(path.glob("[!.]*"))) - len(files):
                log.warning("%s: skipping %d files or folders that are not .txt", path, others)
            yield from ((file.name, outside.read_text(file)) for file in files)
        elif path.name.lower().endswith(delimited.KINDS):
            yield from _read_table(path)
        elif path.suffix.lower() in outside.JSON_LINES:
            yield from _read_lines(path)
        else:
            yield path.name, outside.read_text(path)


def check_sources(sources: Sequence[str]) -> None:
    """Raise InputError for a source that is missing or of an unsupported kind."""
    for path in (Path(source) for source in sources if source != "-"):
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_file() and not path.name.lower().endswith(KINDS) and "." in path.name.strip("."):
            raise InputError(f"{path} is of an unsupported kind; it should be one of {', '.join(KINDS)}")


def _read_table(path: Path) -> Iterator[tuple[str, str]]:
    named = True
    try:
        delimited.sniff(path, [ID, TEXT])
    except InputError:
        named = False
    for batch in delimited.read(path, [ID, TEXT] if named else [TEXT]):
        numbers = batch.column(delimited.RECORD).to_pylist()
        ids = batch.column(ID).to_pylist() if named else [""] * len(numbers)
        names = [name.strip() or f"{path.name}, record {number}" for name, number in zip(ids, numbers, strict=True)]
        yield from zip(names, batch.column(TEXT).to_pylist(), strict=True)


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, row in outside.json_lines(path, f"an object with the key {TEXT}"):
        if not isinstance(text := row.get(TEXT), str):
            raise InputError(f"{path}, line {number}: should be an object with the key {TEXT}, a text")
        yield str(row.get(ID) or f"{path.name}, line {number}"), text


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
