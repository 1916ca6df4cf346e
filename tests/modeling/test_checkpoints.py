"""Checkpoints: exact, whole or skipped, as many as asked for."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from stages.common import code, lock, paths, workspace
from stages.modeling import checkpoints
from stages.modeling.checkpoints import Checkpoint, CheckpointFolder, run_key


def checkpoint(number: int) -> Checkpoint:
    value = torch.tensor([0.1 + number, 1e-30])
    return Checkpoint({"value": 0.1 + number, "list": [1, None]}, {"first": {"a": value, "b": value > 1}, "none": {}})


def test_it_comes_back_exactly(tmp_path):
    folder = CheckpointFolder(tmp_path / "run")
    assert folder.newest() is None
    folder.save(3, checkpoint(3))
    result = folder.newest()
    assert result.state == {"value": 3.1, "list": [1, None]}
    assert torch.equal(result.tensors["first"]["a"], checkpoint(3).tensors["first"]["a"])
    assert result.tensors["first"]["b"].tolist() == [True, False]
    assert result.tensors["none"] == {}


@pytest.mark.parametrize("name", ["state.json", "first.safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-2]),
        lambda path: path.write_bytes(b"[]"),
    ],
)
def test_a_damaged_one_is_skipped(tmp_path, caplog, name, damage):
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2):
        folder.save(step, checkpoint(step))
    damage(tmp_path / "step-00000002" / name)
    assert folder.newest().state["value"] == 1.1
    assert "step-00000002 is damaged and skipped" in caplog.text


def test_the_key_follows_settings_and_content(tmp_path):
    inputs = [tmp_path / "file", tmp_path / "folder"]
    inputs[0].write_text("a")
    (inputs[1] / "deep").mkdir(parents=True)
    (inputs[1] / "deep" / "file").write_text("b")
    key = run_key({"rate": 0.1, "clip": None}, inputs, "train_classifier")
    assert key == run_key({"clip": None, "rate": 0.1}, inputs, "train_classifier")
    assert key != run_key({"clip": 1.0, "rate": 0.1}, inputs, "train_classifier")
    (inputs[1] / "deep" / "file").rename(inputs[1] / "file")
    assert key != run_key({"clip": None, "rate": 0.1}, inputs, "train_classifier")


def test_the_key_follows_the_stages_code_and_the_libraries(tmp_path, monkeypatch):
    key = run_key({}, [], "train_classifier")
    assert key != run_key({}, [], "train_joint")
    monkeypatch.setattr(checkpoints, "version", lambda name: "other")
    assert key != run_key({}, [], "train_classifier")


def test_other_runs_are_counted_and_ended_ones_removed(tmp_path, monkeypatch, caplog):
    """Also after a kill that came while an ended one was being removed."""
    folder = CheckpointFolder(tmp_path / "runs" / "own")
    folder.save(1, checkpoint(1))
    ended = CheckpointFolder(tmp_path / "runs" / "ended")
    for step in (1, 2):
        ended.save(step, checkpoint(step))
    (tmp_path / "output").mkdir()
    ended.finish(tmp_path / "output")
    assert [path.name for path in ended.folder.glob("step-*")] == ["step-00000002"]
    rmtree = shutil.rmtree

    def remove_and_die(path: Path, **_) -> None:
        rmtree(path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", remove_and_die)
        folder.tidy()
    assert [path.name for path in ended.folder.iterdir()] == [checkpoints.FINISHED]
    with caplog.at_level("INFO"):
        folder.tidy()
        assert caplog.text == ""
        assert not ended.folder.exists()
        (tmp_path / "runs" / "other").mkdir()
        folder.tidy()
    assert "has checkpoints of 1 other, unfinished runs" in caplog.text


def test_a_run_that_is_being_trained_is_left_alone(tmp_path, caplog):
    other = CheckpointFolder(tmp_path / "other")
    other.save(1, checkpoint(1))
    other.hold("train_classifier")
    (other.folder / checkpoints.FINISHED).touch()
    with caplog.at_level("INFO"):
        CheckpointFolder(tmp_path / "own").tidy()
    assert other.folder.exists()
    assert caplog.text == ""


@pytest.mark.parametrize("recorded", [True, False])
def test_an_ended_run_counts_only_if_its_output_was_lost(tmp_path, monkeypatch, recorded):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "file").write_text("a")
    run = CheckpointFolder(tmp_path / "run")
    run.save(1, checkpoint(1))
    run.finish(tmp_path / "output")
    md5 = lock.md5_of_folder(tmp_path / "output") if recorded else "another.dir"
    Path("dvc.lock").write_text(
        json.dumps({"stages": {"train_classifier": {"outs": [{"path": "output", "md5": md5}]}}})
    )
    again = CheckpointFolder(tmp_path / "run")
    again.hold("train_classifier")
    assert (again.newest() is None) == recorded


def test_the_second_of_two_equal_runs_waits_for_the_first(tmp_path):
    first = CheckpointFolder(tmp_path / "run")
    first.hold("train_classifier")
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(CheckpointFolder(tmp_path / "run").hold, "train_classifier")
        with pytest.raises(TimeoutError):
            second.result(timeout=0.3)
        (tmp_path / "output").mkdir()
        first.finish(tmp_path / "output")
        second.result(timeout=10)


def test_checkpoints_lie_where_all_workspaces_find_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert workspace.shared_folder() == paths.CHECKPOINTS
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    assert workspace.shared_folder() == tmp_path / ".dvc" / "cache" / "checkpoints"
    (tmp_path / ".dvc" / "config.local").write_text("[cache]\n    dir = /elsewhere/cache\n")
    assert workspace.shared_folder() == Path("/elsewhere/cache/checkpoints")


def test_the_key_of_a_run_outlives_comments_and_docstrings(tmp_path, monkeypatch):
    monkeypatch.setattr(code, "ROOT", tmp_path)
    forms = (
        'def f():\n    """Old."""\n    return 1\n',
        '# new\ndef f():\n    """New."""\n\n    return 1  # one\n',
        'def f():\n    """Old."""\n    return 2\n',
    )
    result = []
    for form in forms:
        (tmp_path / "a.py").write_text(form)
        result.append(code.meaning_of(Path("a.py")))
    assert result[0] == result[1] != result[2]
