import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import errno
from stages.project.errors import InputError
from stages.project.stage import run

def main():
    {body}

run(main)
"""


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("pass", 0, ""),
        ("raise InputError('notes.csv: column TEXT is missing')", 1, "failing: notes.csv: column TEXT is missing\n"),
        (
            "raise OSError(errno.ENOSPC, 'full', 'out')",
            1,
            "failing: no space left on the disk (out); free some and rerun\n",
        ),
        ("raise MemoryError", 1, "failing: out of memory\n"),
        ("raise KeyboardInterrupt", 1, "failing: interrupted\n"),
    ],
)
def test_exit_status_and_message(tmp_path: Path, body: str, status: int, message: str):
    (tmp_path / "failing.py").write_text(SCRIPT.format(body=body))
    command = [sys.executable, "-m", "failing"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(Path.cwd())}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, message)
