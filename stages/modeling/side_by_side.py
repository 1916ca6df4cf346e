"""Data parallelism across CPU threads: each runs the full model on its share of a pass's rows.

torch's own threads share every operation and wait for each other at its end, thousands of times per pass. If another
process occupies a core, all of them wait for the one that is not running (benchmarks/RESULTS.md).
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


@functools.cache
def _pool(n: int) -> ThreadPoolExecutor:
    """Threads that use torch with a single thread; they adopt that number when they first query it."""
    return ThreadPoolExecutor(n, initializer=lambda: (torch.set_num_threads(1), torch.get_num_threads()))


def n_threads(model: nn.Module, device: torch.device) -> int:
    """The parts of a pass: torch's threads on a CPU; 1 if dropout, autocast or compilation would make them differ."""
    modules = list(model.modules())
    dropout = model.training and any(isinstance(module, nn.Dropout) and module.p > 0 for module in modules)
    compiled = any(module._compiled_call_impl is not None for module in modules)
    alone = device.type != "cpu" or dropout or compiled or torch.is_autocast_enabled("cpu")
    return 1 if alone else torch.get_num_threads()


def in_threads(compute: Callable[[Any], Tensor], parts: Sequence[Any], weights: Iterable[Tensor]) -> Tensor:
    """The concatenated results (R, ...) of `compute` for all parts, (r, ...) each, in one thread per part.

    `weights`: all that `compute` depends on. Gradients are summed in the order of the parts, whichever ends first.
    """
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def work(part: Any) -> Tensor:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad):
            return compute(part)

    return _SideBySide.apply(work, parts, *(weight for weight in weights if weight.requires_grad))


class _SideBySide(torch.autograd.Function):
    """Each part has its own graph, whose backward pass runs in its own thread."""

    @staticmethod
    def forward(ctx, work: Callable[[Any], Tensor], parts: Sequence[Any], *weights: Tensor) -> Tensor:
        ctx.weights, ctx.results = weights, list(_pool(len(parts)).map(work, parts))
        return torch.cat([result.detach() for result in ctx.results])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        received = gradient.split([len(result) for result in ctx.results])
        differentiate = functools.partial(torch.autograd.grad, allow_unused=True)
        by_part = _pool(len(received)).map(differentiate, ctx.results, [ctx.weights] * len(received), received)
        by_weight = ([part for part in column if part is not None] for column in zip(*by_part, strict=True))
        return None, None, *(functools.reduce(torch.add, column) if column else None for column in by_weight)
