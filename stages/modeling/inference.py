"""Prediction with a trained model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader

from stages.common.io import InputError
from stages.common.parts import SCORED, UNCODED
from stages.common.runner import progress_bar
from stages.modeling.data import Batch, Documents, load_documents
from stages.modeling.model import CodingModel
from stages.modeling.predictions import Predicted

PREDICTION_BUDGET = 4  # chunks of a pass without gradients, relative to a training pass


def predict(
    model: CodingModel, documents: Documents, chunk_budget: int, accelerator: Accelerator, name: str = "predicting"
) -> torch.Tensor:
    """The logits of all documents, float32 (N, C), on the CPU; processes share the work and all get the result.

    `chunk_budget` is that of training; without gradients a pass holds several times as many chunks. Raises InputError
    if a GPU runs out of memory.
    """
    device = accelerator.device
    was_training = model.training
    model.eval()
    longest_first = np.argsort(-documents.n_tokens, kind="stable")
    passes = documents.passes(longest_first, chunk_budget * budget_factor(device))
    assigned = passes[accelerator.process_index :: accelerator.num_processes]
    bar = progress_bar(
        total=sum(documents.n_tokens[indices].sum() for indices in assigned),
        desc=name,
        unit="token",
        unit_scale=True,
        leave=False,
        silent=not accelerator.is_main_process,
    )
    results = []
    with bar, torch.inference_mode(), name_memory(chunk_budget), accelerator.autocast():
        # A process without a pass computes the first one, for its shape.
        for indices, batch, _ in load_batches(documents, assigned or passes[:1], device):
            results.append(model(batch).float())
            bar.update(documents.n_tokens[indices].sum())
    model.train(was_training)
    logits = torch.zeros(len(documents), results[0].shape[1])
    for indices, result in zip(assigned, results, strict=False):
        logits[torch.from_numpy(indices)] = result.cpu()
    if accelerator.num_processes > 1:
        logits = accelerator.reduce(logits.to(device), "sum").cpu()
    return logits


def predict_parts(
    model: CodingModel, tokenizer_folder: Path, chunk_budget: int, accelerator: Accelerator
) -> dict[str, Predicted]:
    predictions = {}
    for part in (*SCORED, UNCODED):
        documents = load_documents(part, tokenizer_folder, model.architecture, targets=False)
        logits = np.zeros((0, model.head.n_codes), np.float32)
        if len(documents):
            logits = predict(model, documents, chunk_budget, accelerator, name=part).numpy()
        predictions[part] = Predicted(logits, np.diff(documents.offsets), documents.n_unknown)
    return predictions


def budget_factor(device: torch.device) -> int:
    """The size of a prediction pass relative to a training pass; on a CPU the caches set the limit."""
    return PREDICTION_BUDGET if device.type == "cuda" else 1


def load_batches(
    documents: Documents, passes: list[np.ndarray], device: torch.device
) -> Iterator[tuple[np.ndarray, Batch, torch.Tensor | None]]:
    """The documents of each pass with their batch and targets on `device`.

    For a GPU another process prepares them ahead in pinned memory, from which copies are asynchronous.
    """
    ahead = device.type == "cuda"
    loader = DataLoader(
        documents,
        batch_sampler=passes,
        collate_fn=_as_it_is,
        num_workers=int(ahead),
        prefetch_factor=4 if ahead else None,
        pin_memory=ahead,
        generator=torch.Generator(),  # keeps it from drawing from the global one
    )
    for indices, batch, targets in loader:
        yield indices, batch.to(device), None if targets is None else targets.to(device, non_blocking=True)


def _as_it_is(item: Any) -> Any:
    return item


@contextmanager
def name_memory(chunk_budget: int) -> Iterator[None]:
    """Turn a GPU's out-of-memory error into an InputError that names the parameter to lower."""
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        wrong = f"the GPU's memory is too small for train.chunk_budget {chunk_budget}"
        raise InputError(f"{wrong}; lower it; without dropout this only changes rounding") from None
