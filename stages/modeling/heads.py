"""From token states to a score per code: plain heads, the MSAM head, and the maximum over a document's rows."""

import torch
from torch import Tensor, nn

from stages.modeling.msam import MultiSynonymAttention


class PlainHead(nn.Module):
    """Scores from the state h of [CLS]:

        logit = W dropout(tanh(D h + b)) + b'

    with, for LE, another dropout on h. For CE, D and b are the encoder's pooler if it has one. Computed in float32 even
    under autocast, because logits rounded to bfloat16 take so few values that they tie.
    """

    def __init__(self, hidden: int, n_codes: int, dropout: float, drop_states: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, n_codes)
        self.dropout = nn.Dropout(dropout)
        self.drop_states = drop_states

    @property
    def n_codes(self) -> int:
        return self.output.out_features

    def forward(self, H: Tensor, mask: Tensor | None = None, n_documents: int | None = None) -> Tensor:
        """Logits (R, C) from token states (R, n, d), n >= 1, of which only [CLS]'s is used."""
        with torch.autocast(H.device.type, enabled=False):
            state = H[:, 0].to(self.output.weight.dtype)
            if self.drop_states:
                state = self.dropout(state)
            return self.output(self.dropout(torch.tanh(self.dense(state))))


class MsamHead(nn.Module):
    """Scores by multi-synonym attention with M heads (the paper) from fixed synonym vectors Q (C, M, d)."""

    Q: Tensor

    def __init__(self, Q: Tensor, initialisation: str) -> None:
        super().__init__()
        self.register_buffer("Q", Q)
        _, M, d = Q.shape
        self.attention = MultiSynonymAttention(d, n_heads=M, initialisation=initialisation)

    @property
    def n_codes(self) -> int:
        return len(self.Q)

    def for_synonyms(self, Q: Tensor) -> "MsamHead":
        """The same attention for other codes, given their synonym vectors (C', M, d); no weight belongs to a code."""
        head = MsamHead.__new__(MsamHead)
        nn.Module.__init__(head)
        head.register_buffer("Q", Q)
        head.attention = self.attention
        return head

    def forward(self, H: Tensor, mask: Tensor | None = None, n_documents: int | None = None) -> Tensor:
        """Logits (R, C) from token states (R, T, d); mask (R, T) is true for tokens to attend to, None: all.

        n_documents: the number of documents of the rows, if only their maxima get a gradient.
        """
        return self.attention(self.Q, H, self.Q.mean(1), mask, n_documents)


def document_maximum(logits: Tensor, document: Tensor, n_documents: int) -> Tensor:
    """The maximum over the rows of each document: (N, C) from logits (R, C) and the document (R,) of each row.

    As with torch.max along an axis, the gradient goes to one row (the first of ties), and NaN propagates.
    """
    n_rows, n_codes = logits.shape
    place = document[:, None].expand(n_rows, n_codes)
    highest = logits.new_zeros(n_documents, n_codes).scatter_reduce(
        0, place, logits.detach(), "amax", include_self=False
    )
    is_highest = (logits == highest[document]) | logits.isnan()
    number = torch.arange(n_rows, device=logits.device)[:, None].expand(n_rows, n_codes)
    first = torch.full((n_documents, n_codes), n_rows - 1, device=logits.device)
    first = first.scatter_reduce(0, place, torch.where(is_highest, number, n_rows - 1), "amin")
    return logits.gather(0, first)
