import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import errno
from stages.common.io import InputError
from stages.common.runner import run

def main():
    {body}

run(main, memory="model.size")
"""


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("pass", 0, ""),
        ("raise InputError('notes.csv: column TEXT is missing')", 1, "failing: notes.csv: column TEXT is missing\n"),
        (
            "raise OSError(errno.ENOSPC, 'full', 'out')",
            1,
            "failing: no space left on the disk (out); mend that and rerun\n",
        ),
        ("raise MemoryError", 1, "failing: out of memory; lower model.size\n"),
        ("raise KeyboardInterrupt", 1, "failing: interrupted\n"),
        (
            "raise RuntimeError('Error: I/O error: No space left on device (os error 28)')",
            1,
            "failing: no space left on the disk; mend that and rerun\n",
        ),
        (
            "raise OSError(errno.EFBIG, 'large', 'out')",
            1,
            "failing: a file would be larger than is allowed here (`ulimit -f`) (out); mend that and rerun\n",
        ),
        (
            "raise RuntimeError('[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can\\'t allocate memory')",
            1,
            "failing: out of memory; lower model.size\n",
        ),
        ("open('/')", 1, "failing: /: Is a directory\n"),
    ],
)
def test_exit_status_and_message(tmp_path: Path, body: str, status: int, message: str):
    (tmp_path / "failing.py").write_text(SCRIPT.format(body=body))
    command = [sys.executable, "-m", "failing"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, message)


def test_under_dvc_a_second_line_says_how_to_get_the_outputs_back(tmp_path: Path):
    (tmp_path / "failing.py").write_text(SCRIPT.format(body="raise InputError('wrong')"))
    environment = {"PYTHONPATH": str(Path.cwd()), "DVC_STAGE": "failing"}
    command = [sys.executable, "-m", "failing"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    first, second = done.stderr.splitlines()
    assert (done.returncode, first) == (1, "failing: wrong")
    assert "dvc checkout --allow-missing" in second


def test_a_fault_of_the_program_keeps_its_traceback(tmp_path: Path):
    (tmp_path / "failing.py").write_text(SCRIPT.format(body="1 / 0"))
    command = [sys.executable, "-m", "failing"]
    environment = {"PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "ZeroDivisionError" in done.stderr
