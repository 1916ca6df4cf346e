"""How a script runs: logging to the terminal, and one line for what the user can mend."""

import errno
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from stages.project import durations
from stages.project.errors import InputError

log = logging.getLogger(__name__)

DISK_FULL = {errno.ENOSPC: "no space left on the disk", errno.EDQUOT: "the disk quota is used up"}
FILE_TOO_LARGE = "a file would be larger than is allowed here (`ulimit -f`)"
# What libraries say that have no exception class for it: safetensors of a full disk, torch of too little memory.
DISK_MESSAGES = {
    "(os error 28)": DISK_FULL[errno.ENOSPC],
    "No space left": DISK_FULL[errno.ENOSPC],
    "(os error 122)": DISK_FULL[errno.EDQUOT],
    "(os error 27)": FILE_TOO_LARGE,
    "File too large": FILE_TOO_LARGE,
}
MEMORY_MESSAGES = ("can't allocate memory", "not enough memory", "Unable to allocate", "bad_alloc", "bad allocation")
THREAD_MESSAGES = ("can't start new thread", "Resource temporarily unavailable")

NOTHING_LOST = "check_params"  # it has no outputs to bring back
EARLIER_OUTPUTS = (
    "DVC took the earlier outputs of this stage away when it started it; `dvc checkout --allow-missing` and "
    "`git checkout metrics` bring them back"
)


def first_process() -> bool:
    """Whether this is the only process of a stage, or the first of those that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def start_logging() -> None:
    """Send the project's log to standard error, a short line per record; of several processes the first speaks."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("stages").setLevel(logging.INFO if first_process() else logging.WARNING)
    logging.captureWarnings(True)


def run(main: Callable[[], None], memory: str = "") -> NoReturn:
    """Run a script's `main` and exit: 0 when it ends well, 1 with a one-line message for what the user can mend.

    `memory` names the parameters to lower where memory does not suffice. Where DVC runs the script, a second line says
    how to get back what it took away.
    """
    start_logging()
    spec = sys.modules["__main__"].__spec__
    name = spec.name.removeprefix("stages.") if spec else "stages"
    announced = durations.under_dvc() and first_process()
    if announced and (said := durations.announcement(name)):
        log.info("%s", said)
    began = time.monotonic()
    try:
        main()
    except KeyboardInterrupt:
        fail(f"{name}: interrupted")
    except Exception as error:
        message = explained(error, memory)
        if message is None:
            raise
        fail(f"{name}: {message}")
    if announced:
        durations.remember(name, time.monotonic() - began)
    sys.exit(0)


def fail(message: str) -> NoReturn:
    """Print a message, and under DVC how to get the earlier outputs back, and exit with status 1."""
    stage = os.environ.get("DVC_STAGE", NOTHING_LOST)
    sys.exit(message if stage == NOTHING_LOST else f"{message}\n{EARLIER_OUTPUTS}")


def explained(error: Exception, memory: str = "") -> str | None:
    """What to tell the user of an error; None where it is a fault of the program, whose traceback is wanted."""
    if isinstance(error, InputError):
        return str(error)
    said = str(error)
    if isinstance(error, OSError) and error.errno in {*DISK_FULL, errno.EFBIG}:
        wrong = DISK_FULL.get(error.errno, FILE_TOO_LARGE)
        return f"{wrong} ({error.filename or 'an output'}); mend that and rerun"
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) and error.filename:
        return f"{error.filename}: {os.strerror(error.errno or 0)}"
    for sign, wrong in DISK_MESSAGES.items():
        if sign in said:
            return f"{wrong}; mend that and rerun"
    if isinstance(error, MemoryError) or any(sign in said for sign in MEMORY_MESSAGES):
        return "out of memory" + (f"; lower {memory}" if memory else "")
    if any(sign in said for sign in THREAD_MESSAGES):
        return "no more threads can be started here; lower compute.threads"
    return None
