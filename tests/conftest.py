import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with inputs and outputs of the authors' program."""
    return Path(os.environ.get("REFERENCE_DIR", Path(__file__).parent / "reference" / "data"))
