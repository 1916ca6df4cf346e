"""Settings and figures of a revision are those that its dvc.lock records, or are doubted."""

from pathlib import Path

import pytest
import yaml

from stages.common.io import InputError
from stages.common.io import md5 as md5_of
from stages.common.lock import Record

METRICS, MODEL = Path("metrics/classification.json"), Path("models/classifier")


def lock(**changes) -> dict[str, dict]:
    stages = {
        "train": {
            "cmd": "t",
            "params": {"params.yaml": {"model": {"type": "CE"}, "compute.threads": 1}},
            "outs": [{"path": str(MODEL), "md5": "m.dir"}],
        },
        "evaluate": {
            "cmd": "e",
            "deps": [{"path": str(MODEL), "md5": "m.dir"}],
            "params": {"params.yaml": {"compute.threads": 1}},
            "outs": [{"path": str(METRICS), "md5": md5_of(b"{}")}],
        },
    }
    for name, change in changes.items():
        stages[name] |= change
    return stages


def record(stages: dict[str, dict]) -> Record:
    content = yaml.safe_dump({"stages": stages}).encode()
    return Record.read(lambda path: content if path == Path("dvc.lock") else None, "HEAD")


def test_settings_are_the_recorded_ones():
    assert record(lock()).settings() == {"model": {"type": "CE"}, "compute": {"threads": 1}}
    later = lock(evaluate={"params": {"params.yaml": {"compute.threads": 2}}})
    for stages in (later, dict(reversed(later.items()))):
        assert record(stages).settings()["compute"] == {"threads": 2}


@pytest.mark.parametrize(
    ("changes", "content", "doubt"),
    [
        ({}, b"{}", None),
        ({}, b"{ }", "not what dvc.lock records"),
        ({"train": {"outs": [{"path": str(MODEL), "md5": "new.dir"}]}}, b"{}", "has not run since models/classifier"),
    ],
)
def test_a_figure_counts_only_if_its_run_is_recorded_whole(changes, content, doubt):
    result = record(lock(**changes)).doubt(METRICS, md5_of(content))
    assert result is None if doubt is None else doubt in result


def test_other_bytes_of_equal_inputs_differ_from_another_run():
    """Another processor's training: what reads the model then has other inputs, so it is train alone that is named."""
    data = {"deps": [{"path": "data", "md5": "d"}]}
    elsewhere = [{"path": str(MODEL), "md5": "elsewhere.dir"}]
    metrics = [{"path": str(METRICS), "md5": "x"}]
    here = record(lock(train=data))
    there = record(lock(train=data | {"outs": elsewhere}, evaluate={"deps": elsewhere, "outs": metrics}))
    assert here.other_bytes(there) == ["train"]
    assert here.other_bytes(here) == []
    assert here.other_bytes(record(lock(train=data | {"outs": elsewhere, "cmd": "other"}))) == []
    assert record(lock()).other_bytes(record(lock(train={"outs": elsewhere}))) == []  # without inputs nothing is equal


def test_without_a_lock_file_nothing_is_doubted_and_a_broken_one_is_named():
    assert Record.read(lambda path: None, "HEAD").doubt(METRICS, "any") is None
    with pytest.raises(InputError, match=r"dvc.lock .*tools.mend"):
        Record.read(lambda path: b"stages: [", "HEAD")
