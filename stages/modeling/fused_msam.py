"""MSAM's logits fused for a GPU, in Triton: no score is ever written to memory.

The mathematics and the names are those of stages/modeling/msam.py, whose blockwise form is the reference. There each
block of scores goes through memory several times; here a program keeps the scores of some synonyms and tokens in
registers, and walks over the tokens with a running maximum and sum (an "online" softmax). The backward pass computes
the scores once more from what the forward pass kept: o, and the logarithm of each softmax's denominator. It looks at
those pairs of row and code alone that have a gradient, whose number a program reads on the device.

A program's unit is a synonym of a code, one row of `q`; the g of a code is computed once for each of its synonyms, so
that both products have the same shape. What several programs add to one vector they add by atomic operations, in no
fixed order, as torch's own `index_add_` does on a GPU. Products are in TF32: in full float32 the tiles of the paper's
vectors do not fit into a program's registers.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

# The sides of a tile, powers of 2 and 16 at least. Compiled for an H100 (sm_90) at WIDEST, the tiles stay in registers
# (8 bytes are spilled) and in 160 of a multiprocessor's 227 KB.
SYNONYMS = 16
TOKENS = 32
WARPS = 8
WIDEST = 256  # numbers of a head's vector, d / Z


def supports(q: Tensor) -> bool:
    """Whether synonym vectors (Z, C, S, h) fit into a program's tiles, and TF32 is precise enough for the user."""
    return q.shape[-1] <= WIDEST and q.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32


class FusedLogits(torch.autograd.Function):
    """Logits (R, C) of R rows of T tokens: the arguments of `_BlockwiseLogits`, all contiguous, less the maxima.

    q (Z, C, S, h); k, v (Z, R T, h); u (Z, C, h); bar (R T), 0 or -inf, is added to every score of a token.
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor, u: Tensor, bar: Tensor, n_rows: int) -> Tensor:
        n_heads, n_codes, n_synonyms, size = q.shape
        outcomes = q.new_empty(n_heads, n_rows, n_codes, n_synonyms)  # o
        denominators = torch.empty_like(outcomes)  # logarithms
        grid = triton.cdiv(n_codes * n_synonyms, SYNONYMS), n_rows, n_heads
        shape = n_codes, n_synonyms, n_rows, k.shape[1] // n_rows, size
        _forward[grid](q, k, v, u, bar, outcomes, denominators, *shape, **_tiles(size))
        ctx.save_for_backward(q, k, v, u, bar, outcomes, denominators)
        return outcomes.mean(3).sum(0)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        q, k, v, u, bar, outcomes, denominators = ctx.saved_tensors
        n_heads, n_codes, n_synonyms, size = q.shape
        n_rows = len(gradient)
        n_tokens = k.shape[1] // n_rows
        wanted = gradient != 0
        codes = wanted.byte().argsort(dim=1, descending=True, stable=True)  # of each row, those with a gradient first
        counts = wanted.sum(1)
        share = (gradient / n_synonyms).contiguous()
        dq, du, dk, dv = torch.zeros_like(q), torch.zeros_like(u), torch.empty_like(k), torch.empty_like(v)
        given = q, k, v, u, bar, outcomes, denominators, share, codes, counts
        shape = n_codes, n_synonyms, n_rows, n_tokens, size
        grid = triton.cdiv(n_codes * n_synonyms, SYNONYMS), n_rows, n_heads
        _synonym_gradients[grid](*given, dq, du, *shape, **_tiles(size))
        grid = triton.cdiv(n_tokens, TOKENS), n_rows, n_heads
        _token_gradients[grid](*given, dk, dv, *shape, **_tiles(size))
        return dq, dk, dv, du, None, None


def _tiles(size: int) -> dict[str, object]:
    """The sides of the tiles for vectors of `size` numbers."""
    return {"M": SYNONYMS, "N": TOKENS, "D": max(16, triton.next_power_of_2(size)), "num_warps": WARPS}


@triton.jit
def _vectors(base, places, there, size, D: tl.constexpr):
    """The vectors at `places` (n,), as a tile (n, D); 0 for those that are not there."""
    dims = tl.arange(0, D)
    inside = there[:, None] & (dims < size)[None, :]
    return tl.load(base + places.to(tl.int64)[:, None] * size + dims[None, :], mask=inside, other=0.0)


@triton.jit
def _tokens(k, v, bar, token, row, head, n_rows, n_tokens, size, D: tl.constexpr):
    """k and v of some tokens (N,) of a row, as tiles (N, D), and their bars (N,); behind the row's end -inf."""
    inside = token < n_tokens
    place = (head * n_rows + row) * n_tokens + token
    bars = tl.load(bar + row * n_tokens + token, mask=inside, other=-float("inf"))
    return _vectors(k, place, inside, size, D), _vectors(v, place, inside, size, D), bars


@triton.jit
def _scores(q_tile, u_tile, k_tile, v_tile, bars):
    """< k, q > + bar and g, both (M, N)."""
    scores = tl.dot(q_tile, tl.trans(k_tile)) + bars[None, :]
    return scores, tl.dot(u_tile, tl.trans(v_tile))


@triton.jit
def _forward(
    q, k, v, u, bar, outcomes, denominators,
    n_codes, n_synonyms, n_rows, n_tokens, size,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """o and the logarithm of the softmax's denominator of M synonyms, in one row and head."""
    synonym, row, head = tl.program_id(0) * M + tl.arange(0, M), tl.program_id(1), tl.program_id(2)
    there = synonym < n_codes * n_synonyms
    q_tile = _vectors(q, head * n_codes * n_synonyms + synonym, there, size, D)
    u_tile = _vectors(u, head * n_codes + synonym // n_synonyms, there, size, D)
    highest = tl.full((M,), -float("inf"), tl.float32)
    total = tl.zeros((M,), tl.float32)
    outcome = tl.zeros((M,), tl.float32)
    for start in range(0, n_tokens, N):
        token = start + tl.arange(0, N)
        k_tile, v_tile, bars = _tokens(k, v, bar, token, row, head, n_rows, n_tokens, size, D)
        scores, gains = _scores(q_tile, u_tile, k_tile, v_tile, bars)
        raised = tl.maximum(highest, tl.max(scores, 1))
        origin = tl.where(raised == -float("inf"), 0.0, raised)  # as long as every token is barred
        weights = tl.exp(scores - origin[:, None])
        shrink = tl.exp(highest - origin)
        total = total * shrink + tl.sum(weights, 1)
        outcome = outcome * shrink + tl.sum(weights * gains, 1)
        highest = raised
    place = (head * n_rows + row).to(tl.int64) * n_codes * n_synonyms + synonym
    tl.store(outcomes + place, outcome / total, mask=there)
    tl.store(denominators + place, highest + tl.log(total), mask=there)


@triton.jit
def _wanted(
    q, u, outcomes, denominators, share, codes, at, count, row, head,
    n_codes, n_synonyms, n_rows, size, D: tl.constexpr,
):  # fmt: skip
    """Of the row's synonyms with a gradient those `at` (M,): which there are, where, and what is known of them.

    w is 0 for those that are not there.
    """
    there = at < count * n_synonyms
    code = tl.load(codes + row * n_codes + at // n_synonyms, mask=there, other=0).to(tl.int32)
    synonym = code * n_synonyms + at % n_synonyms
    w = tl.load(share + row * n_codes + code, mask=there, other=0.0)
    q_tile = _vectors(q, head * n_codes * n_synonyms + synonym, there, size, D)
    u_tile = _vectors(u, head * n_codes + code, there, size, D)
    place = (head * n_rows + row).to(tl.int64) * n_codes * n_synonyms + synonym
    outcome = tl.load(outcomes + place, mask=there, other=0.0)
    denominator = tl.load(denominators + place, mask=there, other=0.0)
    return there, code, synonym, w, q_tile, u_tile, outcome, denominator


@triton.jit
def _score_gradients(q_tile, u_tile, k_tile, v_tile, bars, w, outcome, denominator):
    """dscore = w a (g - o) and this synonym's part of dg = w sum_s a, both (M, N)."""
    scores, gains = _scores(q_tile, u_tile, k_tile, v_tile, bars)
    weights = w[:, None] * tl.exp(scores - denominator[:, None])
    return weights * (gains - outcome[:, None]), weights


@triton.jit
def _synonym_gradients(
    q, k, v, u, bar, outcomes, denominators, share, codes, counts, dq, du,
    n_codes, n_synonyms, n_rows, n_tokens, size,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Adds to dq and du what M synonyms of a row's codes with a gradient have in it, in one head."""
    at, row, head = tl.program_id(0) * M + tl.arange(0, M), tl.program_id(1), tl.program_id(2)
    count = tl.load(counts + row).to(tl.int32)
    if tl.program_id(0) * M < count * n_synonyms:
        there, code, synonym, w, q_tile, u_tile, outcome, denominator = _wanted(
            q, u, outcomes, denominators, share, codes, at, count, row, head, n_codes, n_synonyms, n_rows, size, D
        )
        dq_tile = tl.zeros((M, D), tl.float32)
        du_tile = tl.zeros((M, D), tl.float32)
        for start in range(0, n_tokens, N):
            token = start + tl.arange(0, N)
            k_tile, v_tile, bars = _tokens(k, v, bar, token, row, head, n_rows, n_tokens, size, D)
            dscores, dgains = _score_gradients(q_tile, u_tile, k_tile, v_tile, bars, w, outcome, denominator)
            dq_tile += tl.dot(dscores, k_tile)
            du_tile += tl.dot(dgains, v_tile)
        dims = tl.arange(0, D)
        inside = there[:, None] & (dims < size)[None, :]
        place = (head * n_codes * n_synonyms + synonym).to(tl.int64)[:, None] * size + dims[None, :]
        tl.atomic_add(dq + place, dq_tile, mask=inside)
        place = (head * n_codes + code).to(tl.int64)[:, None] * size + dims[None, :]
        tl.atomic_add(du + place, du_tile, mask=inside)


@triton.jit
def _token_gradients(
    q, k, v, u, bar, outcomes, denominators, share, codes, counts, dk, dv,
    n_codes, n_synonyms, n_rows, n_tokens, size,
    M: tl.constexpr, N: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """dk and dv of N tokens of a row, in one head, over all its codes with a gradient."""
    token, row, head = tl.program_id(0) * N + tl.arange(0, N), tl.program_id(1), tl.program_id(2)
    k_tile, v_tile, bars = _tokens(k, v, bar, token, row, head, n_rows, n_tokens, size, D)
    count = tl.load(counts + row).to(tl.int32)
    dk_tile = tl.zeros((N, D), tl.float32)
    dv_tile = tl.zeros((N, D), tl.float32)
    for start in range(0, count * n_synonyms, M):
        at = start + tl.arange(0, M)
        _, _, _, w, q_tile, u_tile, outcome, denominator = _wanted(
            q, u, outcomes, denominators, share, codes, at, count, row, head, n_codes, n_synonyms, n_rows, size, D
        )
        dscores, dgains = _score_gradients(q_tile, u_tile, k_tile, v_tile, bars, w, outcome, denominator)
        dk_tile += tl.dot(tl.trans(dscores), q_tile)
        dv_tile += tl.dot(tl.trans(dgains), u_tile)
    dims = tl.arange(0, D)
    inside = (token < n_tokens)[:, None] & (dims < size)[None, :]
    place = ((head * n_rows + row) * n_tokens + token).to(tl.int64)[:, None] * size + dims[None, :]
    tl.store(dk + place, dk_tile, mask=inside)
    tl.store(dv + place, dv_tile, mask=inside)
