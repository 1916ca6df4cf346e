"""Predict the validation and test documents with the trained classifier."""

from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor

from stages.handover import documents
from stages.modeling import devices
from stages.modeling.inference import predict
from stages.modeling.model import CodingModel, load_model
from stages.project import files, params, paths
from stages.project.errors import InputError
from stages.project.parts import SCORED
from stages.project.stage import run


def predictions(
    model: CodingModel, tokenizer_folder: Path, chunk_budget: int, accelerator: Accelerator
) -> dict[str, Tensor]:
    """The logits of the validation and of the test documents, each (N, C), by part."""
    return {
        part: predict(
            model,
            documents.load(part, tokenizer_folder, model.architecture, targets=False),
            chunk_budget,
            accelerator,
            name=part,
        )
        for part in SCORED
    }


def write_predictions(folder: Path, logits: dict[str, Tensor]) -> None:
    """Write the logits of each part into an existing folder. Raises InputError where some are not finite."""
    for part, part_logits in logits.items():
        if not bool(torch.isfinite(part_logits).all()):
            wrong = f"the classifier's logits of the {part} documents are not finite numbers"
            raise InputError(f"{wrong}; lower train.learning_rate and train anew (`dvc repro -f train_classifier`)")
        save_file({"logits": part_logits}, paths.predictions(folder, part))


def main() -> None:
    settings = params.load()
    accelerator = devices.start(**settings.compute.of_a_process())
    model = load_model(paths.CLASSIFIER).to(accelerator.device)
    logits = predictions(model, paths.CLASSIFIER, settings.train.chunk_budget, accelerator)
    if accelerator.is_main_process:
        with files.whole_directory(paths.PREDICTIONS) as partial:
            write_predictions(partial, logits)
    devices.finish(accelerator)


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions")
