"""`dvc exp run`, temporary and queued, and what `dvc exp show` lists."""

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import TRAINING, Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with everything in git, after a cold run, so that experiments can be made from it."""
    project = Project(tmp_path_factory.mktemp("committed"))
    project.repro()
    project.commit()
    return project


def test_the_readme_s_list_of_experiments_names_them(committed: Project):
    [line] = re.findall(r"^ +dvc (exp show .*)$", (committed.root / "README.md").read_text(), re.MULTILINE)
    shown = committed.run("dvc", *shlex.split(line)).stdout
    for word in ("Experiment", "workspace", "CE_MSAM", "f1_micro", "mece", "synonyms.M"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_a_temporary_experiment_runs_only_what_is_affected_and_goes_on_after_a_kill(committed: Project):
    """In a workspace that has only what git and DVC track, and from the checkpoint of one that is gone."""
    done = committed.run("dvc", "exp", "run", "--temp", "-S", "model.type=CE")
    assert done.returncode == 0, done.stderr[-2000:]
    ran = set(re.findall(r"Running stage '(?:[\w/]+dvc\.yaml:)?(\w+)'", done.stdout))
    assert ran == {"check_params"} | TRAINING

    long = ("dvc", "exp", "run", "--temp", "-S", "train.epochs=400", "-S", "train.patience=399")
    folder = committed.root / ".dvc" / "cache" / "checkpoints"
    earlier = set(folder.iterdir())  # of finished runs, which the next one removes
    killed = committed.start(*long)
    wait_for(lambda: any(step.parent not in earlier for step in folder.glob("*/step-*")))
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    again = committed.start(*long)
    try:
        wait_for(lambda: "going on from epoch" in committed.said())
    finally:
        os.killpg(again.pid, signal.SIGKILL)
        again.wait()


def wait_for(condition: Callable[[], bool], tries: int = 3000) -> None:
    """Look again and again, for ten minutes, as a busy machine may need."""
    for _ in range(tries):
        if condition():
            return
        time.sleep(0.2)
    raise AssertionError("it never came")


def test_queued_experiments_run_in_a_clone_that_has_run_nothing(tmp_path: Path):
    """Whose dvc.lock names outputs that no cache has; the second experiment finds the first one's in the run cache."""
    project = Project(tmp_path)
    project.commit()
    assert project.run("dvc", "exp", "run", "--queue", "-S", "model.type=CE,LE").returncode == 0
    done = project.run("dvc", "exp", "run", "--run-all")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    listed = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    experiments = [revision for one in listed for revision in one["experiments"] or []]
    assert len(experiments) == 2
    types = set()
    for experiment in experiments:
        [revision] = experiment["revs"]
        assert revision["data"]["metrics"]["metrics/paper.json"]["data"]["f1_micro"] >= 0
        types.add(revision["data"]["params"]["params.yaml"]["data"]["model"]["type"])
    assert types == {"CE", "LE"}
