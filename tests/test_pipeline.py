"""The whole pipeline at small size under DVC, and what it promises: what reruns when, and that bytes repeat."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from benchmarks.as_mimic4 import write_as_mimic4
from stages.common import params, paths
from tools import preset

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


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("project"))
    project.ran_cold = project.repro()
    return project


@pytest.fixture
def base(project: Project) -> Iterator[Project]:
    """The project in the state of its cold run, and back in it afterwards (from DVC's run cache)."""
    yield project
    project.configure()
    project.repro()


def test_cold_run_runs_every_stage_and_ends_in_metrics_and_plots(project: Project):
    stages = re.findall(r"^  (\w+):$", (project.root / "dvc.yaml").read_text(), re.MULTILINE)
    assert project.ran_cold >= {stage for stage in stages if (project.root / f"stages/{stage}.py").exists()} - {
        "check_params"
    }
    for metrics in (paths.CLASSIFICATION, paths.CALIBRATION, paths.QUANTIFICATION):
        assert set(project.read(metrics)) == {"val", "test"}
    assert 0 <= project.read(paths.CLASSIFICATION)["test"]["f1_micro"] <= 1
    explained = project.read(paths.EXPLANATIONS)["test"]
    assert explained["annotated_documents"] == explained["masked_documents"] == 5
    assert set(explained["plausibility"]) >= {"contribution", "random"}
    assert explained["traps"]["named"] > explained["traps"]["assigned"]
    assert project.run("dvc", "metrics", "show").returncode == 0
    shown = project.run("dvc", "plots", "show")
    assert shown.returncode == 0, shown.stderr
    assert (project.root / "dvc_plots/index.html").exists()


def test_nothing_to_do(project: Project):
    assert project.repro() == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ((), ("synonyms.M=2",), {"select_synonyms"} | TRAINING),
        ((), ("synonyms.criterion=rand",), {"select_synonyms"} | TRAINING),
        (("model.type=CE",), ("synonyms.M=2",), {"select_synonyms", "labelize"}),
        ((), ("model.type=CE_MSAM_CLQ",), {"labelize", "train_joint", "evaluate", "score_open", "explain"}),
        (("model.type=CE",), ("model.type=LE",), TRAINING),
        ((), ("clq.lambda=50",), {"train_joint"}),
        ((), ("quantifier.seed=1",), {"train_quantifier", "train_joint", "evaluate"}),
        ((), ("evaluate.bins=10",), {"evaluate", "score_open"}),
        ((), ("evaluate.bootstrap=7",), {"baselines", "evaluate", "score_open", "explain"}),
        ((), ("explain.documents=3",), {"explain"}),
        ((), ("selective.recall=0.9",), {"evaluate"}),
        ((), ("model.window=32",), {"labelize"}),
        ((), ("compute.launch=torchrun --standalone --nproc-per-node 1",), set()),
        ((), ("train.warmup=0.1",), {"train_classifier"} | AFTER_TRAINING),
        (("model.type=CE_CLQ",), ("quantifier.test_samples=30",), {"evaluate"}),
    ],
    ids=lambda case: "+".join(case) if isinstance(case, tuple) else "",
)
def test_only_what_is_affected_reruns(base: Project, before: tuple, change: tuple, expected: set):
    if before:
        base.configure(*before)
        base.repro()
    changed = {key.partition("=")[0] for key in change}
    base.configure(*(setting for setting in before if setting.partition("=")[0] not in changed), *change)
    assert base.repro("--no-run-cache") == expected


@pytest.mark.slow
def test_an_earlier_experiment_comes_back_without_a_run(base: Project):
    lock = (base.root / "dvc.lock").read_bytes()
    base.configure("synonyms.M=1")
    assert "train_classifier" in base.repro()
    base.configure()
    assert base.repro() <= {"evaluate"}
    assert (base.root / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_two_processes_by_a_parameter(base: Project):
    lock = (base.root / "dvc.lock").read_bytes()
    alone = base.read(paths.CLASSIFICATION)["val"]["auc_micro"]
    base.configure("compute.launch=torchrun --standalone --nproc-per-node 2")
    assert base.repro() == set()  # the number of processes alone reruns nothing
    done = base.run("dvc", "repro", "-f", "-s", "train_classifier", "predict", "train_quantifier", "evaluate")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("processes 2,") == 2  # train_classifier, predict
    assert base.read(paths.CLASSIFICATION)["val"]["auc_micro"] == pytest.approx(alone, abs=1e-3)
    # What two processes learned differs by rounding, and would stay, for nothing of it reruns.
    (base.root / "dvc.lock").write_bytes(lock)
    assert base.run("dvc", "checkout", "--force", "--allow-missing").returncode == 0


@pytest.mark.slow
def test_on_a_gpu(base: Project, cuda: str):
    alone = base.read(paths.CLASSIFICATION)["val"]["auc_micro"]
    base.configure(f"compute.device={cuda}")
    assert base.repro() >= {"train_classifier", "predict"}
    assert base.read(paths.CLASSIFICATION)["val"]["auc_micro"] == pytest.approx(alone, abs=0.05)


@pytest.mark.slow
def test_forced_rerun_gives_the_same_bytes(base: Project):
    lock = (base.root / "dvc.lock").read_bytes()
    assert "evaluate" in base.repro("-f", PYTHONHASHSEED="7", TZ="Asia/Tokyo")
    assert (base.root / "dvc.lock").read_bytes() == lock


@pytest.mark.slow
def test_a_wrong_setting_stops_before_any_work_and_leaves_outputs(base: Project):
    text = (base.root / paths.PARAMS).read_text(encoding="utf-8")
    (base.root / paths.PARAMS).write_text(text.replace("type: CE_MSAM", "type: CA"), encoding="utf-8")
    before = base.read(paths.CLASSIFICATION)
    done = base.run("dvc", "repro")
    assert done.returncode != 0
    assert "model.type: 'CA' is not one of 'CE', 'CE_MSAM'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Running stage 'labelize'" not in done.stdout
    assert base.read(paths.CLASSIFICATION) == before
    assert (base.root / paths.CLASSIFIER).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "damage"),
    [
        ("prepare_splits", lambda root: (root / "data/demo/mimic/NOTEEVENTS.csv.gz").write_bytes(b"cut")),
        ("train_quantifier", lambda root: (root / "models/predictions/val.safetensors").write_bytes(b"cut")),
        ("evaluate", lambda root: (root / "data/splits/gold.json").write_text("{")),
    ],
)
def test_what_a_failed_stage_lost_comes_back(base: Project, stage: str, damage):
    """DVC takes outputs away before it runs a stage; the error says how to get them back, and that works."""
    before = (base.root / "dvc.lock").read_bytes()
    damage(base.root)
    done = base.run("dvc", "repro", "-f", "-s", stage)
    assert done.returncode != 0
    assert "dvc checkout --allow-missing" in done.stderr
    assert "Traceback" not in done.stderr
    assert base.run("dvc", "checkout", "--force", "--allow-missing").returncode == 0
    assert (base.root / "dvc.lock").read_bytes() == before
    assert base.run("dvc", "status", "--quiet").returncode in (0, 1)
    for entry in yaml.safe_load(before)["stages"].values():
        for output in entry.get("outs", []):
            if not output["path"].startswith("metrics/"):
                assert (base.root / output["path"]).exists(), output["path"]


def test_small_settings_differ_from_the_demo_only_in_size(project: Project):
    assert params.check(params.parse(project.base), "params.yaml").model.type == "CE_MSAM"


@pytest.mark.slow
def test_the_embedded_corpus_as_mimic4(project: Project, tmp_path: Path):
    """Through the whole pipeline; test_unicode.py has it as a table of one's own."""
    (tmp_path / "project").mkdir()
    other = Project(tmp_path / "project")
    raw = tmp_path / "raw"
    for name in ("hosp", "note"):
        (raw / name).mkdir(parents=True)
    write_as_mimic4(project.root / paths.DEMO, raw / "hosp", raw / "note")
    settings = ("data.subset=top50_icd9", f"data.notes_dir={raw}", "data.min_documents=1")
    other.configure("data.format=mimic4", f"data.raw_dir={raw}", *settings)
    assert other.repro() >= {"prepare_splits", "evaluate"}
    assert other.read(paths.SPLIT_STATISTICS)["codes"] > 40
    assert 0 <= other.read(paths.PAPER)["f1_micro"] <= 100


@pytest.fixture
def committed(tmp_path: Path) -> Project:
    """Another project with everything in git, after a cold run, so that experiments can be made from it."""
    (tmp_path / "project").mkdir()
    other = Project(tmp_path / "project")
    other.repro()
    other.commit()
    return other


@pytest.mark.slow
def test_a_temporary_experiment_runs_only_what_is_affected_and_goes_on_after_a_kill(committed: Project):
    """In a workspace that has only what git and DVC track, and from the checkpoint of one that is gone."""
    done = committed.run("dvc", "exp", "run", "--temp", "-S", "model.type=CE")
    assert done.returncode == 0, done.stderr[-2000:]
    ran = set(re.findall(r"Running stage '(?:[\w/]+dvc\.yaml:)?(\w+)'", done.stdout))
    assert ran == {"check_params"} | TRAINING

    long = ("dvc", "exp", "run", "--temp", "-S", "train.epochs=400", "-S", "train.patience=399")
    killed = committed.start(*long)
    folder = committed.root / ".dvc" / "cache" / "checkpoints"
    wait_for(lambda: any(not (step.parent / "finished").exists() for step in folder.glob("*/step-*")))
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


@pytest.mark.slow
def test_the_readme_s_list_of_experiments_names_them(committed: Project):
    [line] = re.findall(r"^ +dvc (exp show .*)$", (committed.root / "README.md").read_text(), re.MULTILINE)
    shown = committed.run("dvc", *shlex.split(line)).stdout
    for word in ("Experiment", "workspace", "CE_MSAM", "f1_micro", "mece", "synonyms.M"):
        assert word in shown
    assert max(map(len, shown.splitlines())) <= 120


@pytest.mark.slow
def test_an_earlier_revision_s_model_codes_notes(base: Project):
    """From DVC's cache, while the workspace has another model; and one without a model is told."""
    base.commit()
    (base.root.parent / "note.txt").write_text("History of atrial fibrillation, on coumadin. Acute renal failure.")
    command = (sys.executable, "-m", "tools.code_notes", "../note.txt", "--json", "../coded.json")

    def coded(*options: str) -> list[dict]:
        done = base.run(*command, *options)
        assert done.returncode == 0, done.stderr
        return json.loads((base.root.parent / "coded.json").read_text())

    before = coded()
    base.configure("train.seed=7")
    base.repro("predict")
    half = base.run(*command)
    assert half.returncode == 1
    assert "evaluate has not run since" in half.stderr  # the threshold is of the other model
    base.repro()
    assert coded() != before
    assert coded("--revision", "HEAD") == before
    done = base.run(*command, "--revision", "HEAD~1")
    assert done.returncode == 1
    assert "HEAD~1: its model is not in git and DVC's cache" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
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
