"""Training the classifier and the quantifier together (CLQ), from where each ended on its own."""

import numpy as np
from safetensors.torch import save_file
from torch import nn

from stages import documents, files, params, paths
from stages.evaluation.calibration import mece
from stages.evaluation.classification import sigmoid
from stages.live import curves
from stages.modeling import devices
from stages.modeling.checkpoints import CheckpointFolder, run_key
from stages.modeling.clq import GroupMemory, JointLoss
from stages.modeling.model import load_model, save_model
from stages.modeling.training import Criterion, Settings, Training, micro_f1
from stages.predict import predictions, write_predictions
from stages.quantification.quantifiers import load_mlp

PARTS = ("train", "val")
INPUTS = [*map(paths.split, PARTS), *map(paths.targets, PARTS), paths.CLASSIFIER, paths.QUANTIFIER]


def metrics(logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """What is looked at after every epoch."""
    return {"f1_micro": micro_f1(logits, targets), "mece": mece(targets, sigmoid(logits))}


def training_settings(settings: params.Params) -> Settings:
    """The settings of joint training: those of `clq`, and of `train` where `clq` says nothing."""
    own = settings.clq.model_dump(include={"learning_rate", "epochs", "patience", "seed"})
    new_models_only = {"start_from", "warmup", "output_learning_rate"}
    return Settings(**settings.train.model_dump(exclude={*new_models_only, *own}), **own)


def train_both() -> None:
    """Train both, write the better model, its quantifier and its predictions into models/joint."""
    settings = params.load()
    accelerator = devices.start(**settings.compute.of_a_process())
    training = training_settings(settings)
    loss = settings.clq.model_dump(include={"lambda_", "delta", "memory"})

    checkpoints = CheckpointFolder(
        paths.CHECKPOINTS / run_key({**training.to_dict(), **loss, **devices.described(accelerator)}, INPUTS),
        training.keep_checkpoints,
    )
    model, quantifier = load_model(paths.CLASSIFIER), load_mlp(paths.QUANTIFIER)
    with accelerator.main_process_first():
        train, val = (
            documents.load(part, paths.CLASSIFIER, model.architecture, cache=checkpoints.folder / "tokens")
            for part in PARTS
        )
    history = Training(
        model=model,
        objective=joint_loss(quantifier, train, settings.clq, accelerator.process_index),
        train=train,
        val=val,
        settings=training,
        criterion=Criterion("mece", higher_is_better=False),
        metrics=metrics,
        accelerator=accelerator,
        checkpoints=checkpoints,
        on_epoch=curves("train_joint") if accelerator.is_main_process else lambda row: None,
    ).run()

    logits = predictions(model, paths.CLASSIFIER, training.chunk_budget, accelerator)
    if accelerator.is_main_process:
        with files.whole_directory(paths.JOINT_MODEL) as partial:
            files.write_json(partial / "joint.json", {"joint": True})
            save_model(model, partial)
            save_file(
                {name: weight.cpu() for name, weight in quantifier.state_dict().items()},
                partial / "quantifier.safetensors",
            )
            write_predictions(partial, logits)
            files.write_json(partial / "history.json", history)
        checkpoints.remove()
    devices.finish(accelerator)


def joint_loss(quantifier: nn.Module, train: documents.Documents, clq: params.Clq, process: int) -> JointLoss:
    """The loss of joint training, with the group memory of one process."""
    memory = GroupMemory(len(train), train.targets.shape[1], clq.seed, process)
    return JointLoss(quantifier, memory, clq.lambda_, clq.delta, keep_memory=clq.memory == "original")
