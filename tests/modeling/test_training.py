"""The training loop, on a model so small that its steps can be repeated by hand."""

import json
import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from stages.common import devices
from stages.common.io import InputError
from stages.common.params import Train
from stages.encoder.architecture import Architecture
from stages.encoder.tokenizer import SpecialIds
from stages.modeling.checkpoints import CheckpointFolder
from stages.modeling.clq import GroupSums, JointLoss
from stages.modeling.data import Documents, epoch_steps
from stages.modeling.inference import predict
from stages.modeling.training import BinaryCrossEntropy, Goal, Training, micro_f1
from stages.quantification.quantifiers import PrevalenceMLP
from tests.project import CPU

CODES = 3
WORDS = 20
SETTINGS = {
    "output_learning_rate": None,
    "warmup": 0.0,
    "start_from": None,
    "learning_rate": 0.05,
    "weight_decay": 0.01,
    "epochs": 3,
    "patience": 3,
    "batch_documents": 4,
    "chunk_budget": 8,
    "clip_norm": 1.0,
    "compile": False,
    "seed": 7,
}


class WordAverage(nn.Module):
    """Scores codes by the mean embedding of a row's tokens, and takes the maximum over a document's rows."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, 8)
        self.score = nn.Linear(8, CODES)
        self.dropout = nn.Dropout(dropout)
        self.unused = nn.Linear(2, 2)

    def forward(self, batch):
        input_ids, attention_mask, document, documents, _ = batch
        mask = attention_mask[:, :, None]
        mean = (self.words(input_ids) * mask).sum(dim=1) / mask.sum(dim=1)
        logits = self.score(self.dropout(mean))
        return torch.stack([logits[document == index].amax(dim=0) for index in range(documents)])


def some_documents(count: int, seed: int) -> Documents:
    """Random documents whose code c is present when the word 5 + c occurs."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(3, WORDS, size=rng.integers(3, 30)) for _ in range(count)]
    targets = sp.csr_array(np.array([[int(5 + code in text) for code in range(CODES)] for text in texts], np.uint8))
    tokens = [np.concatenate([[1], text, [2]]).astype(np.int32) for text in texts]
    architecture = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=8, max_tokens=64)
    ids = [f"{seed}-{number}" for number in range(count)]
    offsets = np.cumsum([0, *map(len, tokens)])
    return Documents(ids, np.concatenate(tokens), offsets, targets, architecture, SpecialIds(1, 2, 0))


def new_training(folder, dropout=0.0, joint=False, **changes) -> Training:
    torch.manual_seed(0)
    settings = Train(**{**SETTINGS, **changes})
    train = some_documents(26, seed=1)
    quantifier, groups = PrevalenceMLP(CODES, 4), GroupSums(len(train), CODES, seed=3)
    return Training(
        model=WordAverage(dropout),
        objective=JointLoss(quantifier, groups, weight=10.0, delta=0.5) if joint else BinaryCrossEntropy(),
        train=train,
        val=some_documents(10, seed=2),
        settings=settings,
        goal=Goal("f1_micro", higher_is_better=True),
        metrics=lambda logits, targets: {"f1_micro": micro_f1(logits, targets)},
        accelerator=devices.start(CPU),
        checkpoints=CheckpointFolder(folder),
    )


def trained(folder, **changes) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """The weights and the history of a run."""
    run = new_training(folder, **changes)
    history = run.run()
    return {name: weight.clone() for name, weight in run.learner.state_dict().items()}, history


def assert_same_weights(first, second, tolerance: float = 0.0) -> None:
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=tolerance, msg=lambda text, n=name: n + text)


class Killed(BaseException):
    """Stands for kill -9: nothing catches it."""


def kill_after_steps(run: Training, steps: int) -> None:
    """Let `run` die when it has taken so many optimiser steps, a checkpoint having just been due at each."""
    taken = iter(range(steps))

    def die(*_) -> None:
        if next(taken, None) is None:
            raise Killed

    run.optimizer.register_step_pre_hook(die)


@pytest.mark.slow
def test_it_learns(tmp_path):
    run = new_training(tmp_path, epochs=60, patience=60)
    history = run.run()
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]
    logits = predict(run.learner.model, run.train, 8, run.accelerator)
    assert micro_f1(logits.numpy(), run.train.targets.toarray()) > 0.9


def test_a_step_is_the_mean_over_its_documents(tmp_path):
    """The plain loop, one document after the other, torch's own scheduler: the same weights, losses and order."""
    run = new_training(tmp_path, epochs=2)
    run.metrics = lambda *_: {"f1_micro": len(run.progress.history)}
    history = run.run()
    reference = new_training(tmp_path / "other", epochs=2)
    model, train = reference.learner.model, reference.train
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.01)
    steps = math.ceil(len(train) / 4)
    scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=2 * steps)
    for epoch in range(2):
        losses = []
        for step in epoch_steps(train.n_tokens, 4, seed=7, epoch=epoch):
            for index in step:
                logits = model(train.batch([index]))
                loss = binary_cross_entropy_with_logits(logits, train.dense_targets([index]))
                (loss / len(step)).backward()
                losses.append(loss.item())
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            optimizer.zero_grad()
        assert history[epoch]["train_loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert_same_weights(run.learner.model.state_dict(), model.state_dict(), tolerance=1e-5)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("chunk_budget", [1, 20, 1000])
def test_passes_do_not_change_what_is_learned(tmp_path, joint, chunk_budget):
    expected, _ = trained(tmp_path / "a", joint=joint)
    result, _ = trained(tmp_path / "b", joint=joint, chunk_budget=chunk_budget)
    assert_same_weights(expected, result, tolerance=1e-5)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("steps", [0, 7, 20])
def test_a_killed_run_ends_as_if_never_killed(tmp_path, monkeypatch, joint, steps):
    """Killed after some steps, then again before it has ended; the weights are the same bit for bit."""
    monkeypatch.setattr("stages.modeling.training.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("stages.modeling.training.CHECKPOINT_SHARE", math.inf)
    expected, history = trained(tmp_path / "undisturbed", joint=joint, dropout=0.3)
    for taken_before_death in (steps, 1) if steps < 20 else (steps,):
        run = new_training(tmp_path / "killed", joint=joint, dropout=0.3)
        kill_after_steps(run, taken_before_death)
        with pytest.raises(Killed):
            run.run()
    weights, resumed_history = trained(tmp_path / "killed", joint=joint, dropout=0.3)
    assert_same_weights(expected, weights)
    assert [list(row.items()) for row in resumed_history] == [list(row.items()) for row in history]


@pytest.fixture
def scaled(monkeypatch):
    """Training with a scaled loss, as under fp16, which a CPU does not have."""
    start = devices.start

    def with_scaler(*arguments):
        accelerator = start(*arguments)
        accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=3)
        return accelerator

    monkeypatch.setattr(devices, "start", with_scaler)


def test_a_scaled_loss_learns_the_same(tmp_path, request):
    """A power of two changes no bit of a float32 gradient."""
    expected, _ = trained(tmp_path / "plain", epochs=2)
    request.getfixturevalue("scaled")
    assert_same_weights(trained(tmp_path / "scaled", epochs=2)[0], expected)


def test_the_scale_of_the_loss_outlives_a_kill(tmp_path, scaled, monkeypatch):
    """It grows every three steps, so a run that began anew with it would end with another."""
    monkeypatch.setattr("stages.modeling.training.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("stages.modeling.training.CHECKPOINT_SHARE", math.inf)
    whole, killed, again = (new_training(tmp_path / name, epochs=2) for name in ("whole", "killed", "killed"))
    whole.run()
    kill_after_steps(killed, 4)
    with pytest.raises(Killed):
        killed.run()
    again.run()
    assert again.scaler.state_dict() == whole.scaler.state_dict()
    assert whole.scaler.get_scale() > killed.scaler.get_scale() > 2.0**20


def test_early_stopping_keeps_the_best_epoch(tmp_path):
    values = iter([0.1, 0.5, 0.3, 0.5, 0.2, 0.9])
    run = new_training(tmp_path, epochs=6, patience=3)
    seen = []

    def metrics(logits, targets):
        seen.append(run.learner.model.score.weight.clone())
        return {"f1_micro": next(values)}

    run.metrics = metrics
    history = run.run()
    assert [row["val_f1_micro"] for row in history] == [0.1, 0.5, 0.3, 0.5, 0.2]
    assert torch.equal(run.learner.model.score.weight, seen[1])


def test_lower_is_better_where_the_goal_says_so():
    assert Goal("mece", higher_is_better=False).better(0.1, 0.2)
    assert not Goal("mece", higher_is_better=False).better(0.2, 0.2)
    assert Goal("f1_micro", higher_is_better=True).better(0.0, None)


def test_a_loss_that_is_no_number_names_step_and_documents(tmp_path):
    run = new_training(tmp_path)
    steps = epoch_steps(run.train.n_tokens, 4, seed=7, epoch=1)

    def spoil(logits, targets):
        with torch.no_grad():
            run.learner.model.score.bias.fill_(math.nan)
        return {"f1_micro": 0.5}

    run.metrics = spoil
    documents = ", ".join(run.train.ids[index] for index in steps[0])
    with pytest.raises(InputError, match=rf"epoch 2, step 1 \(documents {documents}\)"):
        run.run()


def test_weights_that_turn_nan_in_the_last_step_are_reported(tmp_path):
    """The last step's loss was still one, but its gradient was not: the logits of validation show it."""
    run = new_training(tmp_path)
    train_epoch = run.train_epoch

    def spoil():
        train_epoch()
        with torch.no_grad():
            run.learner.model.score.bias.fill_(math.nan)

    run.train_epoch = spoil
    with pytest.raises(InputError, match="the weights are no longer finite numbers after epoch 1"):
        run.run()


def test_a_collapse_is_reported(tmp_path, caplog):
    run = new_training(tmp_path, epochs=2)
    run.metrics = lambda logits, targets: {"f1_micro": 0.0}
    run.run()
    assert caplog.text.count("nothing is predicted after epoch") == 2
    assert "training ends with nothing predicted" in caplog.text


def test_a_gpu_out_of_memory_names_the_parameter(tmp_path):
    run = new_training(tmp_path)

    def too_large(*_):
        raise torch.cuda.OutOfMemoryError

    run.learner.model.forward = too_large
    with pytest.raises(InputError, match=r"train\.chunk_budget 8; lower it"):
        run.run()


def test_checkpoints_kept_and_nothing_pickled(tmp_path):
    trained(tmp_path, epochs=3)
    assert [folder.name for folder in sorted(tmp_path.iterdir())] == ["step-00000014", "step-00000021"]
    assert {file.suffix for file in tmp_path.rglob("*") if file.is_file()} == {".json", ".safetensors"}
    state = json.loads((tmp_path / "step-00000021" / "state.json").read_text())["state"]
    assert (state["epoch"], state["steps"], len(state["history"])) == (3, 0, 3)


def test_micro_f1_by_hand():
    logits = np.array([[2.0, -1.0, 0.0], [1.0, 1.0, -3.0]])
    targets = np.array([[1, 1, 0], [0, 1, 0]])
    assert micro_f1(logits, targets) == pytest.approx(2 * 2 / (3 + 3))
    assert micro_f1(-np.ones((2, 3)), np.zeros((2, 3))) == 0.0
