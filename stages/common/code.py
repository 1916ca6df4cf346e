"""The code that a stage runs: its script and every module of the project that the script imports."""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Modules that cannot affect the content of any output; tests/test_graph.py holds them to it.
NEUTRAL = frozenset(
    Path("stages/common", f"{name}.py") for name in ("code", "lock", "params", "paths", "runner", "workspace")
)


def code_of_stage(stage: str) -> list[Path]:
    """The files that a stage's script needs, including itself, sorted and relative to the root.

    `NEUTRAL` modules, what only they import, and empty modules are left out.
    """
    reached: set[Path] = set()
    waiting = [Path("stages", f"{stage}.py")]
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting.extend(imports(file) - NEUTRAL)
    return sorted(file for file in reached if (ROOT / file).read_text(encoding="utf-8").strip())


def meaning_of(path: Path) -> str:
    """A hash of a source file's syntax tree, so that comments, docstrings and layout do not count."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant()), *_]:
                node.body[0] = ast.Pass()  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def imports(path: Path) -> frozenset[Path]:
    """The project's files that a file imports at any level."""
    files: set[Path] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        modules = (Path(*name.split(".")) for name in names if name.split(".")[0] == "stages")
        files.update(file for path in modules for file in (path.with_suffix(".py"), path / "__init__.py"))
    return frozenset(file for file in files if (ROOT / file).exists())
