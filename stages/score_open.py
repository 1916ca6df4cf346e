"""Score open codes, those that training has not seen, by their words, and measure what that is worth.

The mix of what is known of a document and a code is fitted on validation documents, and measured on test ones, over
the trained codes and all open ones whose truth is known: those of `open.codes` and those that `data.withheld` keeps
from training (METHOD.md, section 15).
"""

import logging

import pandas as pd

from stages.common import io, params, paths
from stages.common.runner import run
from stages.evaluation.calibration import RELIABILITY

log = logging.getLogger("stages.score_open")


def main() -> None:
    settings, labels = params.load(), io.read_json(paths.OPEN_LABELS)
    if settings.open.codes is not None or labels["withheld"]:
        from stages.open_codes.fitting import score  # loads transformers, which takes seconds

        score(settings, labels)
        return
    with io.whole_directory(paths.OPEN) as folder:
        io.write_json(folder / "mix.json", {})
    io.write_json(paths.OPEN_CODES, {"test": {}})
    io.write_csv(paths.OPEN_RELIABILITY, pd.DataFrame(columns=[*RELIABILITY, "kind"]))
    log.info("open.codes is null and no code is withheld: nothing to score")


if __name__ == "__main__":
    run(main)
