import shutil
import sys
from pathlib import Path

import pytest

from stages.common import params, paths
from stages.common.io import InputError
from tools import preset

PARAMS = paths.PARAMS.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", preset.available())
def test_preset_is_valid_and_keeps_comments(name: str):
    settings = preset.settings_of(name)
    text = preset.apply(PARAMS, settings.items())
    applied = dict(preset.leaves(params.validate(params.Params, params.parse(text), name).model_dump(by_alias=True)))
    assert {key: applied[key] for key in settings} == settings
    assert text.count("#") == PARAMS.count("#")


def test_presets_set_the_same_keys_so_that_one_undoes_another():
    assert len({frozenset(preset.settings_of(name)) for name in preset.available()}) == 1
    assert "paper" not in preset.available()


def test_committed_params_are_the_demo():
    demo = preset.apply(PARAMS, preset.settings_of("demo").items())
    assert params.parse(demo) == params.parse(PARAMS)


def test_override_is_applied_and_an_unknown_key_is_named():
    assert params.parse(preset.apply(PARAMS, [preset.override("synonyms.M=8")]))["synonyms"]["M"] == 8
    with pytest.raises(InputError, match=r"synonyms\.m: no such key"):
        preset.apply(PARAMS, [preset.override("synonyms.m=8")])
    with pytest.raises(InputError, match=r"section\.key=value"):
        preset.override("synonyms.M")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("data.raw_dir=/x/My Docs #2/y", "/x/My Docs #2/y"),
        ("data.raw_dir= 1e3: [", " 1e3: ["),
        ("encoder.source=null", "null"),
        ("encoder.revision=null", None),
        ("encoder.revision=0123", "0123"),
        ("train.start_from=exp: #1", "exp: #1"),
        ("train.learning_rate=2e-05", 2e-05),
        ("synonyms.pools=[umls, titles]", ["umls", "titles"]),
    ],
)
def test_a_text_is_taken_as_it_stands(argument: str, value: object):
    path, taken = preset.override(argument)
    assert taken == value
    applied = dict(preset.leaves(params.parse(preset.apply(PARAMS, [(path, taken)]))))
    assert applied[path] == value


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, ["demo"], "params.yaml does not exist; run from the repository's root"),
        ("data: [", ["demo"], "params.yaml is not valid YAML"),
        ("- 1\n", ["demo"], "should be a mapping of sections"),
        (PARAMS, ["demo", "synonyms.M=[1, 2]"], r"synonyms\.M: .*should be a valid integer"),
        (PARAMS, ["demo", "data=[1]"], "data"),
        (PARAMS, ["demo", "synonyms.M=[1"], "is not a valid value"),
        (PARAMS, ["demo", "synonyms.M=1", "synonyms.M=2"], r"synonyms\.M is set twice"),
        (PARAMS, ["demo", "synonyms.pools=[]"], r"synonyms\.pools: \[\] should have at least 1 item"),
        (PARAMS, ["nothing"], "name one of "),
        (PARAMS, ["field"], "name one of "),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content, arguments, message):
    shutil.copytree(preset.PRESETS, tmp_path / preset.PRESETS)
    monkeypatch.chdir(tmp_path)
    if content is not None:
        paths.PARAMS.write_text(content)
    monkeypatch.setattr(sys, "argv", ["preset", *arguments])
    with pytest.raises(InputError, match=message) as raised:
        preset.main()
    assert "\n" not in str(raised.value)
