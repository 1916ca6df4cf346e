"""Tests of whether a group of documents is like those that the model was validated on.

Two-sample Kolmogorov-Smirnov tests compare lengths, unknown tokens and numbers of codes with those of the validation
documents. A likelihood-ratio test per code checks the assumption of adjusted counting, EMQ and the intervals: that the
group's probabilities are a mixture of those of validation documents with and without the code. All p-values are
corrected for multiple testing (Holm 1979).
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import xlogy

from stages.evaluation.uncertainty import holm
from stages.quantification.counting import Counting

UNLIKE = 0.01  # corrected p-values below this are reported
LEAST = 4.0  # minimum of validation documents with the code per bin of the mixture test
STEPS = 100  # of expectation maximisation


class Drift(NamedTuple):
    """Corrected p-values of each feature, and of the codes whose probabilities are not such a mixture."""

    features: dict[str, float]
    refuted: dict[int, float]  # column of the code -> p, those below `UNLIKE`

    @property
    def unlike(self) -> list[str]:
        return [name for name, p in self.features.items() if p < UNLIKE]


def compare_group(
    known: Counting, probabilities: np.ndarray, n_tokens: np.ndarray, n_unknown: np.ndarray, group: np.ndarray
) -> Drift:
    """Compare a group's documents (N,), with their counts `group` (C, B) by bin, with the validation documents."""
    samples = {
        "number of codes": (probabilities.sum(axis=1, dtype=np.float64), known.assigned),
        "length": (n_tokens, known.n_tokens),
        "unknown tokens": (n_unknown / n_tokens, known.unknown),
    }
    features = [float(stats.ks_2samp(*pair).pvalue) for pair in samples.values()]
    mixtures = mixture_p(known.binned, group)
    corrected = holm(mixtures)
    refuted = {int(code): float(corrected[code]) for code in np.flatnonzero(corrected < UNLIKE)}
    return Drift(dict(zip(samples, holm(features).tolist(), strict=True)), refuted)


def mixture_p(binned: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The p-values (C,) of a likelihood-ratio test per code: is the group (C, B) a mixture of `binned` (2, C, B)?

    Under the null hypothesis, validation and group share the rates of documents with and without the code (fitted with
    the prevalence by expectation maximisation). The alternative leaves the group's bins free, with B - 2 degrees of
    freedom. Bins with fewer than `LEAST` documents with the code are merged into the next.
    """
    return np.array([_mixture_p(*join_bins(binned[:, code], group[code])) for code in range(len(group))])


def join_bins(binned: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bins (2, B) and (B,), merged until each has `LEAST` validation documents with the code."""
    starts, held = [0], 0.0
    for i, n_with in enumerate(binned[0]):
        if held >= LEAST:
            starts, held = [*starts, i], 0.0
        held += n_with
    if held < LEAST and len(starts) > 1:
        starts.pop()
    return np.add.reduceat(binned, starts, axis=1), np.add.reduceat(group, starts)


def _mixture_p(binned: np.ndarray, group: np.ndarray) -> float:
    if len(group) < 3 or not group.sum() or not binned.sum(axis=1).all():
        return 1.0
    share, rates = 0.5, (binned + 0.5) / (binned + 0.5).sum(axis=1, keepdims=True)
    for _ in range(STEPS):
        odds = share * rates[0]
        with_code = group * odds / np.maximum(odds + (1 - share) * rates[1], 1e-300)
        share = with_code.sum() / group.sum()
        counts = binned + np.stack([with_code, group - with_code])
        rates = counts / counts.sum(axis=1, keepdims=True)
    mixed = share * rates[0] + (1 - share) * rates[1]
    observed = [*binned, group]
    expected = [*(binned.sum(axis=1, keepdims=True) * rates), group.sum() * mixed]
    ratio = 2 * sum(float(xlogy(o, o / np.maximum(e, 1e-300)).sum()) for o, e in zip(observed, expected, strict=True))
    return float(stats.chi2.sf(ratio, len(group) - 2))
