"""Write the embedded corpus, in MIMIC-III's file format, with gold spans: data/demo/mimic."""

import logging
from pathlib import Path

from stages.common import params, paths
from stages.common.runner import run
from stages.demo.generator import SEED, read_phrases, write_corpus

log = logging.getLogger("stages.synthesize")

PHRASES = Path("data/pools/authored.yaml")


def main() -> None:
    n_rows = write_corpus(paths.DEMO, params.load().demo.admissions, SEED, read_phrases(PHRASES))
    log.info("%s: %s", paths.DEMO, ", ".join(f"{count} rows of {name}" for name, count in n_rows.items()))


if __name__ == "__main__":
    run(main)
