"""The pipeline's stages and the packages they use."""

import os

from stages.common import paths
from stages.common.threads import choose_kernels

# OpenMP threads should not spin while waiting: on a shared machine the thread they wait for may not be running. Must be
# set before torch loads OpenMP; benchmarks/RESULTS.md has the effect.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Large tensors use huge pages where the system grants them on request (Linux), so that fresh memory is cheap; otherwise
# threads get it 4 KB at a time.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

choose_kernels(paths.PARAMS)
