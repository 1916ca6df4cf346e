"""Train the classifier that data/labels/architecture.json asks for, and keep its best epoch."""

import logging

import numpy as np
import pandas as pd
import torch

from stages import documents, files, params, paths
from stages.modeling import devices
from stages.modeling.architecture import Architecture
from stages.modeling.checkpoints import CheckpointFolder, run_key
from stages.modeling.model import build_model, save_model
from stages.modeling.objectives import BinaryCrossEntropy
from stages.modeling.training import Criterion, Settings, Training, micro_f1
from stages.stage import run

log = logging.getLogger("stages.train_classifier")

INPUTS = [
    *(paths.split(part) for part in ("train", "val")),
    *(paths.targets(part) for part in ("train", "val")),
    paths.LABEL_CODES,
    paths.ARCHITECTURE,
    paths.HEAD_SYNONYMS,
    paths.ENCODER,
]


def metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """What is looked at after every epoch."""
    return {"f1_micro": micro_f1(logits, targets)}


def main() -> None:
    settings = params.load()
    accelerator = devices.start(**settings.compute.model_dump())
    training = Settings(**settings.train.model_dump(exclude={"start_from"}))
    architecture = Architecture.from_dict(files.read_json(paths.ARCHITECTURE))
    codes = files.read_json(paths.LABEL_CODES)
    synonyms = files.read_json(paths.HEAD_SYNONYMS)

    key = run_key({**training.to_dict(), **devices.described(accelerator)}, INPUTS)
    folder = paths.CHECKPOINTS / key
    with accelerator.main_process_first():
        train, val = (documents.load(part, paths.ENCODER, architecture, folder / "tokens") for part in ("train", "val"))
    torch.manual_seed(training.seed)
    phrases = [synonyms[code] for code in codes] if architecture.head == "msam" else None
    model = build_model(paths.ENCODER, architecture, len(codes), phrases, accelerator.device)

    checkpoints = CheckpointFolder(folder, training.keep_checkpoints)
    criterion = Criterion("f1_micro", higher_is_better=True)
    objective = BinaryCrossEntropy()
    history = Training(model, objective, train, val, training, criterion, metrics, accelerator, checkpoints).run()

    if accelerator.is_main_process:
        with files.whole_directory(paths.CLASSIFIER) as partial:
            save_model(model.cpu(), partial)
            files.write_json(partial / "history.json", history)
        with files.whole_file(paths.PLOTS / "training.csv") as partial:
            pd.DataFrame(files.stable(history)).to_csv(partial, index=False)
        checkpoints.remove()
    devices.log_peak_memory(accelerator)


if __name__ == "__main__":
    run(main)
