"""The curves of a training while it runs: untracked, and part of no result.

`dvc plots show dvclive/train_classifier/plots/metrics/*` shows them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from dvclive import Live

FOLDER = Path("dvclive")


def curves(stage: str) -> Callable[[Mapping[str, float]], None]:
    """Begin the curves of `stage` anew; what is returned adds the metrics of an epoch."""
    live = Live(dir=str(FOLDER / stage), dvcyaml=None, save_dvc_exp=False)

    def add(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                live.log_metric(name, value)
        live.next_step()

    return add
