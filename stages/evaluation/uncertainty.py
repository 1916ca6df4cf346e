"""Bootstrap intervals over patients, and paired tests between two sets of predictions.

Every metric here is a function of sums over documents. A resample is a weight per document, so all resamples take a few
matrix products. A patient's documents are drawn, or exchanged, together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from stages.evaluation import classification, ranking, tuning
from stages.evaluation.calibration import bin_of
from stages.evaluation.classification import Counts, RankedDocuments, harmonic_mean, ratio
from stages.evaluation.scored import Resampling

LEVEL = 0.95
BLOCK_NUMBERS = 1 << 23  # sums held at once


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of sums over documents.

    `sums`: weights (R, N) of the documents in R resamples -> weighted sums over documents (R, ...).
    `value`: those sums -> the metric (R,) of each resample.
    `size`: the number of sums per resample.
    `least`: a lower limit of the metric.
    """

    sums: Callable[[np.ndarray], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]
    size: int
    least: float = 0.0

    def at(self, weights: np.ndarray) -> np.ndarray:
        """The metric (R,) for weights (R, N), computed in blocks of resamples."""
        return np.concatenate([self.value(self.sums(weights[rows])) for rows in self.blocks(len(weights))])

    def blocks(self, resamples: int) -> Iterator[slice]:
        """Slices of resamples whose sums fit into memory."""
        step = max(1, BLOCK_NUMBERS // self.size)
        for start in range(0, resamples, step):
            yield slice(start, start + step)


def document_mean(values: np.ndarray) -> Statistic:
    """The mean over documents of one value per document (N,)."""
    columns = np.column_stack([values, np.ones(len(values))])
    return from_columns(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))


def document_ratio(document: np.ndarray, values: np.ndarray, n_documents: int, least: float = 0.0) -> Statistic:
    """The mean of values (n,), any number of which belong to each document (n,), 0 to N - 1."""
    sums = [np.bincount(document, part, minlength=n_documents) for part in (values, np.ones(len(values)))]
    mean = from_columns(np.column_stack(sums), lambda sums: ratio(sums[:, 0], sums[:, 1]))
    return replace(mean, least=least)


def from_columns(columns: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    """A statistic of the sums of some values per document (N, K)."""
    return Statistic(lambda weights: weights @ columns, value, columns.shape[1])


def pool_counts(counts: np.ndarray, metric: Callable[[Counts], np.ndarray]) -> Statistic:
    """A metric of summed true positives, false positives and false negatives, given by document (N, 3)."""
    return from_columns(counts.astype(float), lambda sums: metric(Counts(*sums.T)))


def f1_micro(targets: sp.csr_array, decisions: np.ndarray) -> Statistic:
    """Micro-F1 of decisions (N, C)."""
    counts = classification.counts_by_document(targets, decisions)
    columns = np.column_stack([counts.true_positives, counts.false_positives, counts.false_negatives])
    return pool_counts(columns, classification.f1)


def by_code_counts(targets: sp.csr_array, decisions: np.ndarray, average: Callable[[Counts], np.ndarray]) -> Statistic:
    """A macro average of decisions (N, C): `average` maps counts (R, C) to (R,)."""
    true, predicted = sp.csr_array(targets != 0), sp.csr_array(decisions)
    parts = [sp.csr_array(part, dtype=float).T.tocsr() for part in (true.multiply(predicted), predicted, true)]

    def sums(weights: np.ndarray) -> np.ndarray:
        columns = np.ascontiguousarray(weights.T)
        return np.stack([(part @ columns).T for part in parts])

    def value(sums: np.ndarray) -> np.ndarray:
        hits, predicted, true = sums
        return average(Counts(hits, predicted - hits, true - hits))

    return Statistic(sums, value, 3 * targets.shape[1])


def f1_macro(counts: Counts) -> np.ndarray:
    """Macro-F1 (R,) of counts (R, C): the mean of the codes' F1."""
    return classification.f1(counts).mean(axis=1)


def f1_macro_mullenbach(counts: Counts) -> np.ndarray:
    """Macro-F1 (R,) of counts (R, C) in CAML's convention."""
    precision, recall = (metric(counts).mean(axis=1) for metric in (classification.precision, classification.recall))
    return harmonic_mean(precision, recall)


def mece(targets: sp.csr_array, probabilities: np.ndarray, bins: int) -> Statistic:
    """MECE of probabilities (N, C).

    Nearly all cells are in the lowest bin. Its sums are obtained by subtracting the few, sparse higher bins from the
    sums over all bins, which are one dense product.
    """
    n_documents, n_codes = probabilities.shape
    high = np.nonzero(probabilities >= np.float32(1 / bins))
    flat = high[1] * (bins + 1) + bin_of(probabilities[high], bins)
    gaps = (probabilities[high] - (np.asarray(targets[high]).ravel() != 0)).astype(float)
    higher = sp.csr_array((gaps, (flat, high[0])), shape=(n_codes * (bins + 1), n_documents))

    def sums(weights: np.ndarray) -> np.ndarray:
        binned = (higher @ np.ascontiguousarray(weights.T)).T.reshape(len(weights), n_codes, bins + 1)
        total = -(targets.T.astype(float) @ weights.T).T
        for columns in ranking.row_blocks((n_codes, n_documents)):
            total[:, columns] += weights @ probabilities[:, columns].astype(float)
        binned[:, :, 0] += total - binned.sum(axis=2)
        return np.concatenate([binned.reshape(len(weights), -1), weights.sum(axis=1, keepdims=True)], axis=1)

    def value(sums: np.ndarray) -> np.ndarray:
        return ratio(np.abs(sums[:, :-1]).sum(axis=1), n_codes * sums[:, -1])

    return Statistic(sums, value, n_codes * (bins + 1) + 1)


def auc_micro_pseudo_values(targets: sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """A value per document (N,) whose mean is the micro AUC and whose weighted mean approximates a resample's.

    AUC + N x (the derivative of the AUC with respect to the document's weight): the infinitesimal jackknife. Exact
    resampling would sort all N x C cells for each resample.
    """
    n_documents, n_codes = probabilities.shape
    cells = ranking.positive_cells(targets, probabilities.shape)
    positives, everything = np.sort(probabilities[cells]), np.sort(probabilities, axis=None)
    pairs = np.zeros(n_documents)
    for rows in ranking.row_blocks(probabilities.shape):
        pairs[rows] = (len(positives) - _midranks(positives, np.sort(probabilities[rows], axis=1))).sum(axis=1)
    # So far every cell counts as a negative; a positive instead pairs with the negatives below it.
    pairs += np.bincount(cells[0], _midranks(everything, probabilities[cells]) - len(positives), minlength=n_documents)
    true = np.bincount(cells[0], minlength=n_documents)
    return _pseudo_values(pairs, true, n_codes - true)


def auc_macro_pseudo_values(targets: sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """A value per document (N,) whose mean is the macro AUC; see `auc_micro_pseudo_values`."""
    documents, codes = ranking.positive_cells(targets, probabilities.shape)
    values, counted = np.zeros(len(probabilities)), 0
    by_code = ranking.split_by_code(documents, codes, probabilities.shape[1])
    for scores, positive in zip(ranking.columns(probabilities), by_code, strict=True):
        if 0 < len(positive) < len(scores):
            positives = np.sort(scores[positive])
            pairs = len(positives) - _midranks(positives, scores)
            pairs[positive] = _midranks(np.sort(scores), scores[positive]) - _midranks(positives, scores[positive])
            true = np.zeros(len(scores))
            true[positive] = 1
            values += _pseudo_values(pairs, true, 1 - true)
            counted += 1
    return ratio(values, counted)


def _midranks(ascending: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """How many of `ascending` are below each score, counting ties half."""
    if not len(ascending):
        return np.zeros(scores.shape)
    below = np.searchsorted(ascending, scores, "left")
    tied = ascending[np.minimum(below, len(ascending) - 1)] == scores
    ranks = below.astype(float)
    ranks[tied] += (np.searchsorted(ascending, scores[tied], "right") - below[tied]) / 2
    return ranks


def _pseudo_values(pairs: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Pseudo-values (N,) of an AUC from the correctly ordered pairs, positives and negatives per document.

    A pair counts for both of its documents, so `pairs` sums to twice the number of correctly ordered pairs.
    """
    share = ratio(pairs, pairs.sum() / 2) - ratio(positives, positives.sum()) - ratio(negatives, negatives.sum())
    return float(ratio(pairs.sum() / 2, positives.sum() * negatives.sum())) * (1 + len(pairs) * share)


def decision_statistics(targets: sp.csr_array, decisions: np.ndarray) -> dict[str, Statistic]:
    """The three F1 scores of decisions (N, C) by metric name."""
    return {
        "f1_micro": f1_micro(targets, decisions),
        "f1_macro": by_code_counts(targets, decisions, f1_macro),
        "f1_macro_mullenbach": by_code_counts(targets, decisions, f1_macro_mullenbach),
    }


def classification_statistics(
    targets: sp.csr_array, probabilities: np.ndarray, threshold: float = tuning.PAPER
) -> dict[str, Statistic]:
    ranked = RankedDocuments.rank(targets, probabilities)
    return decision_statistics(targets, probabilities > threshold) | {
        "auc_micro": document_mean(auc_micro_pseudo_values(targets, probabilities)),
        "auc_macro": document_mean(auc_macro_pseudo_values(targets, probabilities)),
        "r_precision": document_mean(classification.r_precisions(ranked)),
        "mean_average_precision": document_mean(classification.average_precisions(ranked)),
        **{f"precision_at_{k}": document_mean(classification.precisions_at(ranked, k)) for k in classification.KS},
    }


def bootstrap_weights(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """The weight of each document in each resample (R, N), drawing patients with replacement.

    `groups` (N,): the patient of each document.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng([seed, 0])
    drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=resamples)
    return drawn[:, patient].astype(float)


def spread(estimate: float, resampled: np.ndarray) -> list[float]:
    """The interval [low, high] around an estimate from its resampled values (R,).

    Quantiles are taken about the resampled mean: resampling inflates calibration errors as sampling already did, and
    that shift is not part of the uncertainty.
    """
    tails = np.quantile(resampled - resampled.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(estimate + tail) for tail in tails]


def intervals(
    statistics: Mapping[str, Statistic], groups: np.ndarray, resamples: int, seed: int
) -> dict[str, list[float]]:
    """95 % bootstrap intervals [low, high], clipped to [least, 1]; empty without resamples."""
    if not resamples:
        return {}
    weights = bootstrap_weights(groups, resamples, seed)
    once = np.ones((1, len(groups)))
    return {
        name: np.clip(spread(float(statistic.at(once)[0]), statistic.at(weights)), statistic.least, 1).tolist()
        for name, statistic in statistics.items()
    }


def point_values(statistics: Mapping[str, Statistic], n_documents: int) -> dict[str, float]:
    return {name: float(statistic.at(np.ones((1, n_documents)))[0]) for name, statistic in statistics.items()}


def figures(statistics: Mapping[str, Statistic], resampling: Resampling) -> dict[str, Any]:
    """The value of each statistic, and its interval under `intervals` (lists, which `dvc metrics diff` skips)."""
    measured: dict[str, Any] = point_values(statistics, len(resampling.patients))
    return measured | {"intervals": intervals(statistics, *resampling)}


def f1_micro_interval(targets: sp.csr_array, decisions: np.ndarray, resampling: Resampling) -> dict[str, float]:
    """The interval of the micro-F1 of decisions (N, C) as table columns; NaN without resamples."""
    ends = intervals({"f1_micro": f1_micro(targets, decisions)}, *resampling)
    low, high = ends.get("f1_micro", (np.nan, np.nan))
    return {"f1_micro_low": low, "f1_micro_high": high}


def code_f1_intervals(
    targets: sp.csr_array, decisions: np.ndarray, resampling: Resampling
) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper ends (C,) of the intervals of each code's F1 for decisions (N, C); NaN without resamples."""
    n_codes = targets.shape[1]
    if not resampling.resamples:
        return np.full(n_codes, np.nan), np.full(n_codes, np.nan)
    statistic = by_code_counts(targets, decisions, classification.f1)
    estimate = statistic.at(np.ones((1, len(resampling.patients))))[0]
    resampled = statistic.at(bootstrap_weights(*resampling))
    ends = np.transpose([spread(*code) for code in zip(estimate, resampled.T, strict=True)])
    low, high = np.clip(ends, 0, 1)
    return low, high


def compare(
    runs: Sequence[tuple[Mapping[str, Statistic], Mapping[str, Statistic]]],
    groups: np.ndarray,
    resamples: int,
    seed: int,
) -> dict[str, dict]:
    """Differences (first - second) between two settings' metrics, from pairs of runs with equal seed and documents.

    Per metric, the mean over pairs: `difference`, its 95 % bootstrap `interval` (resampling patients, the same for all
    runs, and pairs), and the two-sided `p` of a randomisation test that exchanges a pair's predictions patient by
    patient and, with several pairs, whole pairs too. A single pair says nothing about other seeds.
    """
    weights = bootstrap_weights(groups, resamples, seed)
    once = np.ones((1, len(groups)))
    patients, patient = np.unique(groups, return_inverse=True)
    kept = np.random.default_rng([seed, 1]).integers(0, 2, (resamples, len(patients)))[:, patient]
    rng = np.random.default_rng([seed, 2])
    drawn = rng.integers(0, len(runs), (len(runs), resamples))
    turned = rng.integers(0, 2, (len(runs), resamples, 1)) * (len(runs) > 1)
    differences = {}
    for name in runs[0][0]:
        pairs = [(first[name], second[name]) for first, second in runs]
        difference = float(np.mean([a.at(once)[0] - b.at(once)[0] for a, b in pairs]))
        resampled = np.stack([a.at(weights) - b.at(weights) for a, b in pairs])
        exchanged = [_exchange(*pair, (kept ^ turn).astype(float)) for pair, turn in zip(pairs, turned, strict=True)]
        as_far = np.count_nonzero(np.abs(np.mean(exchanged, axis=0)) >= abs(difference) - 1e-12)
        differences[name] = {
            "difference": difference,
            "interval": spread(difference, np.take_along_axis(resampled, drawn, axis=0).mean(axis=0)),
            "p": (1 + as_far) / (1 + resamples),
        }
    return differences


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """P-values corrected for multiple testing (Holm 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected


def _exchange(first: Statistic, second: Statistic, kept: np.ndarray) -> np.ndarray:
    """The difference (R,) after exchanging the predictions of documents with weight 0 in `kept` (R, N)."""
    differences = []
    for rows in first.blocks(len(kept)):
        stay, swap = kept[rows], 1 - kept[rows]
        mixed = first.sums(stay) + second.sums(swap), second.sums(stay) + first.sums(swap)
        differences.append(first.value(mixed[0]) - first.value(mixed[1]))
    return np.concatenate(differences)
