"""The whole pipeline at small size under DVC: that bytes repeat, and that what a failure lost comes back."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.as_mimic4 import write_as_mimic4
from stages.common import paths
from tests.project import Project


def test_cold_run_runs_every_stage_and_ends_in_metrics_and_plots(project: Project):
    stages = re.findall(r"^  (\w+):$", (project.root / "dvc.yaml").read_text(), re.MULTILINE)
    assert project.ran_cold >= {stage for stage in stages if (project.root / f"stages/{stage}.py").exists()} - {
        "check_params"
    }
    for metrics in (paths.CLASSIFICATION, paths.CALIBRATION, paths.QUANTIFICATION):
        assert set(project.read(metrics)) >= {"test"}
    assert 0 <= project.read(paths.CLASSIFICATION)["test"]["f1_micro"] <= 1
    explained = project.read(paths.EXPLANATIONS)["test"]
    assert explained["annotated_documents"] == explained["masked_documents"] == 5
    assert set(explained["plausibility"]) >= {"contribution", "random"}
    assert explained["traps"]["named"] > explained["traps"]["assigned"]
    assert project.run("dvc", "metrics", "show").returncode == 0
    shown = project.run("dvc", "plots", "show")
    assert shown.returncode == 0, shown.stderr
    assert (project.root / "dvc_plots/index.html").exists()


def test_figures_of_another_model_fill_two_screens(project: Project):
    """What `dvc metrics diff` shows without a target; it skips lists."""

    def count(content: dict) -> int:
        return sum(count(it) if isinstance(it, dict) else not isinstance(it, list) for it in content.values())

    classifier = paths.PAPER, paths.CLASSIFICATION, paths.CALIBRATION, paths.SELECTIVE, paths.EXPLANATIONS
    changing = *classifier, paths.QUANTIFICATION, paths.SYNONYM_STATISTICS
    assert sum(count(project.read(path)) for path in changing) <= 130


def test_nothing_to_do(project: Project):
    assert project.repro() == set()


@pytest.mark.slow
def test_on_a_gpu(base: Project, cuda: str):
    alone = base.read(paths.CLASSIFICATION)["test"]["auc_micro"]
    base.configure(f"compute.device={cuda}")
    assert base.repro() >= {"train_classifier", "predict"}
    assert base.read(paths.CLASSIFICATION)["test"]["auc_micro"] == pytest.approx(alone, abs=0.05)


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
def test_two_processes_by_a_parameter(base: Project):
    lock = (base.root / "dvc.lock").read_bytes()
    alone = base.read(paths.CLASSIFICATION)["test"]["auc_micro"]
    base.configure("compute.launch=torchrun --standalone --nproc-per-node 2")
    assert base.repro() == set()  # the number of processes alone reruns nothing
    done = base.run("dvc", "repro", "-f", "-s", "train_classifier", "predict", "train_quantifier", "evaluate")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stderr.count("processes 2,") == 2  # train_classifier, predict
    assert base.read(paths.CLASSIFICATION)["test"]["auc_micro"] == pytest.approx(alone, abs=1e-3)
    # What two processes learned differs by rounding, and would stay, for nothing of it reruns.
    (base.root / "dvc.lock").write_bytes(lock)
    assert base.run("dvc", "checkout", "--force", "--allow-missing").returncode == 0
