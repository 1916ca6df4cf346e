"""Write the embedded corpus, in MIMIC-III's file format.

Without arguments, as the pipeline runs it: `demo.admissions` admissions from `demo.seed`, into data/demo/mimic.
`--load` writes load data of MIMIC's full size and shape instead (or of `--admissions N`), to time real runs with:

    python -m stages.synthesize --load --out /tmp/load        # 2.1 million notes, 1.4 GB, two minutes
    python -m stages.synthesize --load --admissions 5000 --other-notes 0.8 --other-words 1400 --out /tmp/load
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stages.demo.full_size import Load, write_load
from stages.demo.generator import read_phrases, write_corpus
from stages.project import params
from stages.project.errors import InputError
from stages.project.stage import run

log = logging.getLogger("stages.synthesize")

PHRASES = Path("data/pools/authored.yaml")
CORPUS = Path("data/demo/mimic")


def main(arguments: Sequence[str] = ()) -> None:
    options = parsed(arguments)
    phrases = read_phrases(PHRASES)
    if options.load:
        load = Load(options.admissions, options.other_notes, options.other_words)
        folder, rows = options.out, write_load(options.out, load, options.seed, phrases)
    else:
        demo = params.load().demo
        folder, rows = CORPUS, write_corpus(CORPUS, demo.admissions, demo.seed, phrases)
    log.info("%s: %s", folder, ", ".join(f"{count} rows of {name}" for name, count in rows.items()))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line. Raises InputError where it asks for what cannot be."""
    parser = argparse.ArgumentParser(prog="python -m stages.synthesize", description=__doc__.splitlines()[0])
    parser.add_argument("--load", action="store_true", help="write load data, not the embedded corpus")
    parser.add_argument("--out", type=Path, help="the folder of the load data")
    parser.add_argument("--admissions", type=int, default=Load.admissions)
    parser.add_argument("--other-notes", type=float, default=Load.other_notes, help="per admission, mean")
    parser.add_argument("--other-words", type=int, default=Load.other_words, help="per note, mean")
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args(arguments)
    if options.load != (options.out is not None):
        raise InputError("--load and --out FOLDER go together; the embedded corpus takes its settings from params.yaml")
    if options.admissions < 1:
        raise InputError(f"--admissions: {options.admissions} should be at least 1")
    return options


if __name__ == "__main__":
    run(partial(main, sys.argv[1:]))
