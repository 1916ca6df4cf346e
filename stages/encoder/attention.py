"""Self-attention over a whole row of tokens, registered by name with transformers.

An attention function takes query (R, heads, n, h), key and value (R, heads, T, h) and a mask (R, 1, 1, T) that is true
for real tokens; n is T, or 1 if only the first token's context is needed. It returns the contexts (R, n, heads, h) and
None in place of the weights.
"""

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from stages.encoder.families import FAMILIES

WHOLE_ROW = "whole_row"
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


ATTENTION.register(WHOLE_ROW, whole_row)


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
