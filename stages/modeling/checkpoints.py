"""Checkpoints of a training run: whole or absent, checked when read, found again by what defines the run.

A run's folder is named by a hash of everything that defines it, so a run that was killed finds its checkpoints
and a changed run finds none. A checkpoint is a folder of safetensors files and a `state.json` with their checksums.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from stages.project.errors import InputError
from stages.project.files import read_json, whole_directory
from stages.project.formats import write_json

log = logging.getLogger(__name__)

EXACT = 17  # significant digits that give a float back to the last bit


class Checkpoint(NamedTuple):
    """What is kept: plain values, and named groups of tensors."""

    state: dict[str, Any]
    tensors: dict[str, dict[str, Tensor]]


def digest(path: Path) -> str:
    """The SHA-256 of a file, or of a folder's files with their names."""
    path = Path(path)
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{digest(file)}\n".encode())
        return total.hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def run_key(settings: dict[str, Any], inputs: Iterable[Path]) -> str:
    """A short name for the run that `settings` (plain values) and the content of `inputs` (files, folders) define.

    The code of this package is part of what defines a run.
    """
    code = sorted(Path(__file__).parent.glob("*.py"))
    content = {"settings": settings, "inputs": [digest(path) for path in (*inputs, *code)]}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


class CheckpointFolder:
    """The checkpoints of one run, numbered by optimiser steps; the newest `keep` are kept."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = Path(folder)
        self.keep = keep

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write the checkpoint of `step`, then remove those too old to be kept."""
        with whole_directory(self.folder / f"step-{step:08d}") as partial:
            for name, tensors in checkpoint.tensors.items():
                contiguous = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
                save_file(contiguous, partial / f"{name}.safetensors")
            checksums = {name: digest(partial / f"{name}.safetensors") for name in checkpoint.tensors}
            write_json(partial / "state.json", {"state": checkpoint.state, "checksums": checksums}, digits=EXACT)
        for old in self._newest_first()[self.keep :]:
            shutil.rmtree(old)

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, or None; a damaged one is reported and skipped."""
        for folder in self._newest_first():
            try:
                return _read(folder)
            except (InputError, OSError, SafetensorError, KeyError, TypeError) as error:
                log.warning("checkpoint %s is damaged and skipped: %s", folder.name, error)
        return None

    def log_others(self) -> None:
        """Say how many other runs have left checkpoints, for nothing but their own end removes them."""
        others = [path for path in self.folder.parent.glob("*") if path.is_dir() and path != self.folder]
        if others:
            log.info(
                "%s: %d other runs were left unfinished; what they keep can be deleted", self.folder.parent, len(others)
            )

    def remove(self) -> None:
        """Remove the run's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _newest_first(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), reverse=True)


def _read(folder: Path) -> Checkpoint:
    """Read a checkpoint. Raises InputError where a file is not as it was written."""
    content = read_json(folder / "state.json")
    tensors = {}
    for name, checksum in content["checksums"].items():
        path = folder / f"{name}.safetensors"
        if digest(path) != checksum:
            raise InputError(f"{path.name} is not as it was written")
        tensors[name] = load_file(path)
    return Checkpoint(content["state"], tensors)
