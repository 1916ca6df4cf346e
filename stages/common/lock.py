"""What dvc.lock records about a run: the settings of its stages, and the checksums of their inputs and outputs.

params.yaml and metrics/ can belong to different runs (a setting was changed but nothing rerun, or a stage failed), so
the description of a figure or a model is read from here.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from stages.common import paths
from stages.common.io import InputError, md5


class Record:
    """The stages recorded in lock files; empty if a revision has no lock file."""

    def __init__(self, stages: dict[str, dict]) -> None:
        self.stages = stages
        self.maker = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}

    @classmethod
    def from_folder(cls, root: Path = Path()) -> "Record":
        return cls.read(lambda path: (root / path).read_bytes() if (root / path).is_file() else None, str(root))

    @classmethod
    def read(cls, read: Callable[[Path], bytes | None], where: str) -> "Record":
        """The record in the lock files that `read` returns. Raises InputError for a file that is not a lock file."""
        stages: dict[str, dict] = {}
        for path in paths.LOCKS:
            try:
                stages |= (yaml.safe_load(read(path) or b"") or {}).get("stages") or {}
            except (yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError, RecursionError):
                wrong = f"{path} of {where} is not a DVC lock file; `python -m tools.mend` repairs it"
                raise InputError(wrong) from None
        return cls(stages)

    def settings(self) -> dict[str, Any]:
        """The settings that the stages ran with, in the form of params.yaml.

        If two stages ran with different values (and the first produced the same bytes), the later stage wins.
        """
        needed = {name for stage in self.stages for name in self._upstream(stage)[1:]}
        ends = [name for name in self.stages if name not in needed]
        nearest_first = dict.fromkeys(name for end in ends for name in self._upstream(end))
        settings: dict[str, Any] = {}
        for stage in reversed(list(nearest_first)):
            recorded = (self.stages[stage].get("params") or {}).get(str(paths.PARAMS), {})
            for key, value in _leaves(recorded):
                section = settings
                *outer, last = key.split(".")
                for step in outer:
                    section = section.setdefault(step, {})
                section[last] = value
        return settings

    def has(self, stage: str, checksum: str) -> bool:
        return any(out.get("md5") == checksum for out in self.stages.get(stage, {}).get("outs", ()))

    def other_bytes(self, other: "Record") -> list[str]:
        """The stages whose outputs differ between two records with the same command, inputs and settings."""

        def differs(ours: dict, theirs: dict) -> bool:
            same = "deps" in ours and all(ours.get(key) == theirs.get(key) for key in ("cmd", "deps", "params"))
            expected = {out["path"]: out.get("md5") for out in theirs.get("outs", ())}
            return same and any(out.get("md5") != expected.get(out["path"], out.get("md5")) for out in ours["outs"])

        return [name for name in self.stages if name in other.stages and differs(self.stages[name], other.stages[name])]

    def doubt(self, path: Path, checksum: str) -> str | None:
        """Why a file or folder with this md5 cannot be attributed to `settings`; None if it can."""
        if not self.stages:
            return None
        stage = self.maker.get(path.as_posix())
        if stage is None or self._md5(stage, path.as_posix()) != checksum:
            return f"{path} is not what dvc.lock records"
        for name in self._upstream(stage):
            for dep in self.stages[name].get("deps", ()):
                maker = self.maker.get(dep["path"])
                if maker is not None and self._md5(maker, dep["path"]) != dep.get("md5"):
                    return f"{name} has not run since {dep['path']} changed"
        return None

    def _md5(self, stage: str, path: str) -> str | None:
        return next((out.get("md5") for out in self.stages[stage]["outs"] if out["path"] == path), None)

    def _upstream(self, stage: str) -> list[str]:
        """A stage and all its direct and indirect dependencies."""
        reached: list[str] = []
        waiting = [stage]
        while waiting:
            if (name := waiting.pop(0)) not in reached:
                reached.append(name)
                deps = (dep["path"] for dep in self.stages[name].get("deps", ()))
                waiting += [self.maker[path] for path in deps if path in self.maker]
        return reached


def md5_of_folder(folder: Path) -> str:
    """A folder's md5 as dvc.lock records it: that of the list of its files with their md5s."""
    files = (path for path in folder.rglob("*") if path.is_file())
    entries = [{"md5": md5(path.read_bytes()), "relpath": path.relative_to(folder).as_posix()} for path in files]
    entries.sort(key=lambda entry: entry["relpath"])
    return md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"


def _leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
