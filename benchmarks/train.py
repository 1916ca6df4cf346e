"""Training: documents per second of this project's loop beside the straightforward loop's, in the same run.

    python -m benchmarks.train                                         # the demo's size on the CPU: about a minute
    python -m benchmarks.train --size gatortron --device cuda --codes 50 3681

Weights and documents are random. "of rate" is the share of the device's own rate at square matrix products (bfloat16 on
CUDA, float32 on a CPU), counting the products that the model needs, not what is computed on top. Each form runs in a
process of its own. Tokens are those of the texts. The straightforward loop is described in benchmarks/measuring.py.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks import measuring
from stages.common import devices
from stages.common.params import Train
from stages.modeling.checkpoints import CheckpointFolder
from stages.modeling.training import BinaryCrossEntropy, Goal, Training

WARM_UP = 32  # documents before the clock starts


def ours(model_type: str, n_codes: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure this project's loop."""
    size = measuring.SIZES[options.size]
    accelerator = devices.start(measuring.compute(options))
    architecture = size.architecture(model_type, "masked")
    model = measuring.random_model(size, architecture, n_codes, options.device)
    texts = measuring.invented_texts(size, options.documents)
    settings = Train(
        learning_rate=2e-5,
        output_learning_rate=None,
        warmup=0.0,
        weight_decay=0.0,
        epochs=1,
        patience=1,
        batch_documents=size.batch_documents,
        chunk_budget=options.chunk_budget or size.chunk_budget,
        clip_norm=1.0,
        start_from=None,
        compile=options.compile,
        seed=0,
    )
    with tempfile.TemporaryDirectory() as folder:
        for count in (WARM_UP, len(texts)):
            documents = measuring.invented_documents(size, texts[:count], architecture, n_codes)
            training = Training(
                model=model,
                objective=BinaryCrossEntropy(),
                train=documents,
                val=documents,
                settings=settings,
                goal=Goal("f1_micro", higher_is_better=True),
                metrics=lambda *_: {},
                accelerator=accelerator,
                checkpoints=CheckpointFolder(Path(folder)),
            )
            measuring.wait(options.device)
            began = time.perf_counter()
            training.train_epoch()
            measuring.wait(options.device)
            seconds = time.perf_counter() - began
    return measuring.rates(size, documents, n_codes, seconds, options.device, n_passes=3)


def straightforward(model_type: str, n_codes: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure the straightforward loop."""
    torch.set_num_threads(options.threads)
    size = measuring.SIZES[options.size]
    architecture = size.architecture(model_type, "original")
    model = measuring.straightforward(measuring.random_model(size, architecture, n_codes, options.device)).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, weight_decay=0.0)
    texts = measuring.invented_texts(size, options.documents)[: options.plain_documents]
    documents = measuring.invented_documents(size, texts, architecture, n_codes)
    losses = 0.0
    for repeat in (texts[:2], texts):
        measuring.wait(options.device)
        began = time.perf_counter()
        for number, (batch, targets) in enumerate(measuring.one_by_one(size, repeat, documents, options.device), 1):
            loss = binary_cross_entropy_with_logits(model(batch), targets)
            (loss / size.batch_documents).backward()
            losses += loss.item()
            if number % size.batch_documents == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad()
        measuring.wait(options.device)
        seconds = time.perf_counter() - began
    return measuring.rates(size, documents, n_codes, seconds, options.device, n_passes=3)


def main() -> None:
    """Measure and print the table."""
    measuring.run_table(__doc__, ours, straightforward, documents={"cpu": 256, "cuda": 512}, plain_documents=64)


if __name__ == "__main__":
    main()
