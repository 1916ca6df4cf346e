import os
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with inputs and outputs of the authors' program."""
    return Path(os.environ.get("REFERENCE_DIR", Path(__file__).parent / "reference" / "data"))


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of the CUDA device; tests are skipped where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request) -> str:
    """Where what must be the same everywhere is computed."""
    return request.getfixturevalue("cuda") if request.param == "cuda" else "cpu"
