"""Whether a group of documents is like those that the model was validated on.

Two-sample tests (Kolmogorov and Smirnov) compare lengths, unknown tokens and numbers of codes with those of the
validation documents. A likelihood-ratio test per code asks what adjusted counting, EMQ and the intervals assume:
that the group's probabilities are a mixture of those that validation documents with and without the code have. All
p are corrected for their number (Holm 1979).
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import xlogy

from stages.evaluation.uncertainty import holm
from stages.quantification.counting import Counting

UNLIKE = 0.01  # a corrected p below this is said
LEAST = 4.0  # validation documents with the code in a bin of the test of mixtures
STEPS = 100  # of expectation maximisation


class Drift(NamedTuple):
    """Corrected p: of each feature of the documents, and the codes whose probabilities are no such mixture."""

    features: dict[str, float]
    refuted: dict[int, float]  # column of the code -> p, those below `UNLIKE`

    @property
    def unlike(self) -> list[str]:
        """The features in which the group differs."""
        return [name for name, p in self.features.items() if p < UNLIKE]


def compare_group(
    known: Counting, probabilities: np.ndarray, n_tokens: np.ndarray, n_unknown: np.ndarray, group: np.ndarray
) -> Drift:
    """Compare a group's documents (N,), and their `group` (C, B) by bin, with the validation documents."""
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
    """The p (C,) of a likelihood-ratio test per code: do the group's bins (C, B) mix the rates of (2, C, B)?

    Under the hypothesis the rates of documents with and without the code are those of validation and group alike
    (expectation maximisation of rates and prevalence); the alternative leaves the group's bins free: B - 2 degrees of
    freedom. Of bins that hold fewer than `LEAST` documents with the code, the counts are joined to the next.
    """
    return np.array([_mixture_p(*join_bins(binned[:, code], group[code])) for code in range(len(group))])


def join_bins(binned: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bins (2, B) and (B,), each joined to the next until it holds `LEAST` validation documents with the code."""
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
    found = [*binned, group]
    expected = [*(binned.sum(axis=1, keepdims=True) * rates), group.sum() * mixed]
    ratio = 2 * sum(float(xlogy(o, o / np.maximum(e, 1e-300)).sum()) for o, e in zip(found, expected, strict=True))
    return float(stats.chi2.sf(ratio, len(group) - 2))
