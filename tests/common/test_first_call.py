"""The first call of a vector function by two threads at once gives what any later call gives."""

import subprocess
import sys

import pytest

CODE = """
import hashlib, torch
from stages.common import threads
threads.limit(2)
values = torch.randn(400_000, generator=torch.Generator().manual_seed(0))
functions = (torch.tanh, torch.exp, torch.erf, torch.log1p)
first, again = ([hashlib.md5(f(values).numpy().tobytes()).digest() for f in functions] for _ in range(2))
assert first == again
"""


@pytest.mark.slow
def test_processes_side_by_side_compute_the_same_at_their_first_call():
    for _ in range(10):
        processes = [subprocess.Popen([sys.executable, "-c", CODE]) for _ in range(4)]
        assert [process.wait() for process in processes] == [0] * 4
