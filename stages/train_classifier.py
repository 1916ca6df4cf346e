"""Train the classifier that data/labels/architecture.json asks for, and keep its best epoch."""

import numpy as np
import pandas as pd
import torch

from stages.encoder.architecture import Architecture
from stages.handover import documents, starting_point
from stages.modeling import devices
from stages.modeling.checkpoints import CheckpointFolder, run_key, shared_folder
from stages.modeling.model import CodingModel, build_model, save_model
from stages.modeling.objectives import BinaryCrossEntropy
from stages.modeling.training import Goal, Settings, Training, micro_f1
from stages.project import files, formats, params, paths
from stages.project.live import curves
from stages.project.parts import LEARNT
from stages.project.stage import run

INPUTS = [
    *map(paths.split, LEARNT),
    *map(paths.targets, LEARNT),
    paths.LABEL_CODES,
    paths.ARCHITECTURE,
    paths.HEAD_SYNONYMS,
    paths.ENCODER,
]


def metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """What is looked at after every epoch."""
    return {"f1_micro": micro_f1(logits, targets)}


def initial_model(architecture: Architecture, seed: int, device: torch.device | str) -> CodingModel:
    """The model that training begins with, upon models/encoder, for the codes and synonyms in data/labels."""
    codes, synonyms = files.read_json(paths.LABEL_CODES), files.read_json(paths.HEAD_SYNONYMS)
    phrases = [synonyms[code] for code in codes] if architecture.head == "msam" else None
    torch.manual_seed(seed)
    return build_model(paths.ENCODER, architecture, len(codes), phrases, device)


def main() -> None:
    settings = params.load()
    accelerator = devices.start(**settings.compute.of_a_process())
    training = Settings(**settings.train.model_dump(exclude={"start_from"}))
    architecture = Architecture.from_dict(files.read_json(paths.ARCHITECTURE))
    start = None
    if settings.train.start_from is not None:
        with accelerator.main_process_first():
            start = starting_point.located(settings.train.start_from, fetch=accelerator.is_main_process)

    inputs = INPUTS if start is None else [*INPUTS, start]
    checkpoints = CheckpointFolder(
        shared_folder() / run_key({**training.to_dict(), **devices.described(accelerator)}, inputs, "train_classifier"),
        training.keep_checkpoints,
    )
    if accelerator.is_main_process:
        checkpoints.hold("train_classifier")
        checkpoints.tidy()
    with accelerator.main_process_first():
        train, val = (
            documents.load(part, paths.ENCODER, architecture, cache=checkpoints.folder / "tokens") for part in LEARNT
        )
    model = initial_model(architecture, training.seed, accelerator.device)
    if start is not None:
        starting_point.start(model, start)

    history = Training(
        model=model,
        objective=BinaryCrossEntropy(),
        train=train,
        val=val,
        settings=training,
        goal=Goal("f1_micro", higher_is_better=True),
        metrics=metrics,
        accelerator=accelerator,
        checkpoints=checkpoints,
        on_epoch=curves("train_classifier") if accelerator.is_main_process else lambda row: None,
    ).run()

    if accelerator.is_main_process:
        with files.whole_directory(paths.CLASSIFIER) as partial:
            save_model(model, partial)
            formats.write_json(partial / "history.json", history)
            formats.write_json(partial / starting_point.PROVENANCE, starting_point.provenance())
        formats.write_csv(paths.PLOTS / "training.csv", pd.DataFrame(history))
        checkpoints.finish(paths.CLASSIFIER)
        starting_point.forget()
    devices.finish(accelerator)


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions")
