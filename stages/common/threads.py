"""The threads and the kernels that libraries compute with: those that are asked for, whatever the machine has.

The last bit of a matrix product can depend on both. Kernels are chosen before a library loads, threads by every stage
that computes, before it begins.
"""

import os
import sys
from pathlib import Path
from typing import Any

import yaml
from threadpoolctl import threadpool_limits

# The kernels that every x86-64 processor with AVX2 has, and that each library takes when it is told so: oneMKL's only
# setting that also holds on other makes than Intel's; torch's own loops and oneDNN's; OpenBLAS's; numpy's loops.
# Under it oneMKL's square root begins with an approximation that each make rounds differently, so no stage takes it:
# torch.optim's fused AdamW has torch's own.
PORTABLE = {
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def choose_kernels(params: Path) -> None:
    """Hold all libraries that load from now on to `PORTABLE` where the file `params` has compute.portable: true."""
    try:
        compute = yaml.safe_load(params.read_text(encoding="utf-8"))["compute"]
        if compute["portable"]:
            os.environ.update(PORTABLE)
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, RecursionError):
        return  # a file that cannot be read as parameters: what reads them says what is wrong


def are_portable() -> bool:
    """Whether the portable kernels are in use."""
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


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
