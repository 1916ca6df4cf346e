import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.modeling.heads import MsamHead, PlainHead, document_maximum


def test_plain_head_by_hand():
    head = PlainHead(hidden=1, n_codes=2, dropout=0.5, drop_states=True).eval()
    head.load_state_dict(
        {
            "dense.weight": torch.tensor([[2.0]]),
            "dense.bias": torch.tensor([1.0]),
            "output.weight": torch.tensor([[3.0], [-1.0]]),
            "output.bias": torch.tensor([0.5, 0.0]),
        }
    )
    H = torch.tensor([[[0.25], [9.0]]])  # only the first token, [CLS], counts
    scored = math.tanh(1.5)
    assert head(H).tolist() == [pytest.approx([3 * scored + 0.5, -scored])]


def test_only_le_drops_the_states_themselves():
    torch.manual_seed(0)
    H = torch.ones(200, 1, 4)
    for drop_states in (True, False):
        head = PlainHead(hidden=4, n_codes=4, dropout=0.5, drop_states=drop_states).train()
        torch.nn.init.eye_(head.dense.weight)
        torch.nn.init.zeros_(head.dense.bias)
        torch.nn.init.eye_(head.output.weight)
        torch.nn.init.zeros_(head.output.bias)
        # Once dropped and doubled inside of tanh, once outside: tanh(2) * 2; outside alone: tanh(1) * 2.
        values = {round(value, 4) for value in head(H).detach().unique().tolist()}
        assert values == {0.0, round(2 * math.tanh(2 if drop_states else 1), 4)}


def test_msam_head_keeps_its_synonym_vectors_fixed():
    head = MsamHead(torch.randn(3, 2, 8), initialisation="torch")
    assert "Q" in head.state_dict()
    assert {name for name, _ in head.named_parameters()} == {
        f"attention.W_{name}.{part}" for name in "QKV" for part in ("weight", "bias")
    }
    H = torch.randn(4, 5, 8)
    assert torch.equal(head(H), head.attention(head.Q, H, head.Q.mean(1)))


@settings(deadline=None, max_examples=50)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=5), seed=st.integers(0, 999))
def test_maximum_and_its_gradient_are_torch_max_of_each_document(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    # Few distinct values, so that rows tie.
    logits = torch.randint(-2, 3, (sum(sizes), 3), generator=generator).float().requires_grad_()
    weight = torch.randn(len(sizes), 3, generator=generator)
    ours = document_maximum(logits, torch.repeat_interleave(torch.tensor(sizes)), len(sizes))
    expected = torch.stack([part.max(0).values for part in logits.split(sizes)])
    assert torch.equal(ours, expected)
    (of_ours,) = torch.autograd.grad((ours * weight).sum(), logits)
    (of_expected,) = torch.autograd.grad((expected * weight).sum(), logits)
    assert torch.equal(of_ours, of_expected)


def test_maximum_shows_nan():
    logits = torch.tensor([[1.0], [math.nan], [3.0], [4.0]])
    maximum = document_maximum(logits, torch.tensor([0, 0, 0, 1]), 2)
    assert maximum[0].isnan().all()
    assert maximum[1].item() == 4.0


@pytest.mark.parametrize("drop_states", [False, True])
def test_plain_logits_are_float32_under_autocast(drop_states):
    torch.manual_seed(0)
    head = PlainHead(hidden=64, n_codes=50, dropout=0.1, drop_states=drop_states).eval()
    H = torch.randn(200, 3, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(H.bfloat16())
    assert logits.dtype == torch.float32
    assert len(logits.unique()) > 9_000  # of 10,000; rounded to bfloat16 they take some hundreds of values
    torch.testing.assert_close(logits, head(H.bfloat16().float()), rtol=0, atol=0)
