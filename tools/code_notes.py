"""Code notes of your own, and show the words that made each code: `python -m tools.code_notes NOTE.txt ...`.

    python -m tools.code_notes note.txt folder/                   a table per note on the terminal
    python -m tools.code_notes notes.csv --html coded.html         also .jsonl, each with a column `text`
    python -m tools.code_notes note.txt --icd10cm                  also codes that training has not seen, by their words
    cat note.txt | python -m tools.code_notes - --json coded.json

The model is what the pipeline made last, an experiment's (`--revision`), or a folder that `python -m tools.export`
wrote (`--model`). A note goes through the cleaning of the corpus that the model learned from. Nothing is written but
what is asked for.
"""

import argparse
import csv
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stages.common import io, outside
from stages.common.io import InputError
from stages.common.runner import run
from stages.corpus import delimited
from stages.open_codes.phrases import ICD10CM, read_pool
from tools.notes import note_page
from tools.notes.note_page import CodedNote
from tools.outputs import check_files

TABLES, JSON_LINES = (".csv", ".csv.gz", ".tsv", ".tsv.gz"), (".jsonl", ".ndjson")
KINDS = (".txt", *TABLES, *JSON_LINES)
log = logging.getLogger("tools.code_notes")

TEXT, ID = "text", "id"
SHOWN = ("code", "title", "kind", "probability", "calibrated", "assigned", "state", "open")


def read_notes(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The name and text of each note. Raises InputError for what is no note."""
    for source in sources:
        path = Path(source)
        if source == "-":
            yield "standard input", outside.decode(sys.stdin.buffer.read(), "standard input")
        elif path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".txt" and file.name[0] != ".")
            if not files:
                raise InputError(f"{path} has no .txt file")
            yield from ((file.name, outside.read_text(file)) for file in files)
        elif path.name.lower().endswith(TABLES):
            yield from _read_table(path)
        elif path.suffix.lower() in JSON_LINES:
            yield from _read_lines(path)
        else:
            yield path.name, outside.read_text(path)


def check_sources(sources: Sequence[str]) -> None:
    """Raise InputError for a source that is missing, or of a kind that holds more than one note's text."""
    for path in (Path(source) for source in sources if source != "-"):
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if path.is_file() and not path.name.lower().endswith(KINDS) and "." in path.name.strip("."):
            raise InputError(f"{path} is of a kind that is not read; it should be one of {', '.join(KINDS)}")


def _read_table(path: Path) -> Iterator[tuple[str, str]]:
    named = True
    try:
        delimited.sniff(path, [ID, TEXT])
    except InputError:
        named = False
    for batch in delimited.read(path, [ID, TEXT] if named else [TEXT]):
        numbers = batch.column(delimited.RECORD).to_pylist()
        ids = batch.column(ID).to_pylist() if named else [""] * len(numbers)
        names = [own.strip() or f"{path.name}, record {number}" for own, number in zip(ids, numbers, strict=True)]
        yield from zip(names, batch.column(TEXT).to_pylist(), strict=True)


def _read_lines(path: Path) -> Iterator[tuple[str, str]]:
    for number, row in outside.json_lines(path, f"an object with the key {TEXT}"):
        if not isinstance(text := row.get(TEXT), str):
            raise InputError(f"{path}, line {number}: should be an object with the key {TEXT}, a text")
        yield str(row.get(ID) or f"{path.name}, line {number}"), text


def table(note: CodedNote) -> str:
    """A note's codes as text for a terminal."""
    lines = [outside.shown(note.name)]
    if note.n_read < note.n_tokens:
        lines.append(f"  the text is cut: the first {note.n_read} of {note.n_tokens} tokens were read")
    for code in note.codes:
        assigned = "assigned" if code.assigned else "        "
        figures = f"{100 * code.probability:5.1f} %  calibrated {100 * code.calibrated:5.1f} %"
        kind = "open" if code.open else code.kind
        lines.append(f"  {code.code:<9} {assigned}  {code.state:<9}  {figures}  {kind:<9}  {code.title}")
        if code.assigned:
            lines += [f"            ... {outside.shown(snippet)} ..." for snippet in code.snippets]
    return "\n".join(lines) + "\n"


def rows(notes: Sequence[CodedNote]) -> Iterator[dict[str, object]]:
    """A row per note and code."""
    for note in notes:
        for code in note.codes:
            yield {"note": note.name, **{name: getattr(code, name) for name in SHOWN}, "words": list(code.snippets)}


def write_json(path: Path, notes: Sequence[CodedNote]) -> None:
    with io.whole_file(path) as partial:
        partial.write_text(json.dumps(list(rows(notes)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def write_csv(path: Path, notes: Sequence[CodedNote]) -> None:
    with io.whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer: csv.DictWriter | None = None
        for row in rows(notes):
            writer = writer or csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row | {"words": " | ".join(row["words"])})  # type: ignore[arg-type]


def write_html(path: Path, notes: Sequence[CodedNote], about: str) -> None:
    with io.whole_file(path) as partial:
        partial.write_text(note_page.page(notes, about), encoding="utf-8")


def at_least_one(text: str) -> int:
    """A number of codes from the command line."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} should be 1 or more")
    return int(text)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.code_notes", description="Code notes, and show the words that made each code."
    )
    parser.add_argument("notes", nargs="+", help="text files, folders of .txt, .csv or .jsonl with a column text, or -")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", type=Path, help="a folder that tools.export wrote (default: what the pipeline made)")
    which.add_argument("--revision", help="an experiment, or another git revision, whose model DVC's cache has")
    parser.add_argument("--codes", type=at_least_one, default=5, help="codes shown at least (default: %(default)s)")
    more = parser.add_mutually_exclusive_group()
    more.add_argument("--also", type=Path, metavar="FILE", help="score these codes too: JSON or YAML, code -> phrases")
    more.add_argument("--icd10cm", action="store_true", help="score all of ICD-10-CM too, by its titles and terms")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    check_sources(options.notes)
    outputs = [path for path in (options.json, options.csv, options.html) if path is not None]
    read = [Path(source) for source in options.notes if source != "-"]
    check_files(outputs, read if options.also is None else [*read, options.also])
    also = ICD10CM if options.icd10cm else options.also and str(options.also)
    if also not in (None, ICD10CM):
        read_pool(options.also)
    notes = list(read_notes(options.notes))
    if not notes:
        raise InputError("there is no note")
    from tools.notes.coding import code_notes  # takes seconds, so the inputs are looked at first

    coded, about = code_notes(notes, options.codes, options.model, options.revision, also)
    for path, write in ((options.json, write_json), (options.csv, write_csv)):
        if path is not None:
            write(path, coded)
    if options.html is not None:
        write_html(options.html, coded, about)
    if not any((options.json, options.csv, options.html)):
        sys.stdout.write("\n".join(map(table, coded)))
    log.info("%d notes, %d codes assigned", len(coded), sum(code.assigned for note in coded for code in note.codes))


if __name__ == "__main__":
    run(main, memory="the number of notes")
