"""Kernels are chosen before a library loads, by params.yaml alone."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stages.common.threads import PORTABLE, choose_kernels

SHOW = """
import stages, json, sys
assert "numpy" not in sys.modules and "torch" not in sys.modules
import scipy.linalg, torch
from numpy._core._multiarray_umath import __cpu_features__ as features
from threadpoolctl import threadpool_info
blas = {info["architecture"] for info in threadpool_info() if info["internal_api"] == "openblas"}
print(json.dumps([torch.backends.cpu.get_cpu_capability(), sorted(blas), features["X86_V4"]]))
"""
FIRST_CALLS = """
import hashlib, torch
from stages.common import threads
threads.limit(2)
values = torch.randn(400_000, generator=torch.Generator().manual_seed(0))
functions = (torch.tanh, torch.exp, torch.erf, torch.log1p)
first, again = ([hashlib.md5(f(values).numpy().tobytes()).digest() for f in functions] for _ in range(2))
assert first == again
"""
CPU = Path("/proc/cpuinfo")


@pytest.mark.slow
@pytest.mark.skipif(not CPU.exists() or "avx2" not in CPU.read_text(), reason="for x86-64 processors with AVX2")
def test_portable_kernels_are_taken_by_every_library(tmp_path: Path):
    (tmp_path / "params.yaml").write_text("compute: {portable: true}")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_CORETYPE": "Zen"}
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["AVX2", ["Haswell"], False]


@pytest.mark.parametrize("content", ["compute: {portable: false}", "compute: {}", "", "- 1", "compute: [", None])
def test_nothing_is_chosen_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None):
    for name in PORTABLE:
        monkeypatch.delenv(name, raising=False)
    if content is not None:
        (tmp_path / "params.yaml").write_text(content)
    choose_kernels(tmp_path / "params.yaml")
    assert not PORTABLE.keys() & os.environ.keys()


def test_no_stage_takes_the_square_root_that_each_make_rounds_in_its_own_way():
    """oneMKL's, which torch.sqrt is, and an optimiser of torch's that is not fused."""
    for path in (Path(__file__).parents[2] / "stages").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("sqrt", "sqrt_"):
                assert ast.unparse(node.value) == "np", f"{path}:{node.lineno}"
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("torch.optim.Adam"):
                assert any(keyword.arg == "fused" for keyword in node.keywords), f"{path}:{node.lineno}"


@pytest.mark.slow
def test_processes_side_by_side_compute_the_same_at_their_first_call():
    """The first call of a vector function by two threads at once gives what any later call gives."""
    for _ in range(10):
        processes = [subprocess.Popen([sys.executable, "-c", FIRST_CALLS]) for _ in range(4)]
        assert [process.wait() for process in processes] == [0] * 4
