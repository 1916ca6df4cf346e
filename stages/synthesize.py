"""Write the embedded corpus, in MIMIC-III's file format.

Without arguments, as the pipeline runs it: `demo.admissions` admissions from `demo.seed`, into data/demo/mimic.
`--load` writes load data of MIMIC's full size and shape instead (or of `--admissions N`), to time real runs with:

    python -m stages.synthesize --load --out /tmp/load        # 2.1 million notes, 1.4 GB, two minutes
    python -m stages.synthesize --load --admissions 5000 --other-notes 0.8 --other-words 1400 --out /tmp/load

`--mimic4` writes the embedded corpus in MIMIC-IV's form, into OUT/hosp and OUT/note; with `--load`, load data of
MIMIC-IV's size: 331,000 notes.
"""

import argparse
import logging
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stages.demo.as_mimic4 import write_as_mimic4
from stages.demo.full_size import FULL_SIZE, FULL_SIZE_OF_MIMIC4, Load, write_load, write_load_of_mimic4
from stages.demo.generator import read_phrases, write_corpus
from stages.project import params, paths
from stages.project.errors import InputError
from stages.project.files import whole_directory
from stages.project.stage import run

log = logging.getLogger("stages.synthesize")

PHRASES = Path("data/pools/authored.yaml")


def main(arguments: Sequence[str] = ()) -> None:
    options = parsed(arguments)
    phrases = read_phrases(PHRASES)
    if options.load and options.mimic4:
        n_admissions = options.admissions or FULL_SIZE_OF_MIMIC4
        folder, rows = options.out, write_load_of_mimic4(options.out, n_admissions, options.seed, phrases)
    elif options.mimic4:
        folder, rows = options.out, as_mimic4(options.out, phrases)
    elif options.load:
        load = Load(options.admissions or FULL_SIZE, options.other_notes, options.other_words)
        folder, rows = options.out, write_load(options.out, load, options.seed, phrases)
    else:
        demo = params.load().demo
        folder, rows = paths.DEMO, write_corpus(paths.DEMO, demo.admissions, demo.seed, phrases)
    log.info("%s: %s", folder, ", ".join(f"{count} rows of {name}" for name, count in rows.items()))


def as_mimic4(out: Path, phrases: dict[str, dict]) -> dict[str, int]:
    """The embedded corpus of `demo.admissions` and `demo.seed` in MIMIC-IV's form, in `out`."""
    demo = params.load().demo
    with tempfile.TemporaryDirectory() as temporary, whole_directory(out) as partial:
        source = Path(temporary) / "mimic"
        write_corpus(source, demo.admissions, demo.seed, phrases)
        for name in ("hosp", "note"):
            (partial / name).mkdir()
        return write_as_mimic4(source, partial / "hosp", partial / "note")


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line. Raises InputError where it asks for what cannot be."""
    parser = argparse.ArgumentParser(prog="python -m stages.synthesize", description=__doc__.splitlines()[0])
    parser.add_argument("--load", action="store_true", help="write load data, not the embedded corpus")
    parser.add_argument("--mimic4", action="store_true", help="the embedded corpus in MIMIC-IV's form")
    parser.add_argument("--out", type=Path, help="the folder of the load data")
    parser.add_argument("--admissions", type=int, help="default: as many as the release has")
    parser.add_argument("--other-notes", type=float, default=Load.other_notes, help="per admission, mean")
    parser.add_argument("--other-words", type=int, default=Load.other_words, help="per note, mean")
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args(arguments)
    if (options.load or options.mimic4) != (options.out is not None):
        raise InputError(
            "--load or --mimic4 and --out FOLDER go together; the embedded corpus takes its settings from params.yaml"
        )
    if options.admissions is not None and options.admissions < 1:
        raise InputError(f"--admissions: {options.admissions} should be at least 1")
    return options


if __name__ == "__main__":
    run(partial(main, sys.argv[1:]))
