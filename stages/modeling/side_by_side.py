"""Parts of a pass computed side by side on a CPU: each thread takes its rows through the whole model by itself.

torch's own threads share every operation instead and meet at its end, thousands of times a pass. Where another process
holds a core, each time all of them wait for the one that is not running. Here they meet once on the way forward and
once on the way back.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Part = TypeVar("Part")
Result = TypeVar("Result")


def n_threads(model: nn.Module, device: torch.device) -> int:
    """How many parts of a pass may be computed side by side: as many as torch has threads on a CPU, otherwise 1.

    Also 1 where parts would not be independent or a thread would not compute the same as the main one: where random
    numbers are drawn, under autocast, which holds for one thread, and for compiled modules.
    """
    alone = (
        device.type != "cpu"
        or torch.is_autocast_enabled("cpu")
        or any(module._compiled_call_impl is not None for module in model.modules())
        or (model.training and any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules()))
    )
    return 1 if alone else torch.get_num_threads()


def in_threads(compute: Callable[[Part], Tensor], parts: Sequence[Part], weights: Iterable[Tensor]) -> Tensor:
    """The results (R, ...) of `compute` for all parts, (r, ...) each, one below the other; each has its own thread.

    The gradient goes to `weights`, all that `compute` depends on and that wants one: the sum over the parts in their
    order, so that the same bits come out whichever thread is done first.
    """
    if torch.is_grad_enabled():
        return _SideBySide.apply(compute, parts, *(weight for weight in weights if weight.requires_grad))
    inference = torch.is_inference_mode_enabled()

    def without_gradient(part: Part) -> Tensor:
        with torch.no_grad(), torch.inference_mode(inference):
            return compute(part)

    return torch.cat(list(_map(without_gradient, parts)))


class _SideBySide(torch.autograd.Function):
    """Each part has a graph of its own, which its thread goes through on the way back."""

    @staticmethod
    def forward(ctx, compute: Callable[[Any], Tensor], parts: Sequence[Any], *weights: Tensor) -> Tensor:
        ctx.weights = weights
        ctx.results = list(_map(compute, parts))
        return torch.cat([result.detach() for result in ctx.results])

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        def of_part(result: Tensor, received: Tensor) -> tuple[Tensor | None, ...]:
            return torch.autograd.grad(result, ctx.weights, received, allow_unused=True)

        received = gradient.split([len(result) for result in ctx.results])
        gradients = zip(*_map(of_part, ctx.results, received), strict=True)
        ctx.results = None
        return None, None, *(_sum([part for part in of_weight if part is not None]) for of_weight in gradients)


def _sum(gradients: list[Tensor]) -> Tensor | None:
    return functools.reduce(torch.add, gradients) if gradients else None


def _map(work: Callable[..., Result], *arguments: Sequence[Any]) -> Iterator[Result]:
    """The results of `work`, in order; each call has one of torch's threads."""
    return _pool(len(arguments[0])).map(work, *arguments)


@functools.cache
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, "side-by-side", initializer=torch.set_num_threads, initargs=(1,))
