"""How a script runs: processes, logging, progress bars, and one-line messages for errors the user can fix."""

import errno
import gc
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any, NoReturn

from tqdm import tqdm

from stages.common import params
from stages.common.io import InputError

log = logging.getLogger(__name__)

DISK_FULL = {
    errno.ENOSPC: "no space left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file would be larger than allowed here (`ulimit -f`)",
}
# Messages of libraries that have no exception class: safetensors on a full disk, torch out of memory.
DISK_MESSAGES = {
    "(os error 28)": errno.ENOSPC,
    "No space left": errno.ENOSPC,
    " requested and ": errno.ENOSPC,  # numpy, after a short write
    "(os error 122)": errno.EDQUOT,
    "(os error 27)": errno.EFBIG,
    "File too large": errno.EFBIG,
}
MEMORY_MESSAGES = ("can't allocate memory", "not enough memory", "Unable to allocate", "bad_alloc", "bad allocation")
THREAD_MESSAGES = ("can't start new thread", "Resource temporarily unavailable")

NOTHING_LOST = "check_params"  # it has no outputs to bring back
EARLIER_OUTPUTS = (
    "DVC took the earlier outputs of this stage away when it started it; `dvc checkout --allow-missing` and "
    "`git checkout metrics` bring them back"
)
LAUNCHED = "ICD_CODING_LAUNCHED"  # set in processes started by compute.launch
LAUNCHER_VARIABLES = (
    "RANK",
    "LOCAL_RANK",
    "GROUP_RANK",
    "WORLD_SIZE",
    "LOCAL_WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
)


def is_first_process() -> bool:
    """Whether this is the only process of a stage or the first of those started by torchrun or accelerate."""
    return os.environ.get("RANK", "0") == "0"


def start_logging() -> None:
    """Log to standard error, one short line per record; only the first process logs progress."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    for package in ("stages", "tools"):
        logging.getLogger(package).setLevel(logging.INFO if is_first_process() else logging.WARNING)
    logging.captureWarnings(True)
    for stream in (sys.__stdout__, sys.__stderr__):  # not a library's wrapper around them
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # the terminal may not be UTF-8


def progress_bar(iterable: Any = None, *, silent: bool = False, **named: Any) -> tqdm:
    """A tqdm bar, drawn only on a terminal, and not at all if `silent`."""
    return tqdm(iterable, disable=True if silent else None, mininterval=1, **named)


def run(main: Callable[[], None], memory: str = "", launch: bool = False) -> NoReturn:
    """Run a script's `main` and exit with 0, or with 1 and a one-line message for an error the user can fix.

    `memory` names the parameters to lower when memory runs out. `launch`: run in the processes that `compute.launch`
    asks for. Under DVC, a second line says how to restore the outputs that DVC removed.
    """
    spec = sys.modules["__main__"].__spec__
    name = spec.name.rpartition(".")[2] if spec else "stages"
    try:
        if not is_launched(launch):
            start_processes(params.load().compute.launch if launch else "python")
        start_logging()
        gc.freeze()  # nothing imported is garbage: looking for it takes a second at the end of each stage with torch
        main()
    except KeyboardInterrupt:
        fail(f"{name}: interrupted")
    except Exception as error:
        message = explain(error, memory)
        if message is None:
            raise
        fail(f"{name}: {message}")
    sys.exit(0)


def is_launched(launch: bool) -> bool:
    """Whether a launcher started this process: through `start_processes`, or torchrun called by hand.

    Under DVC only `compute.launch` decides, because clusters leave other launchers' variables in the environment.
    """
    by_hand = launch and "RANK" in os.environ and "DVC_STAGE" not in os.environ
    return os.environ.pop(LAUNCHED, None) is not None or by_hand


def start_processes(launch: str) -> None:
    """Replace this process by a launcher; with `python`, keep it and clear what earlier launchers left behind."""
    for variable in LAUNCHER_VARIABLES:
        os.environ.pop(variable, None)
    program, *arguments = shlex.split(launch)
    if program == "python":
        return
    if (path := shutil.which(program)) is None:
        raise InputError(f"compute.launch: {program} is not installed here; use python, or install it")
    spec = sys.modules["__main__"].__spec__
    assert spec is not None, "scripts are run as modules"
    os.environ[LAUNCHED] = "1"
    os.execv(path, [path, *arguments, "-m", spec.name])


def fail(message: str) -> NoReturn:
    """Print a message (under DVC also how to restore earlier outputs) and exit with status 1."""
    stage = os.environ.get("DVC_STAGE", NOTHING_LOST)
    sys.exit(message if stage == NOTHING_LOST else f"{message}\n{EARLIER_OUTPUTS}")


def explain(error: Exception, memory: str = "") -> str | None:
    """The message for an error the user can fix; None for a bug, which needs its traceback."""
    if isinstance(error, InputError):
        return str(error)
    message = str(error)
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return f"{DISK_FULL[error.errno]} ({error.filename or 'an output'}); mend that and rerun"
    if isinstance(error, PermissionError | IsADirectoryError | NotADirectoryError) and error.filename:
        return f"{error.filename}: {os.strerror(error.errno or 0)}"
    for sign, number in DISK_MESSAGES.items():
        if sign in message:
            return f"{DISK_FULL[number]}; mend that and rerun"
    if isinstance(error, MemoryError) or any(sign in message for sign in MEMORY_MESSAGES):
        return "out of memory" + (f"; lower {memory}" if memory else "")
    if any(sign in message for sign in THREAD_MESSAGES):
        return "no more threads can be started here; lower compute.threads"
    return None
