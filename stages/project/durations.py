"""What a stage is about to do, and how long stages took the last time here: for the user, not for DVC."""

import contextlib
import os
import re
from pathlib import Path

from stages.project.files import whole_file

SECONDS = Path(".dvc/tmp/stage_seconds")
PIPELINES = (Path("dvc.yaml"), Path("data/demo/dvc.yaml"))
WHERE_TO_LOOK = "all figures are in metrics/; `python -m stages.report` makes tables and plots of them"
SHORT = 3  # seconds that nobody needs to be told of


def announcement(stage: str) -> str | None:
    """What `stage` does, as dvc.yaml describes it, and how long that took the last time; None if neither is known."""
    seconds, what = known_seconds().get(stage, 0), description(stage)
    took = f"({in_words(seconds)} the last time)" if seconds >= SHORT else ""
    said = " ".join(filter(None, [what, took]))
    return f"{stage}: {said}" if said else None


def all_stages() -> str:
    """How long all stages together took the last time, in words; what to expect where nothing has run here yet."""
    known = known_seconds()
    if "evaluate" not in known:
        return "each long stage says after ten seconds how long it will take"
    return f"all stages took {in_words(sum(known.values()))} the last time; what has not changed does not run again"


def description(stage: str) -> str:
    """The `desc` of a stage; nothing where none can be read."""
    for path in PIPELINES:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if found := re.search(rf"^  {stage}:\n    desc: (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
                return found[1]
    return ""


def in_words(seconds: float) -> str:
    """A duration as one says it: seconds up to two minutes, minutes up to two hours."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def remember(stage: str, seconds: float) -> None:
    """Keep how long a stage took, where no output and no commit has it."""
    if SECONDS.parent.is_dir():
        known = known_seconds() | {stage: seconds}
        kept = "".join(f"{name} {value:.1f}\n" for name, value in sorted(known.items()))
        with contextlib.suppress(OSError), whole_file(SECONDS) as partial:
            partial.write_text(kept, encoding="utf-8")


def known_seconds() -> dict[str, float]:
    """How long each stage took the last time here."""
    try:
        pairs = (line.split() for line in SECONDS.read_text(encoding="utf-8").splitlines())
        return {stage: float(value) for stage, value in pairs}
    except (OSError, ValueError):
        return {}


def under_dvc() -> bool:
    """Whether DVC started this process."""
    return "DVC_STAGE" in os.environ
