"""Continue training the classifier and the quantifier jointly (CLQ).

For other types there is nothing to do, and the output says so.
"""

import logging
from shutil import copy2

from stages.common import io, params, paths
from stages.common.parts import LEARNT
from stages.common.runner import is_first_process, run
from stages.modeling.predictions import write_predictions

log = logging.getLogger("stages.train_joint")

INPUTS = [*map(paths.split, LEARNT), *map(paths.targets, LEARNT), paths.CLASSIFIER, paths.QUANTIFIER]


def training_settings(settings: params.Params) -> params.Train:
    """The settings of joint training: those of `clq`, and otherwise those of `train`."""
    only_new_models = {"start_from": None, "warmup": 0.0, "output_learning_rate": None}
    joint = settings.clq.model_dump(include={"learning_rate", "epochs", "patience", "seed"})
    return settings.train.model_copy(update=only_new_models | joint)


def train_both(settings: params.Params) -> None:
    """Train both and write the best model, its quantifier and its predictions to models/joint."""
    # Loading torch and transformers takes seconds, which models of other types need not wait for.
    from safetensors.torch import save_file
    from scipy.special import expit

    from stages.common import devices
    from stages.evaluation.calibration import mece
    from stages.modeling.checkpoints import open_run
    from stages.modeling.clq import GroupSums, JointLoss
    from stages.modeling.data import load_documents
    from stages.modeling.inference import predict_parts
    from stages.modeling.model import load_model, save_model
    from stages.modeling.training import Goal, Training, micro_f1
    from stages.quantification.quantifiers import load_mlp

    accelerator = devices.start(settings.compute)
    training, clq = training_settings(settings), settings.clq
    loss = clq.model_dump(include={"lambda_", "delta", "memory"})
    checkpoints = open_run("train_joint", training, loss, INPUTS, accelerator)
    model, quantifier = load_model(paths.CLASSIFIER), load_mlp(paths.QUANTIFIER)
    with accelerator.main_process_first():
        train, val = (
            load_documents(part, paths.CLASSIFIER, model.architecture, cache=checkpoints.folder / "tokens")
            for part in LEARNT
        )
    assert train.targets is not None
    groups = GroupSums(len(train), train.targets.shape[1], clq.seed, accelerator.process_index)
    history = Training(
        model=model,
        objective=JointLoss(quantifier, groups, clq.lambda_, clq.delta, keep_sums=clq.memory == "original"),
        train=train,
        val=val,
        settings=training,
        goal=Goal("mece", higher_is_better=False),
        metrics=lambda logits, targets: {"f1_micro": micro_f1(logits, targets), "mece": mece(targets, expit(logits))},
        accelerator=accelerator,
        checkpoints=checkpoints,
    ).run()

    predictions = predict_parts(model, paths.CLASSIFIER, training.chunk_budget, accelerator)
    if accelerator.is_main_process:
        with io.whole_directory(paths.JOINT_MODEL) as partial:
            io.write_json(partial / "joint.json", {"joint": True, "processes": accelerator.num_processes})
            copy2(paths.CLASSIFIER / paths.PROVENANCE, partial)
            save_model(model, partial)
            weights = {name: weight.cpu() for name, weight in quantifier.state_dict().items()}
            save_file(weights, partial / "quantifier.safetensors")
            write_predictions(partial, predictions)
            io.write_json(partial / "history.json", history)
        checkpoints.finish(paths.JOINT_MODEL)
    devices.finish(accelerator)


def main() -> None:
    settings = params.load()
    if io.read_json(paths.JOINT)["joint"]:
        train_both(settings)
    elif is_first_process():
        with io.whole_directory(paths.JOINT_MODEL) as partial:
            io.write_json(partial / "joint.json", {"joint": False})
        log.info("not a CLQ model: nothing to train")


if __name__ == "__main__":
    run(main, memory="train.chunk_budget, or model.max_tokens and model.max_positions", launch=True)
