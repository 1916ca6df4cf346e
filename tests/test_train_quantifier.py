import numpy as np
import pytest
import scipy.sparse as sp
from safetensors.numpy import load_file
from scipy.special import expit

from stages import train_quantifier
from stages.common import io, paths
from stages.common.io import InputError
from stages.modeling.predictions import Predicted, write_predictions
from stages.quantification.quantifiers import load_mlp
from tests.project import set_params


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with parameters, validation predictions and targets: 40 documents, 5 codes."""
    monkeypatch.chdir(tmp_path)
    set_params(quantifier__epochs=4, quantifier__train_samples=60, quantifier__hidden=3, compute__device="cpu")
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, (40, 5)).astype(np.float32)
    io.write_csr(paths.targets("val"), sp.csr_array((rng.random((40, 5)) < expit(logits)).astype(np.uint8)))
    write(logits)
    return tmp_path


def write(logits: np.ndarray) -> None:
    paths.PREDICTIONS.mkdir(parents=True, exist_ok=True)
    n_tokens = np.full(len(logits), 9)
    write_predictions(paths.PREDICTIONS, {"val": Predicted(logits, n_tokens, np.zeros_like(n_tokens))})


@pytest.mark.parametrize("early_stopping", ["validation", "original"])
def test_writes_the_network_and_its_losses(workspace, early_stopping):
    set_params(quantifier__early_stopping=early_stopping)
    train_quantifier.main()
    weights = load_file(paths.QUANTIFIER / "model.safetensors")
    shapes = {name: weight.shape for name, weight in weights.items()}
    assert shapes == {"hidden.weight": (3, 5), "hidden.bias": (3,), "output.weight": (5, 3), "output.bias": (5,)}
    assert io.read_json(paths.QUANTIFIER / "config.json") == {"codes": 5, "hidden": 3}
    assert load_mlp(paths.QUANTIFIER).estimate(np.zeros((2, 5))).shape == (2, 5)
    history = io.read_json(paths.QUANTIFIER / "history.json")
    assert [losses["epoch"] for losses in history] == [0, 1, 2, 3]
    assert ("val_loss" in history[0]) == (early_stopping == "validation")


def test_missing_predictions(workspace):
    paths.predictions(paths.PREDICTIONS, "val").unlink()
    with pytest.raises(InputError, match=r"val\.safetensors does not exist"):
        train_quantifier.main()
    assert not paths.QUANTIFIER.exists()


def test_predictions_of_other_codes(workspace):
    write(np.zeros((40, 4), np.float32))
    with pytest.raises(InputError, match=r"\(40, 4\).*\(40, 5\)"):
        train_quantifier.main()
