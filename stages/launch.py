"""Start a stage in the processes that `compute.launch` asks for: `python -m stages.launch train_classifier`.

dvc.yaml starts training and prediction through here, so that another number of processes alone reruns nothing.
"""

import os
import shlex
import shutil
import sys

from stages.project import params
from stages.project.errors import InputError
from stages.project.stage import run


def command(launch: str, stage: str) -> list[str]:
    """What to execute. Raises InputError where the launcher is not installed."""
    program, *arguments = shlex.split(launch)
    if program == "python":
        return [sys.executable, *arguments, "-m", f"stages.{stage}"]
    if (found := shutil.which(program)) is None:
        raise InputError(f"compute.launch: {program} is not installed here; use python, or install it")
    return [found, *arguments, "-m", f"stages.{stage}"]


def main() -> None:
    words = command(params.load().compute.launch, sys.argv[1])
    os.execv(words[0], words)


if __name__ == "__main__":
    run(main)
