"""The number of threads that libraries compute with: always the one that is asked for, whatever cores are visible.

The last bit of a matrix product can depend on it, so every stage that computes sets it before it begins.
"""

import os
import sys

from threadpoolctl import threadpool_limits


def limit(n_threads: int) -> None:
    """Let numpy's, scipy's and torch's routines use `n_threads` threads from now on, as far as they are loaded."""
    os.environ["MKL_DYNAMIC"] = os.environ["OMP_DYNAMIC"] = "FALSE"
    threadpool_limits(n_threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(n_threads)
