"""Which tokens contribute to a code's logit (METHOD.md, section 12).

An MSAM head's logit is exactly a sum over the tokens of the winning row. With the symbols of section 4

    contribution[c,t] = sum_z mean_s a[c,z,s,t] < tanh(H)[z,t], W_V(ql)[c,z] >        logit[c] = sum_t contribution[c,t]

How much a token's state owes to its neighbours is up to the encoder. The other attributions are for comparison and for
plain heads: `attention`, the mean of a over heads and synonyms; `input_x_gradient`, the L2 norm over d of a token's
embedding times the logit's gradient; and the product of both.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from stages.encoder.chunking import document_rows
from stages.encoder.encoder import mask_for, token_states
from stages.encoder.tokenizer import SpecialIds
from stages.modeling.heads import MsamHead
from stages.modeling.model import CodingModel

MSAM_METHODS = ("contribution", "attention", "input_x_gradient", "attention_x_input_x_gradient")
PLAIN_METHODS = ("input_x_gradient",)


@dataclass(frozen=True)
class Words:
    """A tokenised text and the words its tokens belong to.

    ids: (n,) including [CLS] and [SEP]. word: (n,) int, -1 for special tokens. offsets: (n, 2), each token's
    characters; spans: (W, 2), each word's.
    """

    text: str
    ids: np.ndarray
    word: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray

    @classmethod
    def from_text(cls, text: str, tokenizer: PreTrainedTokenizerBase) -> "Words":
        """The words of `text` as the tokenizer separates them."""
        encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
        word = np.array([-1 if number is None else number for number in encoded.word_ids()], dtype=np.int64)
        offsets = np.array(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        n_words = int(word.max(initial=-1)) + 1
        spans = np.zeros((n_words, 2), dtype=np.int64)
        spans[:, 0] = len(text)
        real = word >= 0
        np.minimum.at(spans[:, 0], word[real], offsets[real, 0])
        np.maximum.at(spans[:, 1], word[real], offsets[real, 1])
        return cls(text, np.array(encoded["input_ids"], dtype=np.int64), word, offsets, spans)

    def sums(self, scores: np.ndarray) -> np.ndarray:
        """Word scores (K, W): the sums of their tokens' scores (K, n)."""
        real = self.word >= 0
        summed = np.zeros((len(scores), len(self.spans)))
        for row, values in zip(summed, scores, strict=True):
            np.add.at(row, self.word[real], values[real])
        return summed


def snippets(words: Words, scores: np.ndarray, number: int = 3, context: int = 4) -> list[str]:
    """The words with the highest scores (W,) for a code, each with some context.

    Snippets do not overlap, and words below an eighth of the highest score are left out.
    """
    least = scores.max(initial=0.0) / 8
    taken = np.zeros(len(scores), dtype=bool)
    chosen: list[str] = []
    for word in np.argsort(-scores, kind="stable"):
        if len(chosen) == number or scores[word] <= 0 or scores[word] < least:
            break
        first, last = max(0, word - context), min(len(scores) - 1, word + context)
        if not taken[first : last + 1].any():
            taken[first : last + 1] = True
            chosen.append(words.text[words.spans[first, 0] : words.spans[last, 1]])
    return chosen


class Attribution(NamedTuple):
    """Scores (K, n) of a document's tokens for K codes, 0 for special and unread tokens.

    `logits` (K,): of the codes; `rows` (K,): their winning rows.
    """

    scores: np.ndarray
    logits: np.ndarray
    rows: np.ndarray


def methods_for(model: CodingModel) -> tuple[str, ...]:
    return MSAM_METHODS if isinstance(model.head, MsamHead) else PLAIN_METHODS


def attribute(
    model: CodingModel, token_ids: Sequence[int] | np.ndarray, special: SpecialIds, codes: Sequence[int], method: str
) -> Attribution:
    """Attribute the logits of the columns `codes` to the tokens of one whole tokenised document.

    Only the row with the highest logit counts for a code; tokens outside it score 0.
    """
    n_tokens = len(token_ids)
    ids, mask = (torch.from_numpy(part) for part in document_rows(token_ids, model.architecture, special))
    # The same rows for token positions; special tokens get positions outside the text.
    places, _ = document_rows(np.arange(n_tokens), model.architecture, SpecialIds(cls=-1, sep=n_tokens - 1, pad=-2))
    device = next(model.parameters()).device
    ids, mask = ids.to(device), mask.to(device)
    wanted = torch.as_tensor(codes, device=device)
    with torch.no_grad():
        H = token_states(model.encoder, ids, mask)
        attended = model.visible_tokens(mask)
        by_row = model.head(H, attended).float()[:, wanted]
    logits, rows = by_row.max(dim=0)
    if method == "input_x_gradient":
        by_token = _input_x_gradient(model, ids, mask, wanted, rows)
    else:
        exact, attention = msam_scores(model, H, attended, wanted, rows)
        by_token = exact if method == "contribution" else attention
        if method == "attention_x_input_x_gradient":
            by_token = attention * _input_x_gradient(model, ids, mask, wanted, rows)
    scores = np.zeros((len(codes), n_tokens))
    for i, row in enumerate(rows.tolist()):
        place = places[row][: by_token.shape[1]]
        of_text = (place > 0) & (place < n_tokens - 1)
        scores[i, place[of_text]] = by_token[i].cpu().numpy()[: len(place)][of_text]
    return Attribution(scores, logits.cpu().numpy(), rows.cpu().numpy())


@torch.no_grad()
def msam_scores(model: CodingModel, H: Tensor, attended: Tensor, codes: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Contribution and attention (K, T) of the tokens of each code's winning row."""
    head = model.head
    assert isinstance(head, MsamHead), "only an MSAM head has contributions and attention"
    attention = head.attention
    H = H.float()

    def heads(vectors: Tensor) -> Tensor:
        return vectors.unflatten(-1, (attention.n_heads, -1))

    k, v = heads(torch.tanh(attention.W_K(H))), heads(torch.tanh(H))  # (R, T, Z, h)
    q, u = heads(attention.W_Q(head.Q[codes])), heads(attention.W_V(head.Q[codes].mean(1)))  # (K, S, Z, h), (K, Z, h)
    scores = torch.einsum("ktzh,kszh->kzst", k[rows], q)
    scores = scores.masked_fill(~attended[rows].bool()[:, None, None, :], -torch.inf)
    weights = scores.softmax(-1)
    gains = torch.einsum("ktzh,kzh->kzt", v[rows], u)
    return (weights.mean(2) * gains).sum(1), weights.mean((1, 2))


def _input_x_gradient(model: CodingModel, ids: Tensor, mask: Tensor, codes: Tensor, rows: Tensor) -> Tensor:
    """The norm of embedding times gradient (K, T), of the tokens of each code's winning row."""
    words = model.encoder.get_input_embeddings()
    norms = torch.zeros(len(codes), ids.shape[1], device=ids.device)
    for row in rows.unique().tolist():
        only = slice(row, row + 1)
        inputs = words(ids[only]).detach().requires_grad_()
        H = model.encoder(inputs_embeds=inputs, attention_mask=mask_for(model.encoder, mask[only])).last_hidden_state
        logits = model.head(H, model.visible_tokens(mask)[only]).float()[0]
        for i in (rows == row).nonzero()[:, 0].tolist():
            (gradient,) = torch.autograd.grad(logits[codes[i]], inputs, retain_graph=True)
            norms[i] = (inputs.detach() * gradient)[0].norm(dim=-1)
    return norms
