"""Train the classifier that data/labels/architecture.json asks for, and keep its best epoch."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from stages.common import devices, io, params, paths
from stages.common.parts import LEARNT
from stages.common.runner import run
from stages.encoder.architecture import Architecture
from stages.modeling import warm_start
from stages.modeling.checkpoints import open_run
from stages.modeling.data import load_documents
from stages.modeling.model import CodingModel, build_model, save_model
from stages.modeling.training import BinaryCrossEntropy, Goal, Training, micro_f1

INPUTS = [
    *map(paths.split, LEARNT),
    *map(paths.targets, LEARNT),
    paths.LABEL_CODES,
    paths.ARCHITECTURE,
    paths.HEAD_SYNONYMS,
    paths.ENCODER,
]


def metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    return {"f1_micro": micro_f1(logits, targets)}


def initial_model(architecture: Architecture, seed: int, device: torch.device | str) -> CodingModel:
    """The initial model, built on models/encoder for the codes and synonyms in data/labels."""
    codes, synonyms = io.read_json(paths.LABEL_CODES), io.read_json(paths.HEAD_SYNONYMS)
    phrases = [synonyms[code] for code in codes] if architecture.head == "msam" else None
    torch.manual_seed(seed)
    return build_model(paths.ENCODER, architecture, len(codes), phrases, device)


def main() -> None:
    settings = params.load()
    accelerator = devices.start(settings.compute)
    architecture = Architecture.parse(io.read_json(paths.ARCHITECTURE))
    start = None if settings.train.start_from is None else Path(settings.train.start_from)
    inputs = INPUTS if start is None else [*INPUTS, start]
    checkpoints = open_run("train_classifier", settings.train, {}, inputs, accelerator)
    with accelerator.main_process_first():
        train, val = (
            load_documents(part, paths.ENCODER, architecture, cache=checkpoints.folder / "tokens") for part in LEARNT
        )
    model = initial_model(architecture, settings.train.seed, accelerator.device)
    if start is not None:
        warm_start.load_weights(model, start)

    history = Training(
        model=model,
        objective=BinaryCrossEntropy(),
        train=train,
        val=val,
        settings=settings.train,
        goal=Goal("f1_micro", higher_is_better=True),
        metrics=metrics,
        accelerator=accelerator,
        checkpoints=checkpoints,
    ).run()

    if accelerator.is_main_process:
        with io.whole_directory(paths.CLASSIFIER) as partial:
            save_model(model, partial)
            io.write_json(partial / "history.json", history)
            io.write_json(partial / paths.PROVENANCE, warm_start.provenance())
        io.write_csv(paths.PLOTS / "training.csv", pd.DataFrame(history))
        checkpoints.finish(paths.CLASSIFIER)
    devices.finish(accelerator)


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions", launch=True)
