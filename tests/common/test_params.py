import copy
from pathlib import Path

import pytest

from stages.common import params, paths
from stages.common.io import InputError

CONTENT = params.parse(paths.PARAMS.read_text(encoding="utf-8"))


def changed(key: str, value: object) -> dict:
    content = copy.deepcopy(CONTENT)
    *sections, last = key.split(".")
    section = content
    for step in sections:
        section = section[step]
    section[last] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("model.type", "CA", r"params.yaml: model.type: 'CA' is not one of 'CE', 'CE_MSAM', .*'LE_MSAM_CLQ'$"),
        ("synonyms.m", 4, r"synonyms.m: no such key; the keys here are pools, .*M, criterion"),
        ("synonyms.M", "4", r"synonyms.M: '4' should be a valid integer"),
        ("synonyms.M", 0, r"synonyms.M: 0 should be greater than 0"),
        ("train.learning_rate", -1.0, r"train.learning_rate: -1.0 should be greater than 0"),
        ("encoder.step", 2, r"encoder.step: no such key; the keys here are source, "),
        ("clq", None, r"clq: None should be "),
        ("compute.launch", "mpirun -n 2", r"compute.launch: 'mpirun -n 2' begins with none of 'python', 'accelerate l"),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(key: str, value: object, message: str):
    with pytest.raises(InputError, match=message) as error:
        params.validate(params.Params, changed(key, value))
    assert "\n" not in str(error.value)


def test_a_missing_key_is_named():
    content = changed("clq.delta", 0.5)
    del content["clq"]["lambda"]
    with pytest.raises(InputError, match=r"params.yaml: clq.lambda: is missing"):
        params.validate(params.Params, content)


def test_a_file_that_is_not_there_or_not_yaml(tmp_path: Path):
    with pytest.raises(InputError, match="does not exist; run from the repository's root"):
        params.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("data: [")
    with pytest.raises(InputError, match="is not valid YAML"):
        params.load(tmp_path / "params.yaml")
