"""How many documents of a group carry each code: the posterior, given in which bins their probabilities fall.

Of a code, the documents with it fall into the bins of probability at unknown rates, those without it at others; the
validation documents say of both what they can, and so does the group. Gibbs sampling goes round: how many of each bin's
documents carry the code, the two sets of rates, the prevalence. What is assumed is that these rates are the same in the
group as among the validation documents (prior shift) and that documents are independent; nothing is assumed of the
prevalence. It is Bayesian quantification (Ziegler and Czyz 2024) for the number in the group, not its expectation.
"""

import numpy as np

from stages.evaluation.uncertainty import LEVEL

CHAINS, BURNT, KEPT = 32, 60, 150
STRENGTH = 20.0  # documents' worth of what all codes' rates say of one code's
LEAST = 0.05  # documents' worth of every bin
FLAT = 0.5  # Jeffreys' prior of the prevalence


def count_intervals(binned: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """The 95 % interval, ends included, of how many of a group's documents carry each code: (2, C) whole numbers.

    binned: (2, C, B) validation documents with and without the code by bin. group: (C, B), all documents of the group.
    """
    if not group.size or not group.sum():
        return np.zeros((2, len(group)))
    rng = np.random.default_rng(seed)
    known = binned + rate_prior(binned)
    n_documents = group.sum(axis=1)
    with_code = rng.binomial(group.astype(np.int64), 0.5, (CHAINS, *group.shape)).astype(np.float64)
    counts = np.empty((KEPT, CHAINS, len(group)))
    for step in range(BURNT + KEPT):
        n_with = with_code.sum(axis=-1)
        prevalence = rng.beta(FLAT + n_with, FLAT + n_documents - n_with)[..., None]
        odds = prevalence * _rates(rng, known[0] + with_code)
        others = (1 - prevalence) * _rates(rng, known[1] + group - with_code)
        share = np.divide(odds, odds + others, out=np.full_like(odds, 0.5), where=odds + others > 0)
        with_code = rng.binomial(group.astype(np.int64), share).astype(np.float64)
        if step >= BURNT:
            counts[step - BURNT] = with_code.sum(axis=-1)
    return shortest_intervals(counts.reshape(-1, len(group)))


def shortest_intervals(draws: np.ndarray) -> np.ndarray:
    """The shortest interval that holds 95 % of the draws (D, C) of each code, (2, C)."""
    ascending = np.sort(draws, axis=0)
    held = int(np.ceil(LEVEL * len(draws)))
    low, high = ascending[: len(draws) - held + 1], ascending[held - 1 :]
    best = np.argmin(high - low, axis=0), np.arange(draws.shape[1])
    return np.stack([low[best], high[best]])


def rate_prior(binned: np.ndarray) -> np.ndarray:
    """What is taken for known of a code's rates before its documents are seen, (2, 1, B): the rates of all codes."""
    pooled = binned.sum(axis=1, keepdims=True) + 1
    return LEAST + STRENGTH * pooled / pooled.sum(axis=-1, keepdims=True)


def _rates(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    """Rates drawn from the Dirichlet distributions of counts (..., B)."""
    gamma = rng.standard_gamma(counts)
    return gamma / np.maximum(gamma.sum(axis=-1, keepdims=True), 1e-300)
