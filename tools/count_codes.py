"""Count the codes in a group of notes, with 95 % intervals: `python -m tools.count_codes FOLDER ...`.

    python -m tools.count_codes folder/ --html counts.html         also .csv, .jsonl, - and files, as tools.code_notes
    python -m tools.count_codes --part test                        a part of the corpus, with its true counts
    python -m tools.count_codes notes.csv --model FOLDER --json counts.json

Counts are by the quantifier with the lowest error on groups of validation documents (or `--method`), shown with the
number of notes that are assigned the code individually. The interval is for the number of notes in this group that have
the code. It covers chance and the uncertainty about the classifier's rates after validation. It assumes that notes are
independent and differ from the validation documents only in how often codes occur, not in how they are written; if a
test rejects this, a warning says so.
"""

import argparse
import logging
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from stages.common import outside
from stages.common.io import InputError
from stages.common.parts import SCORED
from stages.common.runner import run
from tools.notes import sources

if TYPE_CHECKING:
    from tools.notes.counted import Counted

log = logging.getLogger("tools.count_codes")


def table(counted: "Counted") -> str:
    lines = [f"{'code':<9} {'number':>8}  {'95 % interval':<15} {'share':>6} {'trained':>8} {'assigned':>9}  title"]
    for count in counted.codes:
        known = "" if count.true is None else f"  (true: {count.true})"
        lines.append(
            f"{count.code:<9} {count.number:8.1f}  {f'{count.low} to {count.high}':<15} {100 * count.prevalence:5.1f}%"
            f" {100 * count.training:7.1f}% {count.assigned:9}  {count.title}{known}"
        )
    return "".join(f"{outside.printable(line)}\n" for line in lines)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.count_codes", description="How often each code occurs in a group of notes."
    )
    sources.add_arguments(parser, notes="*")
    parser.add_argument("--part", choices=SCORED, help="count a part of the pipeline's corpus instead of notes")
    parser.add_argument("--method", help="cc, pcc, mlp, clq, acc, pacc or emq (default: the best on validation)")
    options = parser.parse_args()
    if bool(options.notes) == bool(options.part):
        parser.error("give notes, or --part")
    if options.part and (options.model or options.revision):
        parser.error("--part is of what the pipeline made last")
    return options


def main() -> None:
    options = parse_arguments()
    notes = sources.read_all(options)
    if not notes and not options.part:
        raise InputError("there is no note")
    from tools.notes.counted import count_notes  # takes seconds, so check the inputs first

    counted, about = count_notes(notes, options.part, options.model, options.revision, options.method)
    rows = [asdict(count) for count in counted.codes]
    if not sources.write(options, asdict(counted), rows, lambda: counted.page(about)):
        sys.stdout.write(table(counted))
    for warning in counted.warnings:
        log.warning("%s", warning)
    log.info("%d documents, %d codes counted by %s", counted.n_documents, len(rows), counted.method)


if __name__ == "__main__":
    run(main, memory="the number of notes")
