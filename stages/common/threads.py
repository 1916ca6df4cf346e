"""The threads and kernels that libraries compute with: those requested, whatever the machine offers.

The last bit of a matrix product can depend on both. Kernels are chosen before a library loads; threads are set by
each computing stage before it starts.
"""

import os
import sys
from pathlib import Path
from typing import Any

import yaml
from threadpoolctl import threadpool_limits

# Kernels that every x86-64 processor with AVX2 has: oneMKL's only setting that also holds on non-Intel processors,
# torch's own loops, oneDNN's, OpenBLAS's and numpy's. With it, oneMKL's square root starts from an approximation that
# Intel and AMD round differently, so no stage may use it: torch.optim's fused AdamW has torch's own.
PORTABLE = {
    "MKL_CBWR": "COMPATIBLE",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


def choose_kernels(params: Path) -> None:
    """Restrict libraries that load from now on to `PORTABLE` if the file `params` sets compute.portable: true."""
    try:
        compute = yaml.safe_load(params.read_text(encoding="utf-8"))["compute"]
        if compute["portable"]:
            os.environ.update(PORTABLE)
    except (OSError, ValueError, yaml.YAMLError, LookupError, TypeError, RecursionError):
        return  # unreadable parameters: whoever loads them reports it


def are_portable() -> bool:
    return all(os.environ.get(name) == value for name, value in PORTABLE.items())


def limit(n_threads: int) -> None:
    """Let those of numpy, scipy and torch that are loaded use `n_threads` threads from now on."""
    os.environ["MKL_DYNAMIC"] = os.environ["OMP_DYNAMIC"] = "FALSE"
    threadpool_limits(n_threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
        call_vector_functions(torch)
        torch.set_num_threads(n_threads)


def call_vector_functions(torch: Any) -> None:
    """Call each vector function of oneMKL once, from one thread.

    The first call picks the function's variant for the processor, and two threads that race for it may silently get
    a wrong one (oneMKL 2024.2: 11 of 240 processes).
    """
    for function in (torch.tanh, torch.exp, torch.erf, torch.log, torch.log1p, torch.expm1, torch.sin, torch.cos):
        for kind in (torch.float32, torch.float64):
            function(torch.ones(16, dtype=kind))
