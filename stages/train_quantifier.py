"""Train the network that turns the mean probabilities of a group of documents into the prevalence of every code."""

import logging

import numpy as np
import scipy.sparse as sp
import torch
from scipy.special import expit

from stages.handover.logits import read_logits
from stages.modeling import devices
from stages.project import paths
from stages.project.errors import InputError
from stages.project.files import whole_directory
from stages.project.formats import read_csr, write_json
from stages.project.params import Quantifier, load
from stages.project.stage import run
from stages.quantification.quantifiers import PrevalenceMLP, fit_mlp, hold_out, save_mlp, shuffled
from stages.quantification.sampling import group_means, training_groups

log = logging.getLogger("stages.train_quantifier")

SHARED_WEIGHTS = 500_000  # a layer of fewer weights costs several threads more in waiting than it saves


def train(
    probabilities: np.ndarray, targets: sp.csr_array, params: Quantifier, device: torch.device | str = "cpu"
) -> tuple[PrevalenceMLP, list[dict[str, float]]]:
    """The network and its losses by epoch, from validation probabilities (N, C) and targets (N, C)."""
    n_documents, n_codes = targets.shape
    groups = training_groups(n_documents, params.train_samples, params.seed)
    pcc, prevalence = group_means(groups, probabilities), group_means(groups, targets)
    held_out = None
    if params.early_stopping == "validation":
        (pcc, prevalence), held_out = hold_out(pcc, prevalence, params.seed)

    torch.manual_seed(params.seed)
    model = PrevalenceMLP(n_codes, params.hidden).to(device)
    history = fit_mlp(
        model,
        pcc,
        prevalence,
        shuffled(len(pcc), params.seed),
        held_out=held_out,
        learning_rate=params.learning_rate,
        delta=params.delta,
        batch_size=params.batch_size,
        epochs=params.epochs,
        patience=params.patience,
    )
    return model, history


def main() -> None:
    params = load()
    path, targets = paths.predictions(paths.PREDICTIONS, "val"), read_csr(paths.targets("val"))
    logits = read_logits(path)
    if logits.shape != targets.shape:
        raise InputError(f"{path} has logits {logits.shape}, the targets are {targets.shape}; run `dvc repro`")
    small = targets.shape[1] * params.quantifier.hidden < SHARED_WEIGHTS
    compute = devices.start(params.compute.device, "float32", 1 if small else params.compute.threads)
    model, history = train(expit(logits), targets, params.quantifier, compute.device)
    with whole_directory(paths.QUANTIFIER) as folder:
        save_mlp(model, folder)
        write_json(folder / "history.json", history)

    watched = "train_loss" if params.quantifier.early_stopping == "original" else "val_loss"
    best = min(history, key=lambda losses: losses[watched])
    log.info(
        "%d samples of %d documents, %d epochs; best is epoch %d with %s %.4g",
        params.quantifier.train_samples,
        len(logits),
        len(history),
        best["epoch"],
        watched,
        best[watched],
    )


if __name__ == "__main__":
    run(main, memory="quantifier.hidden or quantifier.train_samples")
