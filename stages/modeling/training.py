"""The training loop: steps of whole documents, validation after every epoch, early stopping, and checkpoints.

The result depends on the settings, the seed and the documents, not on whether the run was killed and resumed; nor,
without dropout, on how a step is split into passes and processes. Dropout masks are drawn per pass, as in attention's
own kernels, so with dropout another split is another run.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn import functional

from stages.common.io import InputError
from stages.common.params import Train
from stages.common.runner import progress_bar
from stages.modeling.checkpoints import Checkpoint, CheckpointFolder
from stages.modeling.data import Batch, Documents, epoch_steps
from stages.modeling.inference import load_batches, name_memory, predict
from stages.modeling.model import CodingModel

log = logging.getLogger(__name__)

COLLAPSE = "f1_micro"  # 0 on validation if no code is ever assigned
REMEDY = "lower train.learning_rate, raise train.warmup, or set compute.precision to float32"
CHECK_STEPS = 50  # on a GPU, steps between checks of the losses, which wait for the device
CHECKPOINT_SECONDS = 30  # at least this long between checkpoints within an epoch ...
CHECKPOINT_SHARE = 0.05  # ... and long enough that writing them takes at most this share of the time


class Goal(NamedTuple):
    """The validation metric for early stopping and for choosing the best epoch."""

    metric: str
    higher_is_better: bool

    def better(self, value: float, best: float | None) -> bool:
        return best is None or (value > best if self.higher_is_better else value < best)


class BinaryCrossEntropy(nn.Module):
    """The classifier's loss: binary cross-entropy with logits, mean over codes.

    It has no state; a loss with running sums within an epoch derives from it. `state` is the vector needed to resume
    within an epoch, and `restore` resumes from it.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each document: logits and targets (n, C) -> (n,)."""
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)

    def begin_epoch(self, epoch: int) -> None: ...

    def state(self) -> Tensor:
        return torch.zeros(0)

    def restore(self, state: Tensor) -> None: ...

    @torch.no_grad()
    def evaluate(self, logits: Tensor, targets: Tensor) -> Tensor:
        return self(logits, targets).mean()


class Learner(nn.Module):
    """A model and its objective as one module, so that data parallelism covers the weights of both."""

    def __init__(self, model: CodingModel, objective: BinaryCrossEntropy) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: Batch, targets: Tensor | None) -> Tensor:
        """The loss of each document (n,); 0 without targets, for a process without a document in a step."""
        logits = self.model(batch).float()
        if targets is None:
            return 0.0 * logits.sum(dim=1)
        with torch.autocast(logits.device.type, enabled=False):
            return self.objective(logits, targets)


@dataclass
class Progress:
    """The progress of a run: `history` has a row of metrics per finished epoch, `steps` counts within the epoch."""

    epoch: int = 0
    steps: int = 0
    best: float | None = None
    best_epoch: int | None = None
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def epochs_without_better(self) -> int:
        return self.epoch - 1 - (self.best_epoch or 0)


@dataclass
class Training:
    """A training run: `run` trains `model` and the objective's weights, and keeps those of the best epoch.

    metrics: maps validation logits (N, C) and targets (N, C) to figures by name; `goal` names one of them.
    checkpoints: where the run saves and finds its state. Raises InputError if the loss is not finite or a GPU runs out
    of memory.
    """

    model: CodingModel
    objective: BinaryCrossEntropy
    train: Documents
    val: Documents
    settings: Train
    goal: Goal
    metrics: Callable[[np.ndarray, np.ndarray], dict[str, float]]
    accelerator: Accelerator
    checkpoints: CheckpointFolder

    def __post_init__(self) -> None:
        settings, self.device = self.settings, self.accelerator.device
        self.learner = Learner(self.model, self.objective).to(self.device)
        if settings.compile:
            self.model.encoder.compile(dynamic=True)
        self.parallel = self.accelerator.prepare(self.learner)
        groups = self._parameter_groups()
        rate, decay = settings.learning_rate, settings.weight_decay
        self.optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=decay, fused=True)
        self.scaler: torch.amp.GradScaler | None = self.accelerator.scaler  # scales the loss under fp16
        self.n_steps = -(-len(self.train) // settings.batch_documents)
        # Each step's loss in this epoch, summed over this process's documents.
        self.losses = torch.zeros(self.n_steps, device=self.device)
        self.progress = Progress()
        self.best_weights: dict[str, Tensor] = {}
        self.saved_at = time.monotonic()
        self.save_seconds = 0.0

    def run(self) -> list[dict[str, float]]:
        """Train until the last epoch or until patience runs out. Returns the metrics of each epoch."""
        self._resume()
        progress, settings = self.progress, self.settings
        while progress.epoch < settings.epochs and progress.epochs_without_better < settings.patience:
            self.train_epoch()
            self._validate()
            self._save()
        self.learner.load_state_dict(self.best_weights)
        if self.goal.metric == COLLAPSE and progress.best == 0:
            log.warning("training ends with nothing predicted on validation; %s", REMEDY)
        log.info("best: epoch %d, %s %.4f", 1 + (progress.best_epoch or 0), self.goal.metric, progress.best)
        return progress.history

    def train_epoch(self) -> None:
        progress, settings = self.progress, self.settings
        steps = epoch_steps(self.train.n_tokens, settings.batch_documents, settings.seed, progress.epoch)
        if progress.steps == 0:
            self.learner.objective.begin_epoch(progress.epoch)
        self.parallel.train()
        tokens = [self.train.n_tokens[step].sum() for step in steps]
        bar = progress_bar(
            total=sum(tokens),
            initial=sum(tokens[: progress.steps]),
            desc=f"epoch {progress.epoch + 1}/{settings.epochs}",
            unit="token",
            unit_scale=True,
            leave=False,
            silent=not self.accelerator.is_main_process,
        )
        check_every = CHECK_STEPS if self.device.type == "cuda" else 1
        with bar, name_memory(settings.chunk_budget):
            assigned = [step[self.accelerator.process_index :: self.accelerator.num_processes] for step in steps]
            remaining = range(progress.steps, len(steps))
            # Without a document in a step, a process joins in its first one.
            taken = (assigned[i] if len(assigned[i]) else steps[i][:1] for i in remaining)
            passes = [self.train.passes(indices, settings.chunk_budget) for indices in taken]
            batches = load_batches(self.train, [part for step in passes for part in step], self.device)
            for i, step_passes in zip(remaining, passes, strict=True):
                self._take_step(i, len(steps[i]), len(assigned[i]) == 0, len(step_passes), batches)
                progress.steps = i + 1
                bar.update(tokens[i])
                if progress.steps % check_every == 0 or progress.steps == len(steps):
                    self._check_losses(steps)
                    if progress.steps < len(steps):
                        self._save_now_and_then()

    def _take_step(self, step: int, n_documents: int, idle: bool, n_passes: int, batches: Iterator) -> None:
        """One optimiser step on the mean loss over its documents, in one or more passes."""
        # Random numbers depend only on the position in the run, so generators need not be saved.
        place = (self.settings.seed, self.progress.epoch, step, self.accelerator.process_index)
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))
        weight = self.accelerator.num_processes / n_documents  # gradients are averaged over processes
        for number in range(n_passes):
            _, batch, targets = next(batches)
            last = number == n_passes - 1
            with nullcontext() if last else self.accelerator.no_sync(self.parallel):
                loss = self.parallel(batch, None if idle else targets).sum() * weight
                self.accelerator.backward(loss)
            self.losses[step] += loss.detach() / weight
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.learner.parameters(), self.settings.clip_norm)
        share = self._learning_rate_share(self.progress.epoch * self.n_steps + step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        if self.scaler is None:
            self.optimizer.step()
        else:  # skips a step with non-finite gradients, and lowers the scale
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.optimizer.zero_grad()

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """All weights with their peak learning rate; a plain head's last layer may have its own."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, weight in self.learner.named_parameters():
            peak = self.settings.output_learning_rate if name.startswith("model.head.output.") else None
            groups.setdefault(peak or self.settings.learning_rate, []).append(weight)
        return [{"params": weights, "peak": peak} for peak, weights in groups.items()]

    def _learning_rate_share(self, step: int) -> float:
        """The share of the peak learning rate at optimiser step `step` of the run.

        Linear warm-up, then linear decay to 0 over all epochs, whether reached or not. Unlike transformers' schedule,
        the warm-up does not waste its first step on a rate of 0.
        """
        total = self.settings.epochs * self.n_steps
        warm = self.settings.warmup * total
        return min((step + 1) / max(warm, 1), (total - step) / (total - warm))

    def _check_losses(self, steps: list[np.ndarray]) -> None:
        taken = self._over_processes(self.losses[: self.progress.steps])
        if bool(torch.isfinite(taken).all()):
            return
        step = int(torch.isfinite(taken).logical_not().nonzero()[0])
        ids = ", ".join(str(self.train.ids[index]) for index in steps[step])
        raise InputError(
            f"the loss is not a finite number in epoch {self.progress.epoch + 1}, step {step + 1} (documents {ids}); "
            "lower the learning rate or clip_norm in params.yaml, or check these documents"
        )

    def _validate(self) -> None:
        """Finish the epoch: record its metrics, and its weights if they are the best so far."""
        progress = self.progress
        losses = self._over_processes(self.losses)
        logits = predict(self.learner.model, self.val, self.settings.chunk_budget, self.accelerator, name="validation")
        if not bool(torch.isfinite(logits).all()):
            wrong = f"the weights are no longer finite numbers after epoch {progress.epoch + 1}"
            raise InputError(f"{wrong}; lower the learning rate or clip_norm in params.yaml")
        targets = self.val.dense_targets(range(len(self.val)))
        assert targets is not None
        row = {
            "epoch": progress.epoch + 1,
            "train_loss": losses.sum().item() / len(self.train),
            "val_loss": self.learner.objective.evaluate(logits.to(self.device), targets.to(self.device)).item(),
            **{f"val_{name}": value for name, value in self.metrics(logits.numpy(), targets.numpy()).items()},
        }
        row = dict(sorted(row.items()))  # the order in which a checkpoint restores it
        progress.history.append(row)
        value = row[f"val_{self.goal.metric}"]
        if self.goal.metric == COLLAPSE and value == 0:
            log.warning("nothing is predicted after epoch %d; if it stays so, %s", progress.epoch + 1, REMEDY)
        if self.goal.better(value, progress.best):
            progress.best, progress.best_epoch = value, progress.epoch
            weights = self.learner.state_dict()
            self.best_weights = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
        progress.epoch, progress.steps = progress.epoch + 1, 0
        self.losses.zero_()
        log.info(
            ", ".join(f"{name} {value if isinstance(value, int) else f'{value:.4f}'}" for name, value in row.items())
        )

    def _save_now_and_then(self) -> None:
        """Write a checkpoint within an epoch if enough time has passed; all processes do so together."""
        due = time.monotonic() - self.saved_at > max(CHECKPOINT_SECONDS, self.save_seconds / CHECKPOINT_SHARE)
        if bool(self._over_processes(torch.tensor(float(due), device=self.device))):
            self._save()

    def _save(self) -> None:
        """Write a checkpoint, from the first process, with the state of every process's objective."""
        began = time.monotonic()
        state = self.learner.objective.state().to(self.device)
        states = self.accelerator.gather(state[None]) if state.numel() else state
        losses = self._over_processes(self.losses)
        if self.accelerator.is_main_process:
            moments = self.optimizer.state_dict()["state"]  # parameter number -> quantity -> tensor
            tensors = {
                "weights": self.learner.state_dict(),
                "best": self.best_weights,
                "optimizer": {f"{i}:{name}": value for i, named in moments.items() for name, value in named.items()},
                "progress": {"losses": losses, "objective": states} | self._scale(),
            }
            taken = self.progress.epoch * self.n_steps + self.progress.steps
            self.checkpoints.save(taken, Checkpoint(asdict(self.progress), tensors))
        self.accelerator.wait_for_everyone()
        self.saved_at = time.monotonic()
        self.save_seconds = self.saved_at - began

    def _over_processes(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, "sum")

    def _scale(self) -> dict[str, Tensor]:
        kept = () if self.scaler is None else ("scale", "_growth_tracker")
        return {name: torch.tensor(float(self.scaler.state_dict()[name])) for name in kept}  # type: ignore[union-attr]

    def _resume(self) -> None:
        checkpoint = self.checkpoints.newest()
        if checkpoint is None:
            return
        self.progress = Progress(**checkpoint.state)
        self.learner.load_state_dict(checkpoint.tensors["weights"])
        self.best_weights = checkpoint.tensors["best"]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in checkpoint.tensors["optimizer"].items():
            number, name = key.split(":")
            state.setdefault(int(number), {})[name] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.losses = checkpoint.tensors["progress"]["losses"].to(self.device)
        if not self.accelerator.is_main_process:
            self.losses.zero_()  # the first process has the sum over all
        if self.scaler is not None:
            kept = {name: checkpoint.tensors["progress"][name].item() for name in self._scale()}
            kept["_growth_tracker"] = int(kept["_growth_tracker"])
            self.scaler.load_state_dict(self.scaler.state_dict() | kept)
        states = checkpoint.tensors["progress"]["objective"]
        if states.numel():
            self.learner.objective.restore(states[self.accelerator.process_index])
        log.info("going on from epoch %d, step %d", self.progress.epoch + 1, self.progress.steps)


def micro_f1(logits: np.ndarray, targets: np.ndarray) -> float:
    """Micro-F1 of decisions at probability 0.5: 2 tp / (2 tp + fp + fn), or 0 if there is nothing to find."""
    decided = logits > 0
    n_hits = np.count_nonzero(decided & (targets > 0))
    total = np.count_nonzero(decided) + np.count_nonzero(targets)
    return 2 * n_hits / total if total else 0.0
