"""The fused form against the blockwise one: on a GPU, or in Triton's interpreter.

Without a GPU: pip install triton && TRITON_INTERPRET=1 pytest tests/modeling/test_fused_msam.py
"""

import os

import pytest
import torch

pytest.importorskip("triton", reason="Triton comes with torch for CUDA; `pip install triton` elsewhere")
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"  # Triton reads it when it is first imported
if not INTERPRETED and not torch.cuda.is_available():
    pytest.skip("needs CUDA, or TRITON_INTERPRET=1 in the environment", allow_module_level=True)
DEVICE = "cpu" if INTERPRETED else "cuda"

from stages.modeling import fused_msam, msam  # noqa: E402
from stages.modeling.fused_msam import SYNONYMS, TOKENS, FusedLogits  # noqa: E402
from stages.modeling.msam import MultiSynonymAttention, _BlockwiseLogits  # noqa: E402

TOLERANCE = 1e-4 if INTERPRETED else 5e-3  # a GPU multiplies in TF32

SHAPES = {  # heads, codes, synonyms, rows, tokens, numbers of a head's vector
    "one of each": (1, 1, 1, 1, 1, 1),
    "smaller than a tile": (2, 5, 3, 2, 13, 5),
    "synonyms that do not divide a tile": (2, 11, 7, 3, TOKENS, 16),
    "more than a tile each way": (1, SYNONYMS + 3, 2, 2, 2 * TOKENS + 6, 20),
    "whole tiles": (4, SYNONYMS, 4, 3, TOKENS, 32),
}


def drawn(heads, codes, synonyms, rows, tokens, size):
    torch.manual_seed(0)
    shapes = (heads, codes, synonyms, size), *2 * [(heads, rows * tokens, size)], (heads, codes, size)
    vectors = [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]
    barred = torch.rand(rows, tokens) < 0.3
    barred[:, -1] = False
    return vectors, torch.zeros(rows * tokens).masked_fill_(barred.flatten(), -torch.inf).to(DEVICE)


def assert_close(one, other):
    for mine, expected in zip(one, other, strict=True):
        torch.testing.assert_close(mine, expected, rtol=0, atol=TOLERANCE * max(1.0, expected.abs().max().item()))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0], ids="{:.0%} of the pairs with a gradient".format)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_are_those_of_the_blockwise_form(shape, share):
    vectors, bar = drawn(*shape)
    rows = shape[3]
    expected = _BlockwiseLogits.apply(*vectors, bar, rows, rows)
    found = FusedLogits.apply(*vectors, bar, rows)
    gradient = torch.randn_like(expected) * (torch.rand_like(expected) < share)
    assert_close([found], [expected])
    assert_close(torch.autograd.grad(found, vectors, gradient), torch.autograd.grad(expected, vectors, gradient))


def test_a_first_tile_of_barred_tokens_counts_for_nothing():
    """Until the first token that is attended to, the running maximum is minus infinity."""
    vectors, _ = drawn(1, 3, 2, 1, 2 * TOKENS, 4)
    bar = torch.full((2 * TOKENS,), -torch.inf, device=DEVICE)
    bar[-2:] = 0
    found = FusedLogits.apply(*vectors, bar, 1)
    assert_close([found], [_BlockwiseLogits.apply(*vectors, bar, 1, 1)])
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(found.sum(), vectors))


def test_the_head_takes_it_where_it_is_faster_and_precise_enough(monkeypatch: pytest.MonkeyPatch):
    attention = MultiSynonymAttention(12, 2).to(DEVICE)
    Q, H = torch.randn(5, 3, 12, device=DEVICE), torch.randn(2, 9, 12, device=DEVICE)
    calls = []
    real = FusedLogits.apply
    monkeypatch.setattr(fused_msam.FusedLogits, "apply", lambda *given: calls.append(1) or real(*given))
    blockwise = attention(Q, H, Q.mean(1))
    assert not calls
    monkeypatch.setattr(msam, "FUSED", (DEVICE,))
    before = torch.get_float32_matmul_precision()
    try:
        for precision, expected in (("highest", 0), ("high", 1)):
            torch.set_float32_matmul_precision(precision)
            assert_close([attention(Q, H, Q.mean(1))], [blockwise])
            assert len(calls) == expected
    finally:
        torch.set_float32_matmul_precision(before)
    assert not fused_msam.supports(torch.zeros(1, 1, 1, fused_msam.WIDEST + 1))
