from pathlib import Path

import pytest

from stages import preset
from stages.project import params, paths
from stages.project.errors import InputError

PARAMS = paths.PARAMS.read_text(encoding="utf-8")
PRESETS = sorted(preset.PRESETS.glob("*.yaml"))


def settings(path: Path) -> dict[tuple[str, ...], object]:
    return dict(preset.leaves(params.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_is_valid_and_keeps_comments(path: Path):
    text = preset.apply(PARAMS, settings(path).items())
    checked = params.check(params.parse(text), path.stem).model_dump(by_alias=True)
    applied = dict(preset.leaves(checked))
    assert {key: applied[key] for key in settings(path)} == settings(path)
    assert text.count("#") == PARAMS.count("#")


def test_presets_set_the_same_keys_so_that_one_undoes_another():
    assert len({frozenset(settings(path)) for path in PRESETS}) == 1
    assert len(PRESETS) == 5


def test_committed_params_are_the_demo():
    demo = preset.apply(PARAMS, settings(preset.PRESETS / "demo.yaml").items())
    assert params.parse(demo) == params.parse(PARAMS)


def test_override_is_applied_and_an_unknown_key_is_named():
    assert params.parse(preset.apply(PARAMS, [preset.override("synonyms.M=8")]))["synonyms"]["M"] == 8
    with pytest.raises(InputError, match=r"synonyms\.m: no such key"):
        preset.apply(PARAMS, [preset.override("synonyms.m=8")])
    with pytest.raises(InputError, match=r"section\.key=value"):
        preset.override("synonyms.M")
