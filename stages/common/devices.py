"""Device, precision, threads and processes, through accelerate."""

import logging
import resource

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from stages.common import threads
from stages.common.io import InputError
from stages.common.params import Compute

log = logging.getLogger(__name__)


def start(compute: Compute, precision: str | None = None, n_threads: int | None = None) -> Accelerator:
    """Set up the accelerator for `compute`, with `precision` and `n_threads` overriding its values if given.

    device auto is CUDA if available; precision auto is bf16 autocast (weights stay float32) if the GPU supports it.
    fp16 is for GPUs without bf16; accelerate then scales the loss. Under torchrun or `accelerate launch` each process
    gets its own device. Raises InputError for an unavailable device.
    """
    precision, n_threads = precision or compute.precision, n_threads or compute.threads
    threads.limit(n_threads)
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise InputError("compute.device: cuda, but no CUDA device is found; use auto or cpu")
    on_cuda = compute.device != "cpu" and torch.cuda.is_available()
    if precision == "auto":
        precision = "bf16" if on_cuda and torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if precision == "fp16" and not on_cuda:
        raise InputError("compute.precision: fp16 needs a CUDA device; take auto, float32 or bf16")
    # Under half precision, float32 parts (MSAM's scores) may use a GPU's TF32, which has three bits more than bf16.
    torch.set_float32_matmul_precision("highest" if precision == "float32" else "high")
    accelerator = Accelerator(
        cpu=not on_cuda,
        mixed_precision="no" if precision == "float32" else precision,
        kwargs_handlers=[
            # A process without a document in a step skips CLQ's quantifier, so its weights get no gradient there.
            # CLQ's sums belong to each process, so buffers are not shared.
            DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
        ],
    )
    threads.limit(n_threads)  # again, because accelerate sets the threads itself for several CPU processes
    log.info(", ".join(f"{name} {value}" for name, value in describe(accelerator).items()))
    return accelerator


def finish(accelerator: Accelerator) -> None:
    """Log this process's peak memory, and wait for all processes.

    Without this barrier torchrun may kill the first process while it is still writing.
    """
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if accelerator.device.type == "cuda":
        reserved = torch.cuda.max_memory_reserved(accelerator.device) / 2**30
        log.info("peak memory: %.1f GiB, of the GPU %.1f GiB", resident, reserved)
    else:
        log.info("peak memory: %.1f GiB", resident)
    accelerator.wait_for_everyone()
    accelerator.end_training()


def describe(accelerator: Accelerator) -> dict[str, str | int]:
    """The device, software, processes and threads that a result depends on."""
    return {
        "device": accelerator.device.type,
        "precision": "float32" if accelerator.mixed_precision == "no" else accelerator.mixed_precision,
        "processes": accelerator.num_processes,
        "threads": torch.get_num_threads(),
        "kernels": "portable" if threads.are_portable() else "the processor's",
        "torch": torch.__version__,
    }
