"""Checkpoints of a training run: written atomically, verified when read, and found by what defines the run.

A run's folder is named after a hash of everything that defines the run, so a killed run finds its checkpoints and a
changed run finds none. It is in DVC's cache folder, which all workspaces of a repository share, including the temporary
ones of `dvc exp run --temp` and `--queue`. A checkpoint is a folder of safetensors files and a `state.json` with their
checksums.
"""

import fcntl
import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, NamedTuple

from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stages.common import io
from stages.common.code import code_of_stage, meaning_of
from stages.common.devices import describe
from stages.common.io import InputError
from stages.common.lock import Record, md5_of_folder
from stages.common.params import Train
from stages.common.workspace import shared_folder

log = logging.getLogger(__name__)

EXACT = 17  # significant digits that restore a float exactly
LIBRARIES = ("accelerate", "numpy", "safetensors", "tokenizers", "torch", "transformers")  # used in training
KEPT = 2  # 5.4 GB each at GatorTron's size (the paper keeps 20)
FINISHED = "finished"  # marks the folder of a finished run, which the next training removes


class Checkpoint(NamedTuple):
    """The state of a run: plain values, and named groups of tensors."""

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def run_key(settings: dict[str, Any], inputs: Iterable[Path], stage: str) -> str:
    """A short name for the run of `stage` defined by `settings` (plain values) and the content of `inputs`.

    The stage's code (without comments and docstrings) and the versions of `LIBRARIES` are part of the definition.
    """
    content = {
        "settings": settings,
        "inputs": [io.digest(path) for path in inputs],
        "code": {file.as_posix(): meaning_of(file) for file in code_of_stage(stage)},
        "libraries": {name: version(name) for name in LIBRARIES},
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def open_run(
    stage: str, settings: Train, others: dict[str, Any], inputs: Iterable[Path], accelerator: Accelerator
) -> "CheckpointFolder":
    """The checkpoints of the run defined by `settings`, `others` and the content of `inputs`, locked."""
    defining = settings.model_dump(exclude={"start_from"}) | others | describe(accelerator)
    folder = CheckpointFolder(shared_folder() / run_key(defining, inputs, stage))
    if accelerator.is_main_process:
        folder.hold(stage)
        folder.tidy()
    return folder


class CheckpointFolder:
    """The newest `KEPT` checkpoints of one run, numbered by optimiser step."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.held: IO[bytes] | None = None

    def hold(self, stage: str) -> None:
        """Lock the run's folder until this process ends; the second of two equal runs waits.

        If this run already finished, resume only when DVC did not record its outputs; otherwise start over.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        lock = _lock_of(self.folder).open("ab")
        if not _try_lock(lock):
            log.info("another process is training this run; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        self.held = lock
        marker = self.folder / FINISHED
        if marker.exists():
            recorded = Record.from_folder()
            if not recorded.stages or recorded.has(stage, marker.read_text(encoding="utf-8")):
                shutil.rmtree(self.folder)
            else:
                log.info("this run had finished, but its outputs were lost: restoring them from its last checkpoint")
                marker.unlink()

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint of `step`, then remove outdated ones."""
        with io.whole_directory(self.folder / f"step-{step:08d}") as partial:
            for name, tensors in checkpoint.tensors.items():
                contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
                save_file(contiguous, partial / f"{name}.safetensors")
            checksums = {name: io.digest(partial / f"{name}.safetensors") for name in checkpoint.tensors}
            io.write_json(partial / "state.json", {"state": checkpoint.state, "checksums": checksums}, digits=EXACT)
        for old in self._newest_first()[KEPT:]:
            shutil.rmtree(old)

    def newest(self) -> Checkpoint | None:
        for folder in self._newest_first():
            try:
                return _read(folder)
            except (InputError, OSError, SafetensorError, KeyError, TypeError) as error:
                log.warning("checkpoint %s is damaged and skipped: %s", folder.name, error)
        return None

    def tidy(self) -> None:
        """Remove the remains of finished runs, and log how many runs are unfinished."""
        n_unfinished = 0
        for folder in sorted(self.folder.parent.glob("*")):
            if not folder.is_dir() or folder == self.folder or folder.name.startswith("."):
                continue
            with _lock_of(folder).open("ab") as lock:
                if not _try_lock(lock):
                    continue  # it is in progress
                if (folder / FINISHED).exists():
                    for inner in folder.glob("*/"):  # the marker last: a kill must not leave what looks unfinished
                        shutil.rmtree(inner, ignore_errors=True)
                    shutil.rmtree(folder, ignore_errors=True)
                    _lock_of(folder).unlink(missing_ok=True)
                else:
                    n_unfinished += 1
        if n_unfinished:
            where = self.folder.parent
            log.info("%s has checkpoints of %d other, unfinished runs", where, n_unfinished)

    def finish(self, output: Path) -> None:
        """Mark the run as finished, with `output` written but not yet recorded by DVC.

        Its newest checkpoint is kept until the next training in case the process is killed before DVC is done.
        """
        for old in self._newest_first()[1:]:
            shutil.rmtree(old)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / FINISHED).write_text(md5_of_folder(output), encoding="utf-8")
        if self.held:
            self.held.close()

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _try_lock(lock: IO[bytes]) -> bool:
    """Take a lock if it is free; it is released when its file is closed or the process ends in any way."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(folder: Path) -> Checkpoint:
    content = io.read_json(folder / "state.json")
    tensors = {}
    for name, checksum in content["checksums"].items():
        path = folder / f"{name}.safetensors"
        if io.digest(path) != checksum:
            raise InputError(f"{path.name} is not as it was written")
        tensors[name] = load_file(path)
    return Checkpoint(content["state"], tensors)
