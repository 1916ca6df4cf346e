"""Score open codes, which training has not seen, by their phrases, and measure how well that works.

Without any (`open.codes` is null and `data.withheld` 0) there is nothing to do, and the outputs say so.
"""

import logging

import pandas as pd

from stages.common import io, params, paths
from stages.common.runner import run
from stages.evaluation.calibration import RELIABILITY

log = logging.getLogger("stages.score_open")


def main() -> None:
    settings = params.load()
    labels = io.read_json(paths.OPEN_LABELS)
    if settings.open.codes is None and not labels["withheld"]:
        with io.whole_directory(paths.OPEN) as folder:
            io.write_json(folder / paths.MIX, {})
        io.write_json(paths.OPEN_CODES, {"test": {}})
        io.write_csv(paths.OPEN_RELIABILITY, pd.DataFrame(columns=[*RELIABILITY, "kind"]))
        log.info("open.codes is null and no code is withheld: nothing to score")
        return
    # Loading torch and transformers takes seconds, which a run without open codes need not wait for.
    from stages.modeling import devices
    from stages.open_codes.measurement import fit_and_measure

    accelerator = devices.start(settings.compute, "float32")
    fitted, measured, reliability = fit_and_measure(settings.open.codes, labels, settings.evaluate, accelerator.device)
    with io.whole_directory(paths.OPEN) as folder:
        fitted.write(folder)
    io.write_json(paths.OPEN_CODES, {"test": measured})
    io.write_csv(paths.OPEN_RELIABILITY, reliability)
    log.info("test: MAP %.3f, F1 %.3f over all gold codes, by all codes", measured["mix"]["map"], measured["mix"]["f1"])
    devices.finish(accelerator)


if __name__ == "__main__":
    run(main)
