"""dvc.yaml lists, for each stage, the code that it runs: no less, so that a change reruns it, and no more."""

from pathlib import Path

import pytest
import yaml

from stages.common import params
from stages.common.code import NEUTRAL, code_of_stage, imports
from tools.dependencies import FILES, MARK, rewrite

STAGES = {
    name: stage for path in FILES for name, stage in yaml.safe_load(path.read_text(encoding="utf-8"))["stages"].items()
}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_dependencies_on_code_are_the_imports(path: Path):
    text = path.read_text(encoding="utf-8")
    assert rewrite(text) == text, "the imports are others than dvc.yaml says: run `python -m tools.dependencies`"


def test_rewriting_keeps_all_but_the_code():
    text = "stages:\n  labelize:\n    deps:\n      - data/x # why\n      - stages/gone.py\n    outs:\n      - y\n"
    code = MARK + "".join(f"      - {file}\n" for file in code_of_stage("labelize"))
    assert rewrite(text) == text.replace("      - stages/gone.py\n", code)
    assert rewrite(rewrite(text)) == rewrite(text)
    assert "stages/labelize.py" in code


def test_scripts_are_the_stages_and_import_no_script():
    assert {path.stem for path in Path("stages").glob("*.py")} - {"__init__"} == set(STAGES)
    scripts = {*Path("stages").glob("*.py"), *Path("tools").glob("*.py")}
    for script in scripts:
        assert not imports(script) & scripts - {Path("stages/__init__.py"), Path("tools/__init__.py")}, script


def test_imports_go_one_way():
    """tools -> packages of the field -> common; corpus knows nothing of torch, and training nothing of corpora."""
    for path in Path("stages").rglob("*.py"):
        assert not any(module.parts[0] == "tools" for module in imports(path)), path
    for path in Path("stages/common").glob("*.py"):
        assert all(module.parts[1] in ("common", "__init__.py") for module in imports(path)), path
    for path in Path("stages/corpus").glob("*.py"):
        assert "torch" not in path.read_text(encoding="utf-8"), path
    for path in Path("stages/modeling").glob("*.py"):
        assert not any(module.parts[1] == "corpus" for module in imports(path)), path


@pytest.mark.parametrize(
    "section", [params.Params, *(field.annotation for field in params.Params.model_fields.values())]
)
def test_parameters_are_types_and_ranges(section: type):
    """params.py is neutral, so nothing but validation may be computed in it."""
    validators = set(section.__pydantic_decorators__.model_validators)
    computed = {name for name, value in vars(section).items() if callable(value) or isinstance(value, property)}
    assert {name for name in computed if not name.startswith("_")} == validators


def test_neutral_modules_write_no_output():
    for path in NEUTRAL:
        text = path.read_text(encoding="utf-8")
        assert not any(
            f"io.{write}" in text or write in text for write in ("write_json", "write_csv", "write_parquet")
        ), path


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
