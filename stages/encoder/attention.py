"""Self-attention over a whole row of tokens or in a sliding window, registered by name with transformers.

In a window (Longformer's local attention), token i attends to itself and w / 2 tokens on either side; there is no
global attention. Queries are split into blocks of w / 2, so all keys that a block can see are in the block and its two
neighbours: time and memory grow linearly with the text.

An attention function takes query (R, heads, n, h), key and value (R, heads, T, h) and a mask (R, 1, 1, T) that is true
for real tokens; n is T, or 1 if only the first token's context is needed. It returns the contexts (R, n, heads, h) and
None in place of the weights.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from stages.encoder.families import FAMILIES

WHOLE_ROW, SLIDING_WINDOW, BY_LAYER = "whole_row", "sliding_window", "by_layer"
ATTENTION = AttentionInterface()


def whole_row(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, None]:
    context = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, dropout_p=dropout)
    return context.transpose(1, 2), None


class SelfAttention(nn.Module):
    """BERT's self-attention, which takes over the weights of `replaced`, where transformers' own does not suffice.

    transformers runs MegatronBert with eager attention only, which stores every score matrix for the backward pass, and
    cannot restrict the last layer to the first token (`only_first_state`).
    """

    def __init__(self, replaced: nn.Module, config, first_only: bool = False) -> None:
        super().__init__()
        self.config, self.first_only = config, first_only
        self.query, self.key, self.value = replaced.query, replaced.key, replaced.value
        self.dropout = replaced.dropout
        self.train(replaced.training)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: object) -> tuple[Tensor, None]:
        """The context (R, T, d) of states (R, T, d), or (R, 1, d) if only the first token's is needed.

        attention_mask: (R, 1, 1, T), true for real tokens.
        """
        seeking = hidden_states[:, :1] if self.first_only else hidden_states
        query, key, value = (
            projection(states).unflatten(-1, (self.config.num_attention_heads, -1)).transpose(1, 2)
            for projection, states in ((self.query, seeking), (self.key, hidden_states), (self.value, hidden_states))
        )
        attend = ATTENTION[self.config._attn_implementation]
        dropout = self.dropout.p if self.training else 0.0
        return attend(self, query, key, value, attention_mask, dropout=dropout)[0].flatten(2), None


def only_first_state(encoder: PreTrainedModel) -> None:
    """Make the last layer compute only the first token's state, (R, 1, d), because the others are not read.

    What remains are the layer's keys and values, a sixth of its work. Encoders that keep their own attention are left
    unchanged.
    """
    if FAMILIES[encoder.config.model_type].own_attention:
        return
    attention = encoder.encoder.layer[-1].attention
    attention.self = SelfAttention(attention.self, encoder.config, first_only=True)
    attention.output.register_forward_pre_hook(lambda _, states: (states[0], states[1][:, : states[0].shape[1]]))


def sliding_window(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Tensor, None]:
    """Attend to the real tokens in a window of `module.config.attention_window` around each token; padding gets 0."""
    return in_window(module, query, key, value, attention_mask, dropout, module.config.attention_window // 2)


def by_layer(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """ModernBERT's attention: to tokens nearer than `sliding_window` in local layers, to all tokens in the others."""
    if sliding_window is None:
        return whole_row(module, query, key, value, attention_mask, dropout)
    return in_window(module, query, key, value, attention_mask, dropout, sliding_window - 1)


def in_window(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, dropout: float, reach: int
) -> tuple[Tensor, None]:
    """Attend to the real tokens at a distance of at most `reach`; padding gets 0."""
    if query.shape[2] < key.shape[2]:
        seen = slice(reach + 1)
        key, value, attention_mask = key[:, :, seen], value[:, :, seen], attention_mask[..., seen]
        return whole_row(module, query, key, value, attention_mask, dropout)
    visible = attention_mask[:, 0, 0]
    query, key, value = (part.transpose(1, 2) for part in (query, key, value))
    context = sliding_window_attention(query, key, value, visible, reach, dropout)
    return context * visible[:, :, None, None], None


ATTENTION.register(WHOLE_ROW, whole_row)
ATTENTION.register(SLIDING_WINDOW, sliding_window)
ATTENTION.register(BY_LAYER, by_layer)


def sliding_window_attention(
    query: Tensor, key: Tensor, value: Tensor, visible: Tensor, reach: int, dropout: float = 0.0
) -> Tensor:
    """Softmax attention of every token over the visible tokens at a distance of at most `reach`.

    query, key, value: (R, T, heads, d); visible: (R, T) bool. Returns (R, T, heads, d); a token without visible
    neighbours gets its own value.
    """
    n_rows, n_tokens, n_heads, size = query.shape
    n_blocks = -(-n_tokens // reach)
    missing = n_blocks * reach - n_tokens
    query, key, value = (F.pad(part, (0, 0, 0, 0, 0, missing)) for part in (query, key, value))
    shape = (n_rows, n_blocks, reach, n_heads, size)
    near_key, near_value = (_with_neighbours(part.reshape(shape)) for part in (key, value))
    near_visible = _with_neighbours(F.pad(visible, (0, missing)).view(n_rows, n_blocks, reach))

    place = torch.arange(3 * reach, device=query.device) - reach  # of a key relative to its query's block
    distance = place - torch.arange(reach, device=query.device)[:, None]
    # Each token attends to itself whatever the mask says, because a softmax over nothing is undefined.
    allowed = (distance.abs() <= reach) & near_visible[:, :, None, :] | (distance == 0)

    context = F.scaled_dot_product_attention(
        query.reshape(n_rows * n_blocks, reach, n_heads, size).transpose(1, 2),
        near_key.flatten(0, 1).transpose(1, 2),
        near_value.flatten(0, 1).transpose(1, 2),
        attn_mask=allowed.flatten(0, 1)[:, None],
        dropout_p=dropout,
    )
    return context.transpose(1, 2).reshape(n_rows, n_blocks * reach, n_heads, size)[:, :n_tokens]


def _with_neighbours(blocks: Tensor) -> Tensor:
    """Each block with its predecessor and successor (zeros at the ends): (R, K, b, ...) to (R, K, 3 b, ...)."""
    none = torch.zeros_like(blocks[:, :1])
    before, after = torch.cat([none, blocks[:, :-1]], dim=1), torch.cat([blocks[:, 1:], none], dim=1)
    return torch.cat([before, blocks, after], dim=2)


def position_source(old_rows: int, max_positions: int, first_row: int = 0) -> Tensor:
    """The row of the old position table that each of the max_positions + 2 rows of the longer one is copied from.

    If texts start at a later row than 0 (RoBERTa: 2), the rows before it are kept and the others repeated. Otherwise
    row 0 is kept and rows 1 ... old_rows - 2 are repeated. The end follows the authors' program as far as that writes
    it (it restarts from row 1 when less than a whole repetition is left); the last rows, which it leaves unwritten,
    continue the plain repetition.
    """
    if first_row:
        repeated = first_row + torch.arange(max_positions + 2 - first_row) % (old_rows - first_row)
        return torch.cat([torch.arange(first_row), repeated])
    rows, step = max_positions + 2, old_rows - 2
    source = 1 + torch.arange(-1, rows - 1) % step
    source[0] = 0
    row = 1
    while row < max_positions and step > 0:
        if rows - row < step:
            step = max_positions - row - 1
        source[row : row + step] = torch.arange(1, step + 1)
        row += step
    return source
