"""What a training step and a prediction pass cost at the least, traced on tensors without content: no GPU is needed.

    python -m benchmarks.plan                              # GatorTron at 50 and 3,681 codes, H100: 5 minutes
    python -m benchmarks.plan --device h200 --types LE_MSAM --codes 6000 --chunk-budget 48
    python -m benchmarks.plan --check                      # the demo's size, beside a real step on this CPU

The code that is traced is this project's own, in bfloat16 under autocast as on a GPU. Every operation takes at least as
long as its multiplications and additions at the device's measured rate of matrix products (of float32 ones, as TF32,
half of that), or as its operands and results at the device's measured rate of memory, whichever is longer; the floor of
a step is the sum of these. "peak" is what the tensors of a step hold at most, weights, gradients and the optimiser's
state included, without what an allocator wastes. With a CUDA build of torch the traced device is CUDA, so that a tensor
that was left on the CPU is an error; with a CPU build it is the CPU, whose attention counts as one operation too.
"""

import argparse
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

from benchmarks import measuring
from stages.modeling import msam
from stages.modeling.batching import Batch, epoch_steps
from stages.modeling.inference import PREDICTION_BUDGET

GIB = 2**30


class Ceilings(NamedTuple):
    """A device's measured rates: operations per second of bfloat16 matrix products, bytes per second of memory."""

    operations: float
    memory: float


DEVICES = {"h100": Ceilings(798e12, 3.0e12), "h200": Ceilings(788e12, 4.3e12)}
PICKING = (torch.ops.aten.index, torch.ops.aten.gather, torch.ops.aten.embedding)
ATTENTION_ON_CPU = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
ATTENTION_ON_CPU_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass
class Costs(TorchDispatchMode):
    """Counts what is dispatched while it is entered: operations by kind, bytes, and the seconds of the floor."""

    ceilings: Ceilings
    operations: Counter = field(default_factory=Counter)
    n_bytes: int = 0
    seconds: float = 0.0
    n_dispatched: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        if func.is_view or func.overloadpacket is torch.ops.aten._unsafe_view or not is_tensor_in(out):
            return out
        n_bytes = bytes_of(func.overloadpacket, args, tensors, out)
        n_operations = operations_of(func.overloadpacket, args, kwargs or {}, out)
        halved = any(tensor.dtype == torch.float32 for tensor in tensors)
        self.operations["attention" if "attention" in str(func) else "matrix products"] += n_operations
        self.n_bytes += n_bytes
        self.n_dispatched += 1
        rate = self.ceilings.operations / (2 if halved else 1)
        self.seconds += max(n_operations / rate, n_bytes / self.ceilings.memory)
        return out


def is_tensor_in(out: Any) -> bool:
    """Whether a tensor is among the results of an operation, which else only asks for something."""
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(out))


def bytes_of(packet: Any, args: tuple, tensors: list[Tensor], out: Any) -> int:
    """What an operation reads and writes: its operands and results; of those that it picks from, what it picks."""
    if packet in PICKING:
        return 2 * out.numel() * out.element_size()
    if packet is torch.ops.aten.index_add_:
        return 3 * args[3].numel() * args[3].element_size()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def operations_of(packet: Any, args: tuple, kwargs: dict, out: Any) -> int:
    """Multiplications and additions of an operation that has matrix products, else 0."""
    if packet is ATTENTION_ON_CPU:
        return sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
    if packet is ATTENTION_ON_CPU_BACKWARD:
        return sdpa_backward_flop_count(*(tensor.shape for tensor in args[:4]))
    return flop_registry[packet](*args, **kwargs, out_val=out) if packet in flop_registry else 0


@contextmanager
def traceable(gpu: bool) -> Iterator[None]:
    """Let MSAM's backward pass count nothing on the host, as on a GPU, whose blocks it takes as well where asked to."""
    blocks, counted = msam.BLOCK_SCORES["cpu"], msam.COUNTED_ON_HOST
    msam.COUNTED_ON_HOST = ()
    if gpu:
        msam.BLOCK_SCORES["cpu"] = msam.BLOCK_SCORES["cuda"]
    try:
        yield
    finally:
        msam.BLOCK_SCORES["cpu"], msam.COUNTED_ON_HOST = blocks, counted


def step_of(size: measuring.Size, model_type: str, n_codes: int, chunk_budget: int, training: bool) -> list[Batch]:
    """The batches of a training step whose documents are of a usual length, or of a prediction of as many documents."""
    architecture = size.architecture(model_type, "masked")
    texts = measuring.invented_texts(size, 16 * size.batch_documents)
    documents = measuring.invented_documents(size, texts, architecture, n_codes)
    steps = epoch_steps(documents.shapes, size.batch_documents, seed=0, epoch=0)
    tokens = [int(documents.shapes[step].prod(axis=1).sum()) for step in steps]
    usual = steps[sorted(range(len(steps)), key=tokens.__getitem__)[len(steps) // 2]]
    passes = documents.passes(usual, chunk_budget if training else chunk_budget * PREDICTION_BUDGET)
    return [documents.batch(part) for part in passes]


def run(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: list[Batch],
    training: bool,
    after_pass: Callable[[], None] = lambda: None,
) -> None:
    """A training step, or a prediction, as stages/modeling/training.py and inference.py compute them."""
    device = next(model.parameters()).device
    for batch in batches:
        with torch.set_grad_enabled(training):
            logits = model(*batch.to(device)).float()
        if training:
            with torch.autocast(device.type, enabled=False):
                loss = binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
            loss.backward()
            del loss
        del logits
        after_pass()
    if training:
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()


def traced(
    size: measuring.Size,
    model_type: str,
    n_codes: int,
    chunk_budget: int,
    ceilings: Ceilings,
    training: bool,
    gpu: bool,
) -> dict[str, float]:
    """The costs of a step: operations, bytes, peak bytes, seconds of the floor, documents."""
    batches = step_of(size, model_type, n_codes, chunk_budget, training)
    device = "cuda" if gpu and torch.backends.cuda.is_built() else "cpu"
    with ExitStack() as stack:
        mode = stack.enter_context(FakeTensorMode(allow_non_fake_inputs=False))
        stack.enter_context(traceable(gpu))
        fake = [
            Batch(mode.from_tensor(ids), mode.from_tensor(mask), mode.from_tensor(document), n_documents, groups)
            for ids, mask, document, n_documents, groups in batches
        ]
        model = measuring.random_model(size, size.architecture(model_type, "masked"), n_codes, device)
        model.train(training)
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
        if gpu:
            stack.enter_context(torch.autocast(device, torch.bfloat16))
        if training:
            run(model, optimizer, fake, training)  # the optimiser's state, which is there from the second step on
        memory = MemTracker()
        memory.track_external(model, *([optimizer] if training else []))
        costs = Costs(ceilings)
        with memory, costs:
            run(model, optimizer, fake, training, after_pass=memory.reset_mod_stats)
        peak = sum(of_device["Total"] for of_device in memory.get_tracker_snapshot("peak").values())
    return {
        "operations": sum(costs.operations.values()),
        "attention": costs.operations["attention"],
        "bytes": costs.n_bytes,
        "dispatched": costs.n_dispatched,
        "peak": peak,
        "seconds": costs.seconds,
        "documents": sum(batch.n_documents for batch in batches),
    }


def measured(size: measuring.Size, model_type: str, n_codes: int, chunk_budget: int) -> dict[str, float]:
    """Operations, and peak bytes above the start, of a real training step on this CPU."""
    torch.set_num_threads(1)
    batches = step_of(size, model_type, n_codes, chunk_budget, training=True)
    start = measuring.resident_bytes()
    model = measuring.random_model(size, size.architecture(model_type, "masked"), n_codes, "cpu").train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)
    costs = Costs(DEVICES["h100"])
    with traceable(gpu=False):
        run(model, optimizer, batches, training=True)
        with costs:
            run(model, optimizer, batches, training=True)
    peak = measuring.peak_memory("cpu") - start
    return {"operations": sum(costs.operations.values()), "peak": peak}


def check(options: argparse.Namespace) -> None:
    """Print the traced costs of a training step on a CPU beside those of a real one."""
    print(f"{'model':<10}{'codes':>6}{'operations':>22}{'peak MiB':>20}")
    print(f"{'':<16}{'traced':>11}{'real':>11}{'traced':>10}{'real':>10}")
    size = measuring.SIZES[options.size]
    for model_type in options.types:
        for n_codes in options.codes:
            budget = options.chunk_budget or size.chunk_budget
            plan = traced(size, model_type, n_codes, budget, DEVICES["h100"], training=True, gpu=False)
            real = measuring.in_own_process(measured, size, model_type, n_codes, budget)
            assert isinstance(real, dict), real
            shown = f"{plan['operations'] / 1e9:>9.2f} G{real['operations'] / 1e9:>9.2f} G"
            peaks = f"{plan['peak'] / 2**20:>10.0f}{real['peak'] / 2**20:>10.0f}"
            print(f"{model_type:<10}{n_codes:>6}{shown}{peaks}{plan['peak'] / real['peak'] - 1:>+8.1%}", flush=True)


def main() -> None:
    """Trace, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=measuring.SIZES, help="default: gatortron; with --check: demo")
    parser.add_argument("--device", choices=DEVICES, default="h100")
    parser.add_argument("--types", nargs="+", default=["CE", "CE_MSAM", "LE", "LE_MSAM"])
    parser.add_argument("--codes", nargs="+", type=int, help="default: 50 3681; with --check: 50")
    parser.add_argument("--chunk-budget", type=int, help="default: by size")
    parser.add_argument("--check", action="store_true", help="beside a real step on this CPU")
    options = parser.parse_args()
    options.size = options.size or ("demo" if options.check else "gatortron")
    options.codes = options.codes or ([50] if options.check else [50, 3681])
    multiprocessing.set_start_method("spawn")
    if options.check:
        check(options)
        return
    size, ceilings = measuring.SIZES[options.size], DEVICES[options.device]
    rates = f"{ceilings.operations / 1e12:.0f} TFLOP/s, {ceilings.memory / 1e12:.1f} TB/s"
    print(f"{options.device} ({rates}), {options.size}, bfloat16")
    columns = ("T operations", "of attention", "GB moved", "peak GiB", "floor ms", "documents/s", "of rate")
    print(f"{'':<12}{'model':<10}{'codes':>6}" + "".join(f"{column:>14}" for column in columns))
    for training in (True, False):
        for model_type in options.types:
            for n_codes in options.codes:
                budget = options.chunk_budget or size.chunk_budget
                plan = traced(size, model_type, n_codes, budget, ceilings, training, gpu=True)
                share = plan["operations"] / plan["seconds"] / ceilings.operations
                print(
                    f"{'training' if training else 'prediction':<12}{model_type:<10}{n_codes:>6}"
                    f"{plan['operations'] / 1e12:>14.2f}{plan['attention'] / plan['operations']:>14.1%}"
                    f"{plan['bytes'] / 1e9:>14.1f}{plan['peak'] / GIB:>14.1f}{1000 * plan['seconds']:>14.1f}"
                    f"{plan['documents'] / plan['seconds']:>14.1f}{share:>14.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
