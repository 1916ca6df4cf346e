import errno
import subprocess
import sys
from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.common.runner import explain

REST = "mend that and rerun"
SCRIPT = """
from stages.common.io import InputError
from stages.common.runner import run

def main():
    {body}

run(main, memory="model.size")
"""


def run_script(folder: Path, body: str, **environment: str) -> subprocess.CompletedProcess:
    """A script in a process of its own."""
    (folder / "failing.py").write_text(SCRIPT.format(body=body))
    environment = {"PYTHONPATH": str(Path.cwd())} | environment
    command = [sys.executable, "-m", "failing"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("raise InputError('notes.csv: column TEXT is missing')", 1, "failing: notes.csv: column TEXT is missing\n"),
        ("raise KeyboardInterrupt", 1, "failing: interrupted\n"),
    ],
)
def test_exit_status_and_message(tmp_path: Path, body: str, status: int, message: str):
    done = run_script(tmp_path, body)
    assert (done.returncode, done.stderr) == (status, message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("notes.csv: column TEXT is missing"), "notes.csv: column TEXT is missing"),
        (OSError(errno.ENOSPC, "full", "out"), f"no space left on the disk (out); {REST}"),
        (OSError(errno.EFBIG, "large", "out"), f"a file would be larger than allowed here (`ulimit -f`) (out); {REST}"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), f"no space left on the disk; {REST}"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory; lower model.size"),
        (MemoryError(), "out of memory; lower model.size"),
        (IsADirectoryError(errno.EISDIR, "is one", "/"), "/: Is a directory"),
        (RuntimeError("can't start new thread"), "no more threads can be started here; lower compute.threads"),
    ],
)
def test_what_the_user_can_mend_is_one_line(error: Exception, message: str):
    assert explain(error, "model.size") == message


def test_under_dvc_a_second_line_says_how_to_get_the_outputs_back(tmp_path: Path):
    done = run_script(tmp_path, "raise InputError('wrong')", DVC_STAGE="failing")
    first, second = done.stderr.splitlines()
    assert (done.returncode, first) == (1, "failing: wrong")
    assert "dvc checkout --allow-missing" in second


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path: Path):
    assert explain(ZeroDivisionError("division by zero")) is None
    assert "ZeroDivisionError" in run_script(tmp_path, "1 / 0").stderr
