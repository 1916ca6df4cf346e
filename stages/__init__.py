"""The stages of the pipeline, and the packages that they are made of."""

import os

# An OpenMP thread that waits for another does not spin: on a machine that others use as well, the one waited for may
# not be running. Set before torch loads OpenMP; benchmarks/RESULTS.md has what it brings.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
