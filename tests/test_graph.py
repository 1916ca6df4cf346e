"""dvc.yaml lists, for each stage, the code that it runs: no less, so that a change reruns it, and no more."""

from pathlib import Path

import pytest
import yaml

from stages.common.code import NEUTRAL, code_of_stage
from tools.dependencies import FILES, rewritten

STAGES = {
    name: stage for path in FILES for name, stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].items()
}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_dependencies_on_code_are_the_imports(path: Path):
    text = path.read_text(encoding="utf-8")
    assert rewritten(text) == text, "the imports are others than dvc.yaml says: run `python -m tools.dependencies`"


def test_rewriting_keeps_all_but_the_code():
    text = "stages:\n  labelize:\n    deps:\n      - data/x # why\n      - stages/gone.py\n    outs:\n      - y\n"
    code = "".join(f"      - {file}\n" for file in code_of_stage("labelize"))
    assert rewritten(text) == text.replace("      - stages/gone.py\n", code)
    assert "stages/labelize.py" in code


def test_neutral_modules_write_nothing():
    """What decides bytes is in `formats`, on which every stage that writes through it depends."""
    assert Path("stages/project/formats.py") in code_of_stage("labelize")
    assert Path("stages/project/parts.py") in code_of_stage("labelize")
    for path in NEUTRAL:
        assert "json.dump" not in path.read_text(encoding="utf-8"), path
        assert "to_csv" not in path.read_text(encoding="utf-8"), path


def outputs(name: str, kinds: tuple[str, ...] = ("outs", "metrics", "plots")) -> dict[str, dict]:
    """The flags of a stage's outputs, by path."""
    return {path: flags for kind in kinds for output in STAGES[name].get(kind, []) for path, flags in output.items()}


@pytest.mark.parametrize("name", sorted(STAGES))
def test_outputs_stay_on_this_machine(name: str):
    for path, flags in outputs(name).items():
        assert flags.get("push") is False or flags.get("cache") is False, path


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"check_params", "evaluate"}))
def test_the_run_cache_takes_the_stage(name: str):
    """DVC takes none with an output that persists, or one that is neither cached nor a metric or plot."""
    assert not any(flags.get("persist") for flags in outputs(name).values())
    assert all(flags.get("cache", True) for flags in outputs(name, ("outs",)).values())
