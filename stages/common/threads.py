"""The number of threads that libraries compute with: always the one that is asked for, whatever cores are visible.

The last bit of a matrix product can depend on it, so every stage that computes sets it before it begins.
"""

import os
import sys
from typing import Any

from threadpoolctl import threadpool_limits


def limit(n_threads: int) -> None:
    """Let numpy's, scipy's and torch's routines use `n_threads` threads from now on, as far as they are loaded."""
    os.environ["MKL_DYNAMIC"] = os.environ["OMP_DYNAMIC"] = "FALSE"
    threadpool_limits(n_threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
        call_vector_functions(torch)
        torch.set_num_threads(n_threads)


def call_vector_functions(torch: Any) -> None:
    """Call each vector function of oneMKL once, from one thread.

    The first call chooses the function's form for the processor, and two threads at once may get a wrong one, silently
    (oneMKL 2024.2: 11 of 240 processes).
    """
    for function in (torch.tanh, torch.exp, torch.erf, torch.log, torch.log1p, torch.expm1, torch.sin, torch.cos):
        for kind in (torch.float32, torch.float64):
            function(torch.ones(16, dtype=kind))
