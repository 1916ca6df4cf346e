"""Data parallelism across CPU threads: each thread runs the full model on its share of a pass's rows.

torch's own threads instead share every operation and synchronise at its end, thousands of times per pass. If another
process occupies a core, all of them wait each time for the one that is not running (benchmarks/RESULTS.md).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Compute = Callable[[Any], Tensor]
_pool = functools.cache(lambda n: ThreadPoolExecutor(n, initializer=_take_one_thread))


def n_threads(model: nn.Module, device: torch.device) -> int:
    """The number of parts of a pass to compute in parallel: torch's number of threads on a CPU, otherwise 1.

    Also 1 if threads would compute different results: with dropout, autocast or compiled modules.
    """
    modules = list(model.modules())
    alone = (
        device.type != "cpu"
        or torch.is_autocast_enabled("cpu")
        or any(module._compiled_call_impl is not None for module in modules)
        or (model.training and any(isinstance(module, nn.Dropout) and module.p > 0 for module in modules))
    )
    return 1 if alone else torch.get_num_threads()


def in_threads(compute: Compute, parts: Sequence[Any], weights: Iterable[Tensor]) -> Tensor:
    """The concatenated results (R, ...) of `compute` for all parts, (r, ...) each, in one thread per part.

    `weights`: everything that `compute` depends on. Their gradients are summed in the order of the parts, so that
    results do not depend on which thread finishes first.
    """
    grad, inference = torch.is_grad_enabled(), torch.is_inference_mode_enabled()

    def work(part: Any) -> Tensor:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return compute(part)

    return _SideBySide.apply(work, parts, *(weight for weight in weights if weight.requires_grad))


def _take_one_thread() -> None:
    """Make torch use a single thread in this thread, from its first operation on.

    A thread adopts the number of threads set last, by any thread, when it first needs it; querying it counts.
    """
    torch.set_num_threads(1)
    torch.get_num_threads()


class _SideBySide(torch.autograd.Function):
    """Each part has its own graph, whose backward pass runs in its own thread."""

    @staticmethod
    def forward(ctx, work: Compute, parts: Sequence[Any], *weights: Tensor) -> Tensor:
        ctx.weights, ctx.results = weights, list(_pool(len(parts)).map(work, parts))
        return torch.cat([result.detach() for result in ctx.results])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        def differentiate(result: Tensor, received: Tensor) -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(result, ctx.weights, received, allow_unused=True)

        received = gradient.split([len(result) for result in ctx.results])
        by_part = _pool(len(received)).map(differentiate, ctx.results, received)
        by_weight = ([part for part in column if part is not None] for column in zip(*by_part, strict=True))
        return None, None, *(functools.reduce(torch.add, column) if column else None for column in by_weight)
