from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.encoder.attention import position_source, sliding_window, sliding_window_attention


def dense(query, key, value, visible, reach):
    """The same through the whole (T, T) score matrix."""
    tokens = query.shape[1]
    place = torch.arange(tokens, device=query.device)
    band = (place[:, None] - place).abs() <= reach
    allowed = band & visible[:, None, None, :] | (place[:, None] == place)
    scores = torch.einsum("rqhd,rkhd->rhqk", query, key) / query.shape[-1] ** 0.5
    return torch.einsum("rhqk,rkhd->rqhd", scores.masked_fill(~allowed, -torch.inf).softmax(-1), value)


def drawn(rows, tokens, heads=2, size=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    parts = torch.randn(3, rows, tokens, heads, size, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, tokens + 1, (rows,), generator=generator)
    return [part.requires_grad_() for part in parts.unbind()], torch.arange(tokens) < lengths[:, None]


@settings(deadline=None, max_examples=30)
@given(rows=st.integers(1, 3), tokens=st.integers(1, 40), reach=st.integers(1, 12), seed=st.integers(0, 99))
def test_equals_dense_banded_attention_with_padding(rows, tokens, reach, seed):
    parts, visible = drawn(rows, tokens, seed=seed)
    ours, expected = sliding_window_attention(*parts, visible, reach), dense(*parts, visible, reach)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-12)
    weight = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = zip(
        torch.autograd.grad((ours * weight).sum(), parts),
        torch.autograd.grad((expected * weight).sum(), parts),
        strict=True,
    )
    for of_ours, of_expected in gradients:
        torch.testing.assert_close(of_ours, of_expected, rtol=0, atol=1e-12)


def test_memory_grows_linearly(largest_tensor):
    largest = []
    for tokens in (512, 1024):
        (query, key, value), _ = drawn(1, tokens)
        with largest_tensor() as mode:
            sliding_window_attention(query, key, value, torch.ones(1, tokens, dtype=torch.bool), 16)
        largest.append(mode.elements)
    assert largest[1] == 2 * largest[0]
    assert largest[1] < 1024 * 1024 / 8


def attend(states: torch.Tensor, visible: torch.Tensor, dropout: float = 0.0) -> torch.Tensor:
    """What a module of two heads and a window of four tokens makes of states (R, T, 4), which are all it looks at."""
    module = SimpleNamespace(config=SimpleNamespace(attention_window=4))
    parts = [states.unflatten(-1, (2, -1)).transpose(1, 2)] * 3
    return sliding_window(module, *parts, visible[:, None, None], dropout=dropout)[0].flatten(2)


def test_padding_gives_zero_and_has_no_influence():
    states = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([[True] * 7, [True] * 3 + [False] * 4])
    context = attend(states, visible)
    assert not context[1, 3:].any()
    assert context[1, :3].any()
    torch.testing.assert_close(context[1:, :3], attend(states[1:, :3], visible[1:, :3]))


def test_dropout_is_that_which_is_asked_for():
    states, visible = torch.ones(1, 6, 4), torch.ones(1, 6, dtype=torch.bool)
    assert torch.equal(attend(states, visible), attend(states, visible))
    assert not torch.equal(attend(states, visible, 0.5), attend(states, visible, 0.5))


@pytest.mark.parametrize(
    "old_rows, max_positions, expected",
    [
        # 4 usable rows, twice; row 9 lies behind the last position and goes on with the repetition.
        (6, 8, [0, 1, 2, 3, 4, 1, 2, 3, 4, 1]),
        # After row 8, 3 rows are left: fewer than 4, so a tail of 10 - 9 - 1 = 0 rows, and again the repetition.
        (6, 10, [0, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3]),
        # After row 4, 5 rows are left for 6: a tail of 8 - 5 - 1 = 2 rows, then, of 3 rows, the same tail once more.
        (8, 10, [0, 1, 2, 3, 4, 5, 6, 1, 2, 1, 2, 5]),
    ],
)
def test_position_rows_by_hand(old_rows, max_positions, expected):
    assert position_source(old_rows, max_positions).tolist() == expected
