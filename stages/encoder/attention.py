"""The self-attention that is put in the place of BERT's and MegatronBert's own, under the same weight names."""

import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel

from stages.encoder.families import FAMILIES


class SelfAttention(nn.Module):
    """BERT's self-attention through torch's scaled_dot_product_attention; it takes over the weights of `replaced`.

    transformers runs MegatronBert with eager attention only, which keeps every score matrix for the backward pass.
    first_only: only the context of the first token is wanted (`only_first_state`).
    """

    first_only = False

    def __init__(self, replaced: nn.Module) -> None:
        super().__init__()
        self.query, self.key, self.value = replaced.query, replaced.key, replaced.value
        self.heads = replaced.num_attention_heads
        self.dropout = replaced.dropout.p
        self.train(replaced.training)

    @property
    def dropout_now(self) -> float:
        """The dropout of attention weights: none outside of training."""
        return self.dropout if self.training else 0.0

    def forward(self, hidden_states: Tensor, attention_mask: Tensor, **_: object) -> tuple[Tensor, None]:
        """The context (R, T, d) of states (R, T, d), of the first token alone (R, 1, d) where no other is wanted.

        attention_mask: (R, 1, 1, T), true where a token is real.
        """
        seeking = hidden_states[:, :1] if self.first_only else hidden_states
        query, key, value = (
            projection(states).unflatten(-1, (self.heads, -1))
            for projection, states in ((self.query, seeking), (self.key, hidden_states), (self.value, hidden_states))
        )
        return self.attend(query, key, value, attention_mask[:, 0, 0]).flatten(2), None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
        """The context of every query, as query (R, n, heads, d / heads), from key and value (R, T, heads, d / heads).

        visible: (R, T) bool, true where a token is real.
        """
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        context = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible[:, None, None, :], dropout_p=self.dropout_now
        )
        return context.transpose(1, 2)


def only_first_state(encoder: PreTrainedModel) -> None:
    """Let the last layer compute the first token's state alone, (R, 1, d), from the states of all: the others unread.

    That leaves of the layer its keys and values, a sixth of its work. An encoder that keeps its own attention is left
    as it is.
    """
    if FAMILIES[encoder.config.model_type].own_attention:
        return
    attention = encoder.encoder.layer[-1].attention
    attention.self.first_only = True
    attention.output.register_forward_pre_hook(lambda _, states: (states[0], states[1][:, : states[0].shape[1]]))
