"""Folders that tests work in: with the project's settings, with git, or a copy of the whole repository under DVC."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from stages.common import params, paths
from stages.common.params import Compute
from tools import preset

ROOT = Path(__file__).parents[1]
CPU = Compute(device="cpu", precision="float32", threads=1, portable=False, launch="python")

SMALL = (
    "compute.device=cpu",
    "compute.threads=1",
    "compute.portable=false",
    "demo.admissions=160",
    "encoder.steps=4",
    "train.epochs=1",
    "clq.epochs=1",
    "quantifier.epochs=2",
    "quantifier.train_samples=40",
    "quantifier.test_samples=20",
    "evaluate.bootstrap=5",
    "explain.documents=5",
)
AFTER_TRAINING = {"predict", "train_quantifier", "train_joint", "evaluate", "score_open", "explain"}
TRAINING = {"labelize", "train_classifier"} | AFTER_TRAINING


def set_params(**changes: Any) -> None:
    """Change ./params.yaml, given as section__key; it begins as the repository's."""
    path = paths.PARAMS if paths.PARAMS.exists() else ROOT / paths.PARAMS
    content = params.parse(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        section, key = name.split("__")
        content[section][key] = value
    paths.PARAMS.write_text(yaml.safe_dump(content))


def git(*arguments: str) -> str:
    """What git answers in the present folder."""
    command = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.org", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Project:
    """A copy of the repository in a folder of its own, with the settings of a run of seconds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        here = Path.cwd()
        # The checkout may belong to another user.
        listed = subprocess.run(
            ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.splitlines()):
            if (here / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(here / name, root / name)
        self.base = preset.apply((root / paths.PARAMS).read_text(encoding="utf-8"), map(preset.override, SMALL))
        self.configure()
        self.run("git", "init", "-q")
        author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
        self.run("git", *author, "commit", "-q", "--allow-empty", "-m", "start")

    def configure(self, *overrides: str) -> None:
        """Settings of the small run, with `overrides`."""
        changed = preset.apply(self.base, map(preset.override, overrides))
        (self.root / paths.PARAMS).write_text(changed, encoding="utf-8")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """A command in the project's folder, with this environment's programs first."""
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": programs, "PYTHONPATH": "", **environment}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def repro(self, *arguments: str, **environment: str) -> set[str]:
        """The stages that `dvc repro` ran, without the check of the parameters, which runs on each change."""
        done = self.run("dvc", "repro", *arguments, **environment)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        ran = re.findall(r"Running stage '(?:[\w/]+dvc\.yaml:)?(\w+)'", done.stdout)
        return set(ran) - {"check_params"}

    def commit(self) -> None:
        """Put everything that git does not ignore into a commit."""
        author = ("-c", "user.name=tests", "-c", "user.email=tests@example.org")
        self.run("git", "config", "user.name", "tests")
        self.run("git", "config", "user.email", "tests@example.org")
        self.run("git", "add", "-A")
        self.run("git", *author, "commit", "-q", "-m", "state")

    def start(self, *command: str) -> subprocess.Popen:
        """A command in the project's folder, in a process group of its own, its output in a file."""
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        with (self.root.parent / "said").open("w") as said:
            return subprocess.Popen(
                command, cwd=self.root, env=environment, stdout=said, stderr=said, start_new_session=True
            )

    def said(self) -> str:
        """What the command that was started last has said."""
        return (self.root.parent / "said").read_text()

    def read(self, path: Path) -> dict:
        return json.loads((self.root / path).read_text(encoding="utf-8"))
