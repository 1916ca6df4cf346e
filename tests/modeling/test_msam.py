import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.msam import plain
from stages.modeling import msam
from stages.modeling.msam import MultiSynonymAttention


def drawn(codes=5, synonyms=3, size=8, rows=3, tokens=7, heads=2, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    attention = MultiSynonymAttention(size, heads).to(dtype)
    Q = torch.randn(codes, synonyms, size, dtype=dtype)
    H = torch.randn(rows, tokens, size, dtype=dtype, requires_grad=True)
    mask = torch.rand(rows, tokens) < 0.6
    mask[:, 0] = True
    return attention, Q, H, Q.mean(1), mask


def gradients(loss, attention, H):
    return torch.autograd.grad(loss, [H, *attention.parameters()])


def test_by_hand():
    """One code, one synonym, one head, two tokens of one unit; W_Q = W_K = W_V = 1."""
    attention = MultiSynonymAttention(1, 1)
    for projection in (attention.W_Q, attention.W_K, attention.W_V):
        torch.nn.init.ones_(projection.weight)
        torch.nn.init.zeros_(projection.bias)
    # tanh(H) = 0.6 and -0.4; scores 2 * 0.6 and 2 * -0.4; softmax of a difference of 2: 0.880797, 0.119203
    H = torch.atanh(torch.tensor([[[0.6], [-0.4]]]))
    logit = attention(torch.tensor([[[2.0]]]), H, torch.tensor([[3.0]]))
    assert logit.item() == pytest.approx(3 * (0.880797 * 0.6 - 0.119203 * 0.4), abs=1e-5)
    alone = attention(torch.tensor([[[2.0]]]), H, torch.tensor([[3.0]]), torch.tensor([[False, True]]))
    assert alone.item() == pytest.approx(3 * -0.4, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    codes=st.integers(1, 6),
    synonyms=st.integers(1, 4),
    heads=st.sampled_from([1, 2, 4]),
    rows=st.integers(1, 4),
    tokens=st.integers(1, 9),
    block=st.sampled_from([1, 30, 200, 2**19]),
    masked=st.booleans(),
    pooled=st.booleans(),
    counted=st.sampled_from([("cpu",), ()]),
    seed=st.integers(0, 99),
)
def test_values_and_gradients_are_those_of_the_plain_form(
    codes, synonyms, heads, rows, tokens, block, masked, pooled, counted, seed
):
    """Whether the host counts the pairs that have a gradient or they are laid into tiles."""
    attention, Q, H, ql, mask = drawn(codes, synonyms, 8, rows, tokens, heads, seed=seed)
    mask = mask if masked else None
    weight = torch.randn(codes, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(msam.BLOCK_SCORES, "cpu", block)
        patch.setattr(msam, "COUNTED_ON_HOST", counted)
        ours = attention(Q, H, ql, mask, 1 if pooled else None)
        loss = ((ours.amax(0) if pooled else ours**2) * weight).sum()
        of_ours = gradients(loss, attention, H)
    expected = plain(attention, Q, H, ql, mask)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-11)
    loss = ((expected.amax(0) if pooled else expected**2) * weight).sum()
    for part, theirs in zip(of_ours, gradients(loss, attention, H), strict=True):
        torch.testing.assert_close(part, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooled", [True, False])
def test_float32_is_the_plain_form_on_every_device(device, pooled):
    attention, Q, H, ql, mask = drawn(120, 4, 32, 5, 70, 4, torch.float32)
    weight = torch.randn(120)

    def computed(form, to):
        module = MultiSynonymAttention(32, 4).to(**to)
        module.load_state_dict(attention.state_dict())
        states = H.detach().to(**to).requires_grad_()
        logits = form(module, Q.to(**to), states, ql.to(**to), mask.to(to.get("device")))
        loss = ((logits.amax(0) if pooled else logits) * weight.to(**to)).sum()
        return [part.detach().cpu().float() for part in (logits, *gradients(loss, module, states))]

    ours = computed(MultiSynonymAttention.__call__, {"device": device})
    for part, theirs in zip(ours, computed(plain, {"dtype": torch.float64}), strict=True):
        torch.testing.assert_close(part, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item())


def test_memory_for_the_longest_document_of_mimic_clean(cuda):
    """23 chunks, 3,681 codes: no more than 1 GB above weights, synonym vectors and token states."""
    with torch.device(cuda):
        attention, Q, H, ql, _ = drawn(3681, 4, 1024, 23, 512, 4, torch.float32)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    attention(Q, H, ql).amax(0).sum().backward()
    assert torch.cuda.max_memory_allocated() - before <= 1e9


def test_a_code_without_gradient_has_no_part_in_the_backward_pass():
    attention, Q, H, ql, _ = drawn(rows=1)
    attention(Q, H, ql)[0, 2].backward()
    expected = torch.autograd.grad(plain(attention, Q[2:3], H, ql[2:3]).sum(), H)[0]
    torch.testing.assert_close(H.grad, expected, rtol=0, atol=1e-12)


def test_no_gradient_at_all():
    attention, Q, H, ql, _ = drawn()
    (attention(Q, H, ql) * 0).sum().backward()
    assert not H.grad.any()
    assert not attention.W_Q.weight.grad.any()


def test_barred_tokens_have_no_influence():
    attention, Q, H, ql, mask = drawn(dtype=torch.float32)
    other = torch.where(mask[..., None], H, 1000.0)
    torch.testing.assert_close(attention(Q, other, ql, mask), attention(Q, H, ql, mask), rtol=0, atol=1e-6)
    shortened = attention(Q, H[:1, mask[0]], ql)
    torch.testing.assert_close(attention(Q, H, ql, mask)[:1], shortened, rtol=0, atol=1e-6)


def test_under_autocast_scores_keep_float32():
    attention, Q, H, ql, mask = drawn(dtype=torch.float32)
    exact = attention(Q, H, ql, mask)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = attention(Q, H, ql, mask)
        mixed.sum().backward()
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, exact, rtol=0, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        halved = attention(Q, H.bfloat16(), ql, mask)
    assert halved.dtype == torch.float32
    torch.testing.assert_close(halved, exact, rtol=0, atol=0.1)


@pytest.mark.parametrize("pooled", [True, False])
def test_the_score_tensor_is_never_whole(monkeypatch, largest_tensor, pooled):
    codes, synonyms, heads, rows, tokens = 100, 4, 4, 6, 64
    attention, Q, H, ql, _ = drawn(codes, synonyms, 8, rows, tokens, heads, torch.float32)
    whole = rows * codes * heads * synonyms * tokens
    monkeypatch.setitem(msam.BLOCK_SCORES, "cpu", 2**13)
    with largest_tensor() as mode:
        logits = attention(Q, H, ql)
        (logits.amax(0) if pooled else logits).sum().backward()
    assert mode.elements < 2**14 < whole / 30


@pytest.mark.parametrize("counted", [True, False])
def test_training_s_pass_does_not_ask_the_device(counted, monkeypatch):
    """What would make a GPU wait fails on tensors without content: the host's counting does, the tiles do not."""
    monkeypatch.setattr(msam, "COUNTED_ON_HOST", ("cpu",) if counted else ())
    with FakeTensorMode():
        attention, Q = MultiSynonymAttention(8, 2), torch.randn(5, 3, 8)
        H = torch.randn(3, 7, 8, requires_grad=True)
        loss = attention(Q, H, Q.mean(1), torch.ones(3, 7, dtype=torch.bool), 1).amax(0).sum()
        if counted:
            with pytest.raises(Exception, match="_local_scalar_dense"):
                loss.backward()
        else:
            loss.backward()
            assert H.grad.shape == H.shape


def test_initialisation():
    torch.manual_seed(0)
    attention = MultiSynonymAttention(8, 2, "identity")
    for projection in (attention.W_Q, attention.W_K):
        assert torch.equal(projection.weight, torch.eye(8))
        assert not projection.bias.any()
    assert not torch.equal(attention.W_V.weight, torch.eye(8))
    torch.manual_seed(0)
    torchs_own = torch.nn.Linear(8, 8)
    torch.manual_seed(0)
    assert torch.equal(MultiSynonymAttention(8, 2).W_Q.weight, torchs_own.weight)
    assert set(attention.state_dict()) == {f"W_{name}.{part}" for name in "QKV" for part in ("weight", "bias")}
