"""The TF-IDF and lookup yardsticks of the corpus that params.yaml names, beside the last run's classifier.

    python -m benchmarks.tfidf

It needs data/splits, data/labels and data/synonyms, which `dvc repro labelize` makes.
"""

import time

from stages import baselines
from stages.common import io, paths


def main() -> None:
    start = time.perf_counter()
    baselines.main()
    rows = io.read_json(paths.BASELINES)["test"]
    if paths.CLASSIFICATION.exists():
        rows["classifier"] = io.read_json(paths.CLASSIFICATION)["test"]
    shown = ("f1_micro", "f1_macro")
    print(f"{'test':<14}" + "".join(f"{name:>18}" for name in shown))
    for name, metrics in rows.items():
        print(f"{name:<14}" + "".join(f"{metrics[key]:18.3f}" for key in shown))
    print(f"yardsticks: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
