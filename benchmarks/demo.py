"""The demo's own training by this project's loop and by the straightforward one: validation curves and documents/s.

    dvc repro && python -m benchmarks.demo                      # about 5 minutes on 2 CPU cores

Reads what `dvc repro` left in data/ and models/, writes nothing there. Both loops begin with the same weights and take
the same steps of the same documents with the settings of params.yaml. The straightforward loop encodes one document a
pass, tokenises its text twice, attends by plain matrix products and holds the whole MSAM score tensor.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from benchmarks import measuring
from stages.common import devices, io, params, paths
from stages.encoder.architecture import Architecture
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.checkpoints import CheckpointFolder
from stages.modeling.data import Batch, Documents, Indices, load_documents
from stages.modeling.training import BinaryCrossEntropy, Goal, Training
from stages.train_classifier import initial_model, metrics


@dataclass(frozen=True)
class TokenisedTwice(Documents):
    """Documents whose texts are tokenised twice whenever they are read."""

    texts: Sequence[str]
    tokenizer: PreTrainedTokenizerBase

    def batch(self, indices: Indices) -> Batch:
        """The same batch, later."""
        for index in (*indices, *indices):
            self.tokenizer(self.texts[index], verbose=False)
        return super().batch(indices)


def trained(straightforward: bool, threads: int) -> dict[str, Any]:
    """The validation micro-F1 of each epoch, and training documents per second, without validation."""
    config = params.load()
    compute = config.compute.model_copy(update={"device": "cpu", "threads": threads})
    accelerator = devices.start(compute, "float32")
    settings = config.train
    architecture = Architecture.parse(io.read_json(paths.ARCHITECTURE))
    model = initial_model(architecture, settings.seed, "cpu")
    train, val = (load_documents(part, paths.ENCODER, architecture) for part in ("train", "val"))
    if straightforward:
        model = measuring.straightforward(model)
        settings = settings.model_copy(update={"chunk_budget": 1})  # every document is larger: one per pass
        texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"]
        tokenizer = load_tokenizer(paths.ENCODER, architecture.lowercase_documents)
        train = TokenisedTwice(
            **{field.name: getattr(train, field.name) for field in fields(train)}, texts=texts, tokenizer=tokenizer
        )
    with tempfile.TemporaryDirectory() as folder:
        training = Timed(
            model=model,
            objective=BinaryCrossEntropy(),
            train=train,
            val=val,
            settings=settings,
            goal=Goal("f1_micro", higher_is_better=True),
            metrics=metrics,
            accelerator=accelerator,
            checkpoints=CheckpointFolder(Path(folder)),
        )
        history = training.run()
    curve = [row["val_f1_micro"] for row in history]
    return {"curve": curve, "rate": len(train) * len(history) / training.seconds}


class Timed(Training):
    """Training that counts the seconds of its epochs, without validation."""

    seconds = 0.0

    def train_epoch(self) -> None:
        """Train an epoch, and count."""
        began = time.perf_counter()
        super().train_epoch()
        self.seconds += time.perf_counter() - began


def main() -> None:
    """Train both ways and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1, as the demo)")
    threads = parser.parse_args().threads
    plain, ours = (measuring.in_own_process(trained, straightforward, threads) for straightforward in (True, False))
    if isinstance(plain, str) or isinstance(ours, str):
        sys.exit(f"straightforward: {plain}; ours: {ours}")
    print(f"{'epoch':>5}{'straightforward':>18}{'ours':>8}   validation micro-F1")
    for epoch, pair in enumerate(zip(plain["curve"], ours["curve"], strict=True), 1):
        print(f"{epoch:>5}{pair[0]:>18.4f}{pair[1]:>8.4f}")
    rates = plain["rate"], ours["rate"]
    print(f"{rates[0]:>23.1f}{rates[1]:>8.1f}   documents/s in training, {threads} threads: {rates[1] / rates[0]:.2f}x")


if __name__ == "__main__":
    main()
