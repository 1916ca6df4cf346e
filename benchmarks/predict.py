"""Prediction: documents per second of this project's way beside the straightforward way's, in the same run.

    python -m benchmarks.predict                                         # the demo's size on the CPU: half a minute
    python -m benchmarks.predict --size gatortron --device cuda --codes 50 3681

Weights and documents are random. "of rate" is the share of the device's own rate at square matrix products (bfloat16 on
CUDA, float32 on a CPU), counting the products that the model needs, not what is computed on top. Each form runs in a
process of its own. Tokens are those of the texts. The straightforward way is described in benchmarks/measuring.py.
"""

import argparse
import time

import torch

from benchmarks import measuring
from stages.common import devices
from stages.modeling.inference import predict


def ours(model_type: str, n_codes: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure this project's prediction."""
    size = measuring.SIZES[options.size]
    accelerator = devices.start(measuring.compute(options))
    architecture = size.architecture(model_type, "masked")
    model = measuring.random_model(size, architecture, n_codes, options.device)
    if options.compile:
        model.encoder.compile(dynamic=True)
    texts = measuring.invented_texts(size, options.documents)
    for part in (texts[:32], texts):
        documents = measuring.invented_documents(size, part, architecture, n_codes)
        began = time.perf_counter()
        predict(model, documents, options.chunk_budget or size.chunk_budget, accelerator)
        seconds = time.perf_counter() - began
    return measuring.rates(size, documents, n_codes, seconds, options.device, n_passes=1)


@torch.no_grad()
def straightforward(model_type: str, n_codes: int, options: argparse.Namespace) -> dict[str, float]:
    """Measure the straightforward prediction."""
    torch.set_num_threads(options.threads)
    size = measuring.SIZES[options.size]
    architecture = size.architecture(model_type, "original")
    model = measuring.straightforward(measuring.random_model(size, architecture, n_codes, options.device)).eval()
    texts = measuring.invented_texts(size, options.documents)[: options.plain_documents]
    documents = measuring.invented_documents(size, texts, architecture, n_codes)
    for part in (texts[:2], texts):
        began = time.perf_counter()
        for batch, _ in measuring.one_by_one(size, part, documents, options.device):
            model(batch).cpu()
        seconds = time.perf_counter() - began
    return measuring.rates(size, documents, n_codes, seconds, options.device, n_passes=1)


def main() -> None:
    """Measure and print the table."""
    measuring.run_table(__doc__, ours, straightforward, documents={"cpu": 256, "cuda": 1024}, plain_documents=64)


if __name__ == "__main__":
    main()
