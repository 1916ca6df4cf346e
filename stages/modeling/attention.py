"""The self-attention that is put in the place of BERT's and MegatronBert's own, under the same weight names."""

import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """BERT's self-attention through torch's scaled_dot_product_attention; it takes over the weights of `replaced`.

    transformers runs MegatronBert with eager attention only, which keeps every score matrix for the backward pass.
    """

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
        """The context (R, T, d) of states (R, T, d); attention_mask (R, 1, 1, T) is true where a token is real."""
        query, key, value = (
            projection(hidden_states).unflatten(-1, (self.heads, -1))
            for projection in (self.query, self.key, self.value)
        )
        return self.attend(query, key, value, attention_mask[:, 0, 0]).flatten(2), None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, visible: Tensor) -> Tensor:
        """The context of every token, (R, T, heads, d / heads), from query, key and value of the same shape.

        visible: (R, T) bool, true where a token is real.
        """
        query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        context = F.scaled_dot_product_attention(
            query, key, value, attn_mask=visible[:, None, None, :], dropout_p=self.dropout_now
        )
        return context.transpose(1, 2)
