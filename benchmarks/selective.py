"""Does better calibration buy more accepted codes at the same promise? `python -m benchmarks.selective FOLDER ...`

Each FOLDER is a clone after `dvc repro`. Validation and test documents are divided again by patient, DIVISIONS times;
thresholds are chosen on the one side at a promised precision (PRECISION in the environment, else 0.95) and measured on
the other, for the probabilities as they are, and for Platt's map fitted on the documents that thresholds are chosen on,
or on another half of them. A shared temperature keeps the order of all decisions, so it accepts the same codes. Last,
the same with the logits of every other document moved: what the promise is then worth, and how often the warning of
drift speaks.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.counting import divided, move, warnings_of
from stages.common import io, params, paths
from stages.common.runner import progress_bar
from stages.evaluate import load_part
from stages.evaluation import calibration, selective, tuning
from stages.evaluation.scored import Predictions, Resampling
from stages.modeling.predictions import predictions_folder

DIVISIONS = 500


def platt(part: Predictions, fitted_on: Predictions) -> Predictions:
    """A part after Platt's map."""
    slopes, intercepts = tuning.fit_platt(fitted_on.targets, fitted_on.logits)
    return part.recalibrate(lambda logits: logits * slopes + intercepts)


def variants(one: Predictions, two: Predictions, seed: int) -> Iterator[tuple[str, Predictions, Predictions]]:
    """What thresholds are chosen on, and what they are measured on, by name."""
    first, second = divided(one, Predictions(one.targets[:0], one.logits[:0], one.patients[:0]), seed, 0.5)
    yield "as it is", one, two
    yield "as it is, chosen on half", second, two
    yield "Platt, fitted on the same", platt(one, one), platt(two, one)
    yield "Platt, fitted on the other half", platt(second, first), platt(two, first)
    yield "as it is, half of the logits moved", one, move(two)


def measure(precision: float, bins: int, n_divisions: int) -> None:
    """Print the rows of the workspace's model."""
    n_codes = len(io.read_json(paths.LABEL_CODES))
    val, test = (load_part(part, predictions_folder(), n_codes) for part in ("val", "test"))
    result: dict[str, list[tuple[float, float, float]]] = {}
    warned = 0
    for seed in progress_bar(range(n_divisions), desc="divisions"):
        one, two = divided(val, test, seed, len(val.patients) / (len(val.patients) + len(test.patients)))
        for name, chosen_on, measured in variants(one, two, seed):
            thresholds = selective.choose(chosen_on, precision, 0.95)
            figures = selective.figures(measured, thresholds, Resampling(measured.patients, 0, 0))
            mece = calibration.mece(measured.targets, measured.probabilities, bins)
            result.setdefault(name, []).append((mece, figures["accepted"], figures["precision"]))
        warned += bool(warnings_of(one, move(two), seed)[0])
    for name, rows in result.items():
        mece, accepted, kept = np.array(rows).T
        promised = accepted > 0
        broken = f"{100 * (kept[promised] < precision).mean():.1f}" if promised.any() else ""
        worth = f"{kept[promised].mean():.3f}" if promised.any() else ""
        cells = (
            f"{100 * mece.mean():.2f}",
            f"{100 * promised.mean():.0f}",
            f"{100 * accepted.mean():.1f}",
            worth,
            broken,
        )
        print(f"| {Path.cwd().name} | {name} | {' | '.join(cells)} |", flush=True)
    print(f"{Path.cwd().name}: drift warned in {100 * warned / n_divisions:.1f} %", file=sys.stderr)


def main() -> None:
    precision = float(os.environ.get("PRECISION", "0.95"))
    settings, folders = params.load(), [Path(folder).resolve() for folder in sys.argv[1:] or ["."]]
    print("| model | probabilities | MECE % | promised in % | accepted % | precision | broken in % |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for folder in folders:
        os.chdir(folder)
        measure(precision, settings.evaluate.bins, int(os.environ.get("DIVISIONS", DIVISIONS)))


if __name__ == "__main__":
    main()
