"""Real pre-trained weights through the whole pipeline: `PRETRAINED_DIR=FOLDER pytest -m slow tests/test_pretrained.py`.

The folder holds an encoder as the hub has it, say all-MiniLM-L6-v2; without one the tests are skipped.
"""

import math
import os
from pathlib import Path

import pytest

from stages.common import paths
from stages.modeling.model_type import TYPES
from tests.project import Project

FOLDER = os.environ.get("PRETRAINED_DIR")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(FOLDER is None, reason="PRETRAINED_DIR names no encoder")]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("pretrained"))


@pytest.mark.parametrize("model_type", TYPES)
def test_every_type_learns_predicts_counts_and_explains(project: Project, model_type: str):
    project.configure(
        f"model.type={model_type}",
        f"encoder.source={Path(FOLDER or '').resolve()}",
        "encoder.lowercase_documents=null",
        "train.learning_rate=2e-4",
        "train.batch_documents=8",
        "train.chunk_budget=32",
        "model.chunk_length=128",
        "model.max_tokens=512",
        "model.window=128",
        "model.max_positions=1024",
    )
    project.repro()
    metrics = project.read(paths.CLASSIFICATION)["test"]
    assert 0.5 < metrics["auc_micro"] <= 1
    curves = (project.root / "metrics/plots/training.csv").read_text().splitlines()
    assert math.isfinite(float(dict(zip(curves[0].split(","), curves[1].split(","), strict=True))["train_loss"]))
    assert "random" in project.read(paths.EXPLANATIONS)["test"]["plausibility"]
    assert project.run("python", "-m", "tools.report").returncode == 0
    assert (project.root / "report/index.html").exists()
