"""Train the network that turns the mean probabilities of a group of documents into the prevalence of every code."""

import logging

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import expit

from stages import paths
from stages.errors import InputError
from stages.files import read_csr, whole_directory, write_json
from stages.params import Quantifier, load
from stages.quantification.quantifiers import PrevalenceMLP, fit_mlp, hold_out, save_mlp, shuffled
from stages.quantification.sampling import group_means, training_groups
from stages.stage import run

log = logging.getLogger("stages.train_quantifier")


def read_logits(part: str, shape: tuple[int, int]) -> np.ndarray:
    """The classifier's logits of one part, which should have `shape` (documents, codes). Raises InputError."""
    path = paths.predictions(paths.PREDICTIONS, part)
    try:
        logits = load_file(path)["logits"]
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `dvc repro` makes it") from None
    except (SafetensorError, KeyError) as error:
        raise InputError(f"{path} holds no logits ({error})") from None
    if logits.shape != shape:
        raise InputError(f"{path} has logits of shape {logits.shape}, but the targets have {shape}; run `dvc repro`")
    return logits


def train(
    probabilities: np.ndarray, targets, params: Quantifier, device: str = "cpu"
) -> tuple[PrevalenceMLP, list[dict[str, float]]]:
    """The network and its losses by epoch, from validation probabilities (N, C) and targets (N, C)."""
    documents, codes = targets.shape
    groups = training_groups(documents, params.train_samples, params.seed)
    pcc, prevalence = group_means(groups, probabilities), group_means(groups, targets)
    held_out = None
    if params.early_stopping == "validation":
        (pcc, prevalence), held_out = hold_out(pcc, prevalence, params.seed)

    torch.manual_seed(params.seed)
    model = PrevalenceMLP(codes, params.hidden).to(device)
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
    torch.set_num_threads(params.compute.threads)
    device = params.compute.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"

    targets = read_csr(paths.targets("val"))
    logits = read_logits("val", targets.shape)
    model, history = train(expit(logits), targets, params.quantifier, device)
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
    run(main)
