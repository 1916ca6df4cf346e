"""dvc.yaml lists, for each stage, the code that it runs: no less, so that a change reruns it, and no more."""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

# What every stage uses and none computes with: a change here changes no output.
GROUND = {Path(f"stages/{name}.py") for name in ("__init__", "errors", "files", "params", "paths", "stage")}
STAGES = {
    name: stage
    for path in ("dvc.yaml", "data/demo/dvc.yaml")
    for name, stage in yaml.safe_load(Path(path).read_text(encoding="utf-8"))["stages"].items()
}


def module_files(name: str) -> list[Path]:
    """The file of a module of this project, if it is one."""
    path = Path(*name.split("."))
    return [file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()]


@cache
def imports(path: Path) -> frozenset[Path]:
    """The project's files that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(file for name in names if name.startswith("stages") for file in module_files(name))
    return frozenset(found)


def code(path: Path) -> set[Path]:
    """The project's files that running a file needs, but for the ground and empty packages."""
    reached, open_files = set(), [path]
    while open_files:
        file = open_files.pop()
        if file not in reached:
            reached.add(file)
            open_files.extend(imports(file) - GROUND)
    return {file for file in reached if file.read_text(encoding="utf-8").strip()}


@pytest.mark.parametrize("name", sorted(set(STAGES) - {"check_params"}))
def test_dependencies_on_code_are_the_imports(name: str):
    listed = {Path(dep) for dep in STAGES[name]["deps"] if str(dep).endswith(".py")}
    assert listed == code(Path(f"stages/{name}.py"))


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
