"""The curves of a training while it runs: untracked, and part of no result.

`dvc plots show dvclive/train_classifier/plots/metrics/*` shows them.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from dvclive import Live
from scmrepo.exceptions import SCMError

log = logging.getLogger(__name__)

FOLDER = Path("dvclive")


def curves(stage: str) -> Callable[[Mapping[str, float]], None]:
    """Begin the curves of `stage` anew; what is returned adds the metrics of an epoch."""
    try:
        live = Live(dir=str(FOLDER / stage), dvcyaml=None, save_dvc_exp=False)
    except SCMError:
        log.info("no live curves: the git repository has no commit yet")
        return lambda row: None

    def add(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name != "epoch":
                live.log_metric(name, value)
        live.next_step()

    return add
