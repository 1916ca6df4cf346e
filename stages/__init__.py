"""The stages of the pipeline, and the packages that they are made of."""

import os

from stages.common import paths
from stages.common.threads import choose_kernels

# An OpenMP thread that waits for another does not spin: on a machine that others use as well, the one waited for may
# not be running. Set before torch loads OpenMP; benchmarks/RESULTS.md has what it brings.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Large tensors get large pages of memory where the system gives them on request (Linux): a thread's fresh memory, which
# it would otherwise be given 4 KB at a time, then costs little.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

choose_kernels(paths.PARAMS)
