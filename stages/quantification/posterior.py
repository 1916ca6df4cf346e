"""How many documents of a group carry each code: the posterior, given in which bins their probabilities fall.

Of a code, the documents with it fall into the bins of probability at unknown rates, those without it at others. Both
sets of rates are drawn as the validation documents leave them open; given them, the prevalence that is likeliest in the
group starts a few steps of Gibbs sampling, of how many of each bin's documents carry the code, and of the prevalence.
What is assumed is that the rates are the same in the group as among the validation documents (prior shift) and that
documents are independent; nothing is assumed of the prevalence. It is Bayesian quantification (Ziegler and Czyz 2024)
for the number in the group, not its expectation; the group says nothing of the rates, so that a large one that is
slightly unlike the validation documents does not seem to know them better than these do.
"""

import numpy as np

from stages.evaluation.uncertainty import LEVEL

DRAWS, CLIMBS, STEPS = 400, 30, 10
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
    rates = _rates(rng, np.broadcast_to(known[:, None], (2, DRAWS, *group.shape)))
    n_documents = group.sum(axis=1)

    def carriers(prevalence: np.ndarray) -> np.ndarray:
        """The share of carriers in each bin (DRAWS, C, B) under prevalences (DRAWS, C)."""
        odds = prevalence[..., None] * rates[0]
        total = odds + (1 - prevalence[..., None]) * rates[1]
        return np.divide(odds, total, out=np.full_like(odds, 0.5), where=total > 0)

    prevalence = np.full((DRAWS, len(group)), 0.5)
    for _ in range(CLIMBS):  # expectation maximisation
        prevalence = (group * carriers(prevalence)).sum(axis=-1) / np.maximum(n_documents, 1)
    for _ in range(STEPS):
        n_with = rng.binomial(group.astype(np.int64), carriers(prevalence)).sum(axis=-1)
        prevalence = rng.beta(FLAT + n_with, FLAT + n_documents - n_with)
    return shortest_intervals(rng.binomial(group.astype(np.int64), carriers(prevalence)).sum(axis=-1).astype(float))


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
