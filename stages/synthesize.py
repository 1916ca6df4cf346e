"""Write the embedded corpus, in MIMIC-III's file format."""

import logging
from pathlib import Path

from stages import params
from stages.corpus.synthetic import read_phrases, write_corpus
from stages.stage import run

log = logging.getLogger("stages.synthesize")

PHRASES = Path("data/pools/authored.yaml")
CORPUS = Path("data/demo/mimic")


def main() -> None:
    demo = params.load().demo
    rows = write_corpus(CORPUS, demo.admissions, demo.seed, read_phrases(PHRASES))
    log.info("%s: %d admissions, rows: %s", CORPUS, demo.admissions, ", ".join(f"{k} {n}" for k, n in rows.items()))


if __name__ == "__main__":
    run(main)
