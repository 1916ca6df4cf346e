"""Train the network that maps a group's mean probabilities to the prevalence of every code."""

import logging

import numpy as np
import scipy.sparse as sp
import torch
from scipy.special import expit

from stages.common import devices, io, params, paths
from stages.common.io import InputError
from stages.common.runner import run
from stages.modeling.predictions import read_logits
from stages.quantification.quantifiers import PrevalenceMLP, fit_mlp, hold_out, save_mlp, shuffle_epochs
from stages.quantification.sampling import group_means, training_groups

log = logging.getLogger("stages.train_quantifier")

SHARED_WEIGHTS = 500_000  # below this many weights in a layer, one thread is faster than several


def train(
    probabilities: np.ndarray, targets: sp.csr_array, settings: params.Quantifier, device: torch.device | str = "cpu"
) -> tuple[PrevalenceMLP, list[dict[str, float]]]:
    """The network and its losses by epoch, trained on validation probabilities (N, C) and targets (N, C)."""
    n_documents, n_codes = targets.shape
    groups = training_groups(n_documents, settings.train_samples, settings.seed)
    pcc, prevalence = group_means(groups, probabilities), group_means(groups, targets)
    held_out = None
    if settings.early_stopping == "validation":
        (pcc, prevalence), held_out = hold_out(pcc, prevalence, settings.seed)

    torch.manual_seed(settings.seed)
    model = PrevalenceMLP(n_codes, settings.hidden).to(device)
    schedule = settings.model_dump(include={"learning_rate", "epochs", "patience"})
    orders = shuffle_epochs(len(pcc), settings.seed)
    return model, fit_mlp(model, pcc, prevalence, orders, held_out=held_out, **schedule)


def main() -> None:
    settings = params.load()
    quantifier = settings.quantifier
    path, targets = paths.predictions(paths.PREDICTIONS, "val"), io.read_csr(paths.targets("val"))
    logits = read_logits(path)
    if logits.shape != targets.shape:
        raise InputError(f"{path} has logits {logits.shape}, the targets are {targets.shape}; run `dvc repro`")
    small = targets.shape[1] * quantifier.hidden < SHARED_WEIGHTS
    accelerator = devices.start(settings.compute, "float32", n_threads=1 if small else None)
    model, history = train(expit(logits), targets, quantifier, accelerator.device)
    with io.whole_directory(paths.QUANTIFIER) as folder:
        save_mlp(model, folder)
        io.write_json(folder / "history.json", history)

    watched = "train_loss" if quantifier.early_stopping == "original" else "val_loss"
    best = min(history, key=lambda losses: losses[watched])
    log.info(
        "%d samples of %d documents, %d epochs; best is epoch %d with %s %.4g",
        *(quantifier.train_samples, len(logits), len(history), best["epoch"], watched, best[watched]),
    )


if __name__ == "__main__":
    run(main, memory="quantifier.hidden or quantifier.train_samples")
