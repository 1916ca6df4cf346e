"""The posterior of how many documents of a group have each code, given the bins of their probabilities.

Documents with a code fall into the probability bins at unknown rates, and those without it at others. Both sets of
rates are drawn from their posterior given the validation documents. Given the rates, a few steps of Gibbs sampling,
started at the most likely prevalence, alternate between each bin's number of documents with the code and the
prevalence. This assumes that the group has the same rates as the validation documents (prior shift) and that documents
are independent, and nothing about the prevalence. It is Bayesian quantification (Ziegler and Czyz 2024) for the number
in the group rather than its expectation. The group does not inform the rates, so a large group that differs slightly
from validation does not appear to determine them better than validation does.
"""

import numpy as np

from stages.evaluation.uncertainty import LEVEL

DRAWS, CLIMBS, STEPS = 400, 30, 10
STRENGTH = 20.0  # weight, in documents, of all codes' rates in the prior of one code's
LEAST = 0.05  # weight, in documents, of every bin
FLAT = 0.5  # Jeffreys prior of the prevalence


def count_intervals(binned: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """The 95 % interval, ends included, of how many of a group's documents have each code: (2, C) whole numbers.

    binned: (2, C, B), validation documents with and without the code by bin. group: (C, B), all the group's documents.
    """
    if not group.size or not group.sum():
        return np.zeros((2, len(group)))
    rng = np.random.default_rng(seed)
    known = binned + rate_prior(binned)
    rates = _rates(rng, np.broadcast_to(known[:, None], (2, DRAWS, *group.shape)))
    n_documents = group.sum(axis=1)

    def carriers(prevalence: np.ndarray) -> np.ndarray:
        """The share of documents with the code in each bin (DRAWS, C, B), given prevalences (DRAWS, C)."""
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
    """The shortest interval with 95 % of each code's draws (D, C): (2, C)."""
    ascending = np.sort(draws, axis=0)
    held = int(np.ceil(LEVEL * len(draws)))
    low, high = ascending[: len(draws) - held + 1], ascending[held - 1 :]
    best = np.argmin(high - low, axis=0), np.arange(draws.shape[1])
    return np.stack([low[best], high[best]])


def rate_prior(binned: np.ndarray) -> np.ndarray:
    """The prior of a code's rates, (2, 1, B), from those of all codes."""
    pooled = binned.sum(axis=1, keepdims=True) + 1
    return LEAST + STRENGTH * pooled / pooled.sum(axis=-1, keepdims=True)


def _rates(rng: np.random.Generator, counts: np.ndarray) -> np.ndarray:
    gamma = rng.standard_gamma(counts)
    return gamma / np.maximum(gamma.sum(axis=-1, keepdims=True), 1e-300)
