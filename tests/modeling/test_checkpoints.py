"""Checkpoints: exact, whole or skipped, as many as asked for."""

import pytest
import torch

from stages.modeling.checkpoints import Checkpoint, CheckpointFolder, digest, run_key


def checkpoint(number: int) -> Checkpoint:
    value = torch.tensor([0.1 + number, 1e-30])
    return Checkpoint({"value": 0.1 + number, "list": [1, None]}, {"first": {"a": value, "b": value > 1}, "none": {}})


def test_it_comes_back_exactly(tmp_path):
    folder = CheckpointFolder(tmp_path / "run", keep=1)
    assert folder.newest() is None
    folder.save(3, checkpoint(3))
    found = folder.newest()
    assert found.state == {"value": 3.1, "list": [1, None]}
    assert torch.equal(found.tensors["first"]["a"], checkpoint(3).tensors["first"]["a"])
    assert found.tensors["first"]["b"].tolist() == [True, False]
    assert found.tensors["none"] == {}


def test_the_newest_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (9, 10, 100):
        folder.save(step, checkpoint(step))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000100"]
    assert folder.newest().state["value"] == pytest.approx(100.1)


def test_a_checkpoint_is_written_anew(tmp_path):
    """A run that went on from an older checkpoint meets the damaged newer one again."""
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(1, checkpoint(1))
    folder.save(1, checkpoint(2))
    assert folder.newest().state["value"] == 2.1


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
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (1, 2):
        folder.save(step, checkpoint(step))
    damage(tmp_path / "step-00000002" / name)
    assert folder.newest().state["value"] == 1.1
    assert "step-00000002 is damaged and skipped" in caplog.text


def test_what_was_being_written_is_no_checkpoint(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=2)
    folder.save(1, checkpoint(1))
    (tmp_path / ".step-00000002.partial").mkdir()
    assert folder.newest().state["value"] == 1.1


def test_the_key_follows_settings_and_content(tmp_path):
    inputs = [tmp_path / "file", tmp_path / "folder"]
    inputs[0].write_text("a")
    (inputs[1] / "deep").mkdir(parents=True)
    (inputs[1] / "deep" / "file").write_text("b")
    key = run_key({"rate": 0.1, "clip": None}, inputs)
    assert key == run_key({"clip": None, "rate": 0.1}, inputs)
    assert key != run_key({"clip": 1.0, "rate": 0.1}, inputs)
    (inputs[1] / "deep" / "file").rename(inputs[1] / "file")
    assert key != run_key({"clip": None, "rate": 0.1}, inputs)


def test_digest_of_a_file(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_other_runs_are_counted(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path / "own", keep=1)
    folder.save(1, checkpoint(1))
    with caplog.at_level("INFO"):
        folder.log_others()
        assert caplog.text == ""
        (tmp_path / "other").mkdir()
        folder.log_others()
    assert "1 other runs were left unfinished" in caplog.text
