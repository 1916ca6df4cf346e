"""Multi-synonym attention (MSAM, section 3 of the paper): each synonym of a code attends to a text on its own.

For a chunk with token states H (T, d), code c, head z of Z, synonym s of S and token t, with vectors split into heads:

    k[z,t]       = tanh(W_K H)[z,t]          q[c,z,s] = W_Q(Q)[c,z,s]          ql[c] = mean_s Q[c,s]
    v[z,t]       = tanh(H)[z,t]              u[c,z]   = W_V(ql)[c,z]
    a[c,z,s,:]   = softmax_t < k[z,t], q[c,z,s] >
    logit[c]     = sum_z < mean_s sum_t a[c,z,s,t] v[z,t], u[c,z] >

After the softmax only the scalar g[c,z,t] = < v[z,t], u[c,z] > is needed, so

    o[c,z,s]     = sum_t a[c,z,s,t] g[c,z,t]          logit[c] = sum_z mean_s o[c,z,s]

which makes the second product S times smaller than one with the token vectors. With 3,681 codes, 4 heads, 4 synonyms
and 512 tokens the scores take 120 MB per chunk, so they are computed in blocks, and recomputed in the backward pass,
for which only o is kept. With w the gradient of logit[c] divided by S:

    dscore = w a (g - o)          dg = w sum_s a

The maximum over chunks sends its gradient to one chunk per code, and the backward pass only computes these pairs of
chunk and code. On a CPU the host enumerates them. On a GPU it would have to wait for the device, so there the pairs are
arranged in tiles, whose number is an upper bound.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

BLOCK_SCORES = {"cpu": 2**19, "cuda": 2**24}  # scores per block: 2 MB fit a cache, 64 MB fill a GPU
COUNTED_ON_HOST: tuple[str, ...] = ("cpu",)  # devices the host need not wait for


class MultiSynonymAttention(nn.Module):
    """The MSAM head: scores of codes for chunks, from token states and fixed synonym vectors.

    hidden: d, a multiple of n_heads (Z; M, the number of synonyms, in the paper). initialisation: of W_Q and W_K,
    "torch" (torch's default, as in the paper) or "identity", with which attention starts as the similarity of tokens
    and synonyms in the encoder's space.
    """

    def __init__(self, hidden: int, n_heads: int, initialisation: str = "torch") -> None:
        super().__init__()
        self.n_heads = n_heads
        self.W_Q, self.W_K, self.W_V = (nn.Linear(hidden, hidden) for _ in range(3))
        if initialisation == "identity":
            for projection in (self.W_Q, self.W_K):
                nn.init.eye_(projection.weight)
                nn.init.zeros_(projection.bias)

    def forward(
        self, Q: Tensor, H: Tensor, ql: Tensor, mask: Tensor | None = None, n_maxima: int | None = None
    ) -> Tensor:
        """Logits (R, C).

        Q: synonym vectors (C, S, d). H: token states (R, T, d). ql: mean synonym vectors (C, d). mask: (R, T), true for
        tokens to attend to, at least one per row; None: all. n_maxima: an upper bound on how many of a code's R logits
        get a gradient (the number of documents, for their maxima); None: all. Computed in float32 (float64 for float64
        inputs) even under autocast: scores are not scaled, so half precision would shift them by tenths.
        """
        n_codes, n_synonyms, _ = Q.shape
        n_rows, n_tokens, _ = H.shape
        with torch.autocast(H.device.type, enabled=False):
            H = H if H.dtype == torch.float64 else H.float()
            k = self._heads_first(torch.tanh(self.W_K(H)).flatten(0, 1))
            v = self._heads_first(torch.tanh(H).flatten(0, 1))
            q = self._heads_first(self.W_Q(Q).flatten(0, 1)).unflatten(1, (n_codes, n_synonyms))
            u = self._heads_first(self.W_V(ql))
            if mask is None:
                barred = H.new_zeros(n_rows * n_tokens)
            else:
                barred = H.new_zeros(n_rows * n_tokens).masked_fill_(~mask.bool().flatten(), -torch.inf)
            return _BlockwiseLogits.apply(q, k, v, u, barred, n_rows, n_rows if n_maxima is None else n_maxima)

    def _heads_first(self, vectors: Tensor) -> Tensor:
        """Split vectors (n, d) into heads: (Z, n, d / Z), contiguous."""
        return vectors.unflatten(-1, (self.n_heads, -1)).movedim(1, 0).contiguous()


class _BlockwiseLogits(torch.autograd.Function):
    """Logits (R, C) of R rows of T tokens, computed block by block from vectors whose first axis is the head.

    q (Z, C, S, h); k, v (Z, R T, h); u (Z, C, h); bar (R T), 0 or -inf, is added to each token's scores.
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, u: Tensor, bar: Tensor, n_rows: int, n_maxima: int) -> Tensor:
        n_heads, n_codes, n_synonyms, _ = q.shape
        logits = q.new_empty(n_rows, n_codes)
        outcomes = q.new_empty(n_heads, n_codes, n_synonyms, n_rows)  # o
        for row, token, code in _blocks(q, k, n_rows):
            weights = _weights(q[:, code], k[:, token], bar[token], row)
            gains = _gains(u[:, code], v[:, token], row)
            outcome = weights.mul_(gains[:, :, None]).sum(-1)
            logits[row, code] = outcome.mean(2).sum(0).T
            outcomes[:, code, :, row] = outcome
        ctx.save_for_backward(q, k, v, u, bar, outcomes)
        ctx.n_maxima = n_maxima
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        with torch.autocast(gradient.device.type, enabled=False):
            return _BlockwiseLogits._gradients(ctx, gradient)

    @staticmethod
    def _gradients(ctx, gradient: Tensor):
        q, k, v, u, bar, outcomes = ctx.saved_tensors
        n_heads, _, n_synonyms, size = q.shape
        n_rows = len(gradient)
        dq, dk, dv, du = (torch.zeros_like(vectors) for vectors in (q, k, v, u))
        k, v, dk, dv = (vectors.unflatten(1, (n_rows, -1)) for vectors in (k, v, dk, dv))
        bar = bar.view(n_rows, 1, -1)
        budget = max(1, BLOCK_SCORES[q.device.type] // (n_heads * n_synonyms * k.shape[2]))
        if q.device.type in COUNTED_ON_HOST:
            blocks = _nonzero_pairs(gradient, budget)
        else:
            blocks = _nonzero_tiles(gradient, budget, ctx.n_maxima)
        for row, code, wanted in blocks:
            w = wanted / n_synonyms
            q_here, u_here, k_here, v_here = q[:, code].flatten(2, 3), u[:, code], k[:, row], v[:, row]
            weights = (q_here @ k_here.mT).add_(bar[row]).softmax(-1).unflatten(2, (-1, n_synonyms))  # (Z, r, n, S, T)
            dgains = weights.sum(3) * w[..., None]
            gains = (u_here @ v_here.mT) * w[..., None]
            outcome = outcomes[:, code, :, row[:, None]].movedim(2, 0) * w[..., None]
            dscores = weights.mul_(gains[:, :, :, None] - outcome[..., None]).flatten(2, 3)
            dk.index_add_(1, row, dscores.mT @ q_here)
            dv.index_add_(1, row, dgains.mT @ u_here)
            dq.index_add_(1, code.flatten(), (dscores @ k_here).view(n_heads, -1, n_synonyms, size))
            du.index_add_(1, code.flatten(), (dgains @ v_here).view(n_heads, -1, size))
        return dq, dk.flatten(1, 2), dv.flatten(1, 2), du, None, None, None


def _nonzero_pairs(gradient: Tensor, at_once: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The (row, code) pairs with non-zero `gradient` (R, C), about `at_once` at a time.

    Yields rows (r,), codes (r, n) and their gradients (r, n). Rows with similar numbers of codes are grouped; those
    with fewer than n codes, but more than half as many, are filled up with codes of gradient 0.
    """
    wanted = gradient != 0
    counts, order = wanted.sum(1).sort(descending=True, stable=True)
    codes = wanted.byte().argsort(dim=1, descending=True, stable=True)
    counts = counts.tolist()
    first = 0
    while first < len(counts) and counts[first]:
        most = counts[first]
        codes_at_once = min(most, at_once)
        alike = sum(2 * count > most for count in counts[first:])
        row = order[first : first + min(alike, at_once // codes_at_once)]
        for start in range(0, most, codes_at_once):
            code = codes[row, start : start + codes_at_once]
            yield row, code, gradient[row[:, None], code]
        first += len(row)


def _nonzero_tiles(gradient: Tensor, at_once: int, n_maxima: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """The same pairs without asking the device for their number: at most `n_maxima` per code.

    A tile is a row and as many codes as a row has on average. Excess entries and unneeded tiles have gradient 0, and a
    row may occur more than once.
    """
    n_rows, n_codes = gradient.shape
    most = min(n_maxima, n_rows) * n_codes
    width = min(n_codes, at_once, -(-most // n_rows))
    n_tiles = min(most // width + n_rows, n_rows * -(-n_codes // width))
    wanted = gradient != 0
    counts = wanted.sum(1)
    codes = wanted.byte().argsort(dim=1, descending=True, stable=True)
    own_tiles = (counts + width - 1) // width
    ends = own_tiles.cumsum(0)
    tile = torch.arange(n_tiles, device=gradient.device)
    row = torch.searchsorted(ends, tile, right=True).clamp_(max=n_rows - 1)
    place = (tile - ends[row] + own_tiles[row])[:, None] * width + torch.arange(width, device=gradient.device)
    code = codes[row[:, None], place.clamp(max=n_codes - 1)]
    gradients = torch.where(place < counts[row][:, None], gradient[row[:, None], code], 0)
    for start in range(0, n_tiles, max(1, at_once // width)):
        part = slice(start, start + max(1, at_once // width))
        yield row[part], code[part], gradients[part]


def _weights(q: Tensor, k: Tensor, bar: Tensor, row: slice) -> Tensor:
    """The softmax over a row's tokens of < k, q > + bar, (Z, n, S, r, T), for n codes and the r rows `row`."""
    scores = (q.flatten(1, 2) @ k.mT).add_(bar)
    return scores.view(*q.shape[:3], row.stop - row.start, -1).softmax(-1)


def _gains(u: Tensor, v: Tensor, row: slice) -> Tensor:
    return (u @ v.mT).unflatten(2, (row.stop - row.start, -1))


def _blocks(q: Tensor, k: Tensor, n_rows: int) -> Iterator[tuple[slice, slice, slice]]:
    """The rows, tokens and codes of each block, so that a block has about BLOCK_SCORES scores."""
    n_heads, n_codes, n_synonyms, _ = q.shape
    n_tokens = k.shape[1] // n_rows
    budget = BLOCK_SCORES[q.device.type] // (n_heads * n_synonyms * n_tokens)  # pairs of row and code
    rows_at_once = max(1, min(n_rows, budget // n_codes))
    codes_at_once = max(1, budget // rows_at_once)
    for first in range(0, n_rows, rows_at_once):
        row = slice(first, min(first + rows_at_once, n_rows))
        token = slice(row.start * n_tokens, row.stop * n_tokens)
        for start in range(0, n_codes, codes_at_once):
            yield row, token, slice(start, start + codes_at_once)
