"""Multi-synonym attention against the authors' module: values, and gradients of two losses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from stages.modeling import msam
from stages.modeling.msam import MultiSynonymAttention


def cases(reference) -> dict[str, dict[str, np.ndarray]]:
    result = {path.stem: dict(np.load(path)) for path in sorted((reference / "msam").glob("*.npz"))}
    assert result
    return result


def attention(case: dict[str, np.ndarray], dtype: torch.dtype, device: str) -> MultiSynonymAttention:
    module = MultiSynonymAttention(case["H"].shape[-1], int(case["heads"])).to(device, dtype)
    weights = {name.removeprefix("w."): torch.tensor(case[name]) for name in case if name.startswith("w.")}
    module.load_state_dict(weights)
    return module


def inputs(case: dict[str, np.ndarray], dtype: torch.dtype, device: str) -> list[torch.Tensor]:
    return [torch.tensor(case[name], dtype=dtype, device=device) for name in ("Q", "H", "ql")]


@pytest.mark.parametrize("dtype, suffix, tolerance", [(torch.float32, "", 1e-5), (torch.float64, ".f64", 1e-9)])
def test_logits(reference, device, dtype, suffix, tolerance):
    for name, case in cases(reference).items():
        with torch.no_grad():
            logits = attention(case, dtype, device)(*inputs(case, dtype, device)).cpu()
        np.testing.assert_allclose(logits, case["out" + suffix], rtol=0, atol=tolerance, err_msg=name)
        np.testing.assert_allclose(
            logits.amax(0, keepdim=True), case["pooled" + suffix], rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("block_scores", [None, 1, 700], ids=["default blocks", "smallest blocks", "small blocks"])
@pytest.mark.parametrize("loss", ["linear", "bce"])
def test_gradients(reference, device, monkeypatch, loss, block_scores):
    if block_scores:
        monkeypatch.setitem(msam.BLOCK_SCORES, device, block_scores)
    for name, case in cases(reference).items():
        module = attention(case, torch.float32, device)
        Q, H, ql = inputs(case, torch.float32, device)
        H.requires_grad_()
        logits = module(Q, H, ql)
        if loss == "linear":
            value = (logits * torch.tensor(case["G"], device=device)).sum()
        else:
            pooled = logits.max(0, keepdim=True).values
            value = F.binary_cross_entropy_with_logits(pooled, torch.tensor(case["y"]).to(pooled).view_as(pooled))
        np.testing.assert_allclose(value.item(), case[f"loss_{loss}"], rtol=1e-5, atol=1e-4, err_msg=name)
        value.backward()
        for of, tensor in {"H": H, **dict(module.named_parameters())}.items():
            expected = case[f"grad_{loss}.{of}"]
            np.testing.assert_allclose(
                tensor.grad.cpu(), expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=f"{name} {of}"
            )
