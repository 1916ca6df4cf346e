"""How a stage script runs: logging to the terminal, and one line for what the user can mend."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from stages.project.errors import InputError


def first_process() -> bool:
    """Whether this is the only process of a stage, or the first of those that torchrun or accelerate started."""
    return os.environ.get("RANK", "0") == "0"


def start_logging() -> None:
    """Send the log of the project to standard error, one short line a record; of several processes the first speaks."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("stages").setLevel(logging.INFO if first_process() else logging.WARNING)
    logging.captureWarnings(True)


def run(main: Callable[[], None]) -> NoReturn:
    """Run a stage's `main` and exit: 0 when it ends well, 1 with a one-line message when the input is at fault."""
    start_logging()
    name = sys.modules["__main__"].__spec__.name.removeprefix("stages.")
    try:
        main()
    except InputError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit(f"{name}: no space left on the disk ({error.filename or 'an output'}); free some and rerun")
    except MemoryError:
        sys.exit(f"{name}: out of memory")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted")
    sys.exit(0)
