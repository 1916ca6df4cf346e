"""Write load data of MIMIC's full size and shape, to measure the preparation of real data with.

python -m benchmarks.load_data /tmp/load                        # MIMIC-III: 2.1 million notes, 1.4 GB, two minutes
python -m benchmarks.load_data /tmp/load --admissions 5000 --other-notes 0.8 --other-words 1400
python -m benchmarks.load_data /tmp/load4 --mimic4              # MIMIC-IV: 331,000 notes
python -m benchmarks.load_data /tmp/demo4 --mimic4 --demo       # the embedded corpus in MIMIC-IV's form
"""

import argparse
import logging
import tempfile
from pathlib import Path

from benchmarks.as_mimic4 import write_as_mimic4
from benchmarks.full_size import FULL_SIZE, FULL_SIZE_OF_MIMIC4, Load, write_load, write_load_of_mimic4
from stages.common import io, params
from stages.common.runner import run
from stages.demo.generator import SEED, read_phrases, write_corpus
from stages.synthesize import PHRASES

log = logging.getLogger("stages.load_data")


def write_demo(out: Path, phrases: dict[str, dict]) -> dict[str, int]:
    """The embedded corpus of `demo.admissions` in MIMIC-IV's form, in `out`."""
    with tempfile.TemporaryDirectory() as temporary, io.whole_directory(out) as partial:
        source = Path(temporary) / "mimic"
        write_corpus(source, params.load().demo.admissions, SEED, phrases)
        for name in ("hosp", "note"):
            (partial / name).mkdir()
        return write_as_mimic4(source, partial / "hosp", partial / "note")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mimic4", action="store_true")
    parser.add_argument("--demo", action="store_true", help="the embedded corpus; only with --mimic4")
    parser.add_argument("--admissions", type=int, help="default: as many as the release has")
    parser.add_argument("--other-notes", type=float, default=Load.other_notes, help="per admission, mean")
    parser.add_argument("--other-words", type=int, default=Load.other_words, help="per note, mean")
    parser.add_argument("--seed", type=int, default=2024)
    options = parser.parse_args()
    phrases = read_phrases(PHRASES)
    if options.demo:
        n_rows = write_demo(options.out, phrases)
    elif options.mimic4:
        n_admissions = options.admissions or FULL_SIZE_OF_MIMIC4
        n_rows = write_load_of_mimic4(options.out, n_admissions, options.seed, phrases)
    else:
        load = Load(options.admissions or FULL_SIZE, options.other_notes, options.other_words)
        n_rows = write_load(options.out, load, options.seed, phrases)
    log.info("%s: %s", options.out, ", ".join(f"{count} rows of {name}" for name, count in n_rows.items()))


if __name__ == "__main__":
    run(main)
