"""Code your own notes and show the words behind each code: `python -m tools.code_notes NOTE.txt ...`.

    python -m tools.code_notes note.txt folder/                   a table per note in the terminal
    python -m tools.code_notes notes.csv --html coded.html         also .jsonl, with a column `text`
    python -m tools.code_notes note.txt --icd10cm                  also codes that training has not seen, by their words
    cat note.txt | python -m tools.code_notes - --json coded.json

The model is the pipeline's latest, an experiment's (`--revision`), or a folder written by `python -m tools.export`
(`--model`). Notes are cleaned like the corpus that the model was trained on. Only the requested outputs are written.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

from stages.common import outside
from stages.common.io import InputError
from stages.common.runner import run
from stages.open_codes.phrases import ICD10CM, read_pool
from tools.notes import note_page, sources
from tools.notes.note_page import CodedNote

log = logging.getLogger("tools.code_notes")

SHOWN = ("code", "title", "kind", "probability", "calibrated", "assigned", "state", "open")


def table(note: CodedNote) -> str:
    lines = [note.name]
    if note.n_read < note.n_tokens:
        lines.append(f"  the text is cut: the first {note.n_read} of {note.n_tokens} tokens were read")
    for code in note.codes:
        assigned = "assigned" if code.assigned else "        "
        figures = f"{100 * code.probability:5.1f} %  calibrated {100 * code.calibrated:5.1f} %"
        kind = "open" if code.open else code.kind
        lines.append(f"  {code.code:<9} {assigned}  {code.state:<9}  {figures}  {kind:<9}  {code.title}")
        if code.assigned:
            lines += [f"            ... {snippet} ..." for snippet in code.snippets]
    return "".join(f"{outside.printable(line)}\n" for line in lines)


def at_least_one(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} should be 1 or more")
    return int(text)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.code_notes", description="Code notes, and show the words that made each code."
    )
    sources.add_arguments(parser)
    parser.add_argument("--codes", type=at_least_one, default=5, help="codes shown at least (default: %(default)s)")
    more = parser.add_mutually_exclusive_group()
    more.add_argument("--also", type=Path, metavar="FILE", help="score these codes too: JSON or YAML, code -> phrases")
    more.add_argument("--icd10cm", action="store_true", help="score all of ICD-10-CM too, by its titles and terms")
    return parser.parse_args()


def main() -> None:
    options = parse_arguments()
    notes = sources.read_all(options, [] if options.also is None else [options.also])
    also = ICD10CM if options.icd10cm else options.also and str(options.also)
    if also not in (None, ICD10CM):
        read_pool(options.also)
    if not notes:
        raise InputError("there is no note")
    from tools.notes.coding import code_notes  # takes seconds, so check the inputs first

    coded, about = code_notes(notes, options.codes, options.model, options.revision, also)
    listed: list[dict[str, Any]] = [
        {"note": note.name, **{name: getattr(code, name) for name in SHOWN}, "words": list(code.snippets)}
        for note in coded
        for code in note.codes
    ]
    flat = [row | {"words": " | ".join(row["words"])} for row in listed]
    if not sources.write(options, listed, flat, lambda: note_page.page(coded, about)):
        sys.stdout.write("\n".join(map(table, coded)))
    log.info("%d notes, %d codes assigned", len(coded), sum(code.assigned for note in coded for code in note.codes))


if __name__ == "__main__":
    run(main, memory="the number of notes")
