"""The report on a small repository with DVC: three branches, each an experiment with metrics and predictions."""

import json
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml
from dvc.repo import Repo
from safetensors.numpy import save_file
from scipy.special import expit

from stages.common import io, paths
from stages.common.io import InputError
from stages.evaluation import calibration, classification
from tests.project import git
from tools import report
from tools.reporting.experiments import settings_of

DOCUMENTS, CODES = 120, 6
BRANCHES = {"plain": ("CE", 2.5), "attending": ("CE_MSAM", 0.8), "wide": ("LE", 2.4)}


def write_experiment(type_, noise, params):
    """Predictions of logits with some noise, and the metrics that follow."""
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 3, (DOCUMENTS, CODES))
    targets = sp.csr_array((truth > 0).astype(np.uint8))
    logits = (truth + np.random.default_rng(1).normal(0, noise * 2, truth.shape)).astype(np.float32)
    params["model"]["type"] = type_
    paths.PARAMS.write_text(yaml.safe_dump(params))
    io.write_csr(paths.targets("test"), targets)
    subjects = [f"s{row // 2}" for row in range(DOCUMENTS)]
    io.write_parquet(
        paths.LABEL_DOCUMENTS, pd.DataFrame({"part": "test", "document_id": subjects, "subject_id": subjects})
    )
    path = paths.predictions(paths.PREDICTIONS, "test")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"logits": logits}, path)
    probabilities = expit(logits)
    metrics = classification.decision_metrics(targets, probabilities > 0.5)
    io.write_json(paths.CLASSIFICATION, {"test": metrics})
    io.write_json(paths.CALIBRATION, {"test": {"mece": calibration.mece(targets, probabilities, 20)}})


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    params = yaml.safe_load(paths.PARAMS.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q", "-b", "main")
        with Repo.init() as dvc:
            git("commit", "-q", "-m", "start", "--allow-empty")
            git("branch", "empty")
            for name, (type_, noise) in BRANCHES.items():
                write_experiment(type_, noise, params)
                dvc.add([str(paths.LABELS), str(paths.PREDICTIONS)])
                git("add", "-A")
                git("commit", "-q", "-m", name)
                git("branch", name)
    return folder


@pytest.fixture
def inside(repository, monkeypatch):
    monkeypatch.chdir(repository)
    return repository


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["report", *arguments])
    report.main()


def test_named_revisions_become_tables_tests_and_a_page(inside, monkeypatch, capsys, tmp_path):
    command(monkeypatch, "plain", "attending", "wide", "--folder", str(tmp_path), "--resamples", "200")
    text = (tmp_path / "tables.md").read_text()
    assert capsys.readouterr().out == text
    [row] = [line for line in text.splitlines() if line.startswith("| MSAM")]
    assert "| CE_MSAM MDP 4 | CE " in row
    assert "better +" in row
    main = pd.read_csv(tmp_path / "main.csv").set_index("model")
    assert "source" not in main  # all are measured
    assert main["f1_micro"].idxmax() == "CE_MSAM"
    committed = json.loads((inside / paths.CLASSIFICATION).read_text())["test"]["f1_micro"]
    assert main.loc["LE", "f1_micro"] == pytest.approx(committed)
    assert "<svg" in (tmp_path / "index.html").read_text()


def test_a_page_of_the_users_is_left_alone(inside, monkeypatch, tmp_path):
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(InputError, match="1 other files, which would be lost"):
        command(monkeypatch, "plain", "--folder", str(tmp_path))
    assert (tmp_path / "index.html").read_text() == "mine"


def test_only_a_test_makes_a_model_worse(inside):
    settings = settings_of(report.gather(["plain", "attending", "wide"]))
    worse = report.worse_than_best(settings, report.Tests(settings, 200, 1))
    assert worse["CE"] >= {"f1_micro", "mece"}
    assert "CE_MSAM MDP 4" not in worse


def test_without_names_the_current_commit_is_taken_once(inside):
    [setting] = settings_of(report.gather([]))
    assert [run.name for run in setting.experiments] == ["workspace"]  # main says the same


def test_predictions_that_left_the_cache_are_not_tested(repository, monkeypatch, tmp_path):
    shutil.copytree(repository, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    shutil.rmtree(".dvc/cache")
    shutil.rmtree(paths.PREDICTIONS)
    section = report.build_section(report.gather(["plain", "attending"]), 50, 1)
    assert "No tests for CE, CE_MSAM MDP 4" in section.introduction
    assert [table.name for table in section.tables if table.name == "differences"] == []
    assert section.tables[0].name == "main"


def test_an_experiment_is_known_by_the_name_that_dvc_gave_it(repository, monkeypatch, tmp_path):
    """Its commit is at no branch and no tag, but where DVC keeps experiments."""
    shutil.copytree(repository, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    baseline = git("rev-parse", "HEAD")
    git("update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/hasty-tiger", "plain")
    git("branch", "-D", "plain")
    assert [experiment.type for experiment in report.gather(["hasty-tiger"])] == ["CE"]


def test_user_mistakes_are_named(inside, monkeypatch):
    with pytest.raises(InputError, match=r"revision nowhere: .*dvc exp show"):
        command(monkeypatch, "nowhere")
    with pytest.raises(InputError, match=r"revision empty has no .*classification\.json"):
        command(monkeypatch, "plain", "empty")


def test_damaged_metrics_are_named(inside, monkeypatch):
    good = paths.CALIBRATION.read_text()
    try:
        paths.CALIBRATION.write_text(good[:10])
        with pytest.raises(InputError, match=r"calibration\.json of revision workspace is not valid JSON"):
            command(monkeypatch, "workspace")
    finally:
        paths.CALIBRATION.write_text(good)


def test_no_repository_and_no_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        report.gather([])


@pytest.mark.parametrize("names", [[], ["plain"], ["workspace"]])
def test_a_repository_that_git_refuses_is_named(inside, monkeypatch, names):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(InputError, match="another user owns: fatal: detected dubious ownership"):
        report.gather(names)


def test_unfinished_experiments_are_left_out(monkeypatch: pytest.MonkeyPatch):
    states = {"workspace": None, "main": None, "new-run": "Queued", "now-run": "Running", "bad-run": "Failed"}
    rows = [{"Experiment": None, "rev": name, "State": state} for name, state in states.items()]
    rows.append({"Experiment": "old-run", "rev": "abc1234", "State": "Success"})
    monkeypatch.setattr(report.dvc.api, "exp_show", lambda: rows)
    assert report.revisions() == ["main", "old-run", "workspace"]
