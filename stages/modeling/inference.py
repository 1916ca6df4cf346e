"""Logits of documents by a trained model."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from accelerate import Accelerator

from stages.modeling.batching import Batch, Documents, by_length, n_tokens, prefetched
from stages.modeling.model import CodingModel
from stages.project.errors import InputError
from stages.project.progress import Bar

PREDICTION_BUDGET = 4  # a pass without gradients holds this many times the chunks of a training pass


def predict(
    model: CodingModel, documents: Documents, chunk_budget: int, accelerator: Accelerator, name: str = "predicting"
) -> torch.Tensor:
    """The logits of all documents, float32 (N, C), on the CPU; the processes share the work and all get the result.

    `chunk_budget` is that of training; without gradients a pass holds several times as many chunks.
    Raises InputError where a GPU's memory is too small for it.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    passes = documents.passes(by_length(documents.shapes), chunk_budget * budget_factor(device))
    mine = passes[accelerator.process_index :: accelerator.num_processes]
    tokens = n_tokens(documents.shapes)
    bar = Bar(
        total=sum(tokens[indices].sum() for indices in mine),
        desc=name,
        unit="token",
        unit_scale=True,
        leave=False,
        silent=not accelerator.is_main_process,
    )
    results = []
    with bar, torch.inference_mode(), memory_named(chunk_budget), accelerator.autocast():
        # A process without a pass of its own computes the first one for its shape.
        for indices, batch, _ in loaded(documents, mine or passes[:1], device):
            results.append(model(*batch).float())
            bar.update(tokens[indices].sum())
    model.train(was_training)
    logits = torch.zeros(len(documents), results[0].shape[1])
    for indices, result in zip(mine, results, strict=False):
        logits[torch.from_numpy(indices)] = result.cpu()
    if accelerator.num_processes > 1:
        logits = accelerator.reduce(logits.to(device), "sum").cpu()
    return logits


def budget_factor(device: torch.device) -> int:
    """How many times the chunks of a training pass a prediction holds; on a CPU the caches set the limit."""
    return PREDICTION_BUDGET if device.type == "cuda" else 1


def loaded(
    documents: Documents, passes: list[np.ndarray], device: torch.device
) -> Iterator[tuple[np.ndarray, Batch, torch.Tensor | None]]:
    """Each pass with its batch and targets on `device`.

    For a GPU a thread makes them ahead, beside the device's work. The copy itself takes its turn in the device's queue;
    from pinned memory it does not keep the host waiting.
    """
    made = ((indices, documents.batch(indices), documents.dense_targets(indices)) for indices in passes)
    if device.type != "cuda":
        yield from made
        return
    pinned = ((indices, batch.pinned(), None if y is None else y.pin_memory()) for indices, batch, y in made)
    for indices, batch, targets in prefetched(pinned):
        yield indices, batch.to(device), None if targets is None else targets.to(device, non_blocking=True)


@contextmanager
def memory_named(chunk_budget: int) -> Iterator[None]:
    """Turn a GPU's lack of memory into an InputError that names the parameter to lower."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        wrong = f"the GPU's memory is too small for train.chunk_budget {chunk_budget}"
        raise InputError(f"{wrong}; lower it: what is learned stays the same") from None
