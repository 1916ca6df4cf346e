"""How sure a figure is: bootstrap intervals over patients, and paired tests between two sets of predictions.

Every metric here is a function of sums over documents. A resample gives each document a weight, so all resamples
together are a few matrix products. Documents of one patient are drawn, or exchanged, together.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from stages.evaluation import classification, ranking, thresholds
from stages.evaluation.calibration import bin_of, equal_mass_firsts, softplus
from stages.evaluation.classification import Counts, RankedDocuments, harmonic_mean, ratio

LEVEL = 0.95
BLOCK_NUMBERS = 1 << 23  # sums held at once


@dataclass(frozen=True)
class Statistic:
    """A metric as a function of sums over documents.

    `sums`: weights (R, N) of the documents in R resamples -> weighted sums over documents (R, ...), linear in them.
    `value`: those sums -> the metric (R,) of each resample.
    `size`: how many numbers one resample's sums are.
    `most`: no value is above it.
    """

    sums: Callable[[np.ndarray], np.ndarray]
    value: Callable[[np.ndarray], np.ndarray]
    size: int
    most: float = 1.0

    def at(self, weights: np.ndarray) -> np.ndarray:
        """The metric (R,) for weights (R, N), worked through in blocks of resamples."""
        return np.concatenate([self.value(self.sums(weights[rows])) for rows in self.blocks(len(weights))])

    def blocks(self, resamples: int) -> Iterator[slice]:
        """Slices of resamples whose sums fit into memory."""
        step = max(1, BLOCK_NUMBERS // self.size)
        for start in range(0, resamples, step):
            yield slice(start, start + step)


def document_mean(values: np.ndarray, most: float = 1.0) -> Statistic:
    """The mean over documents of one value per document (N,)."""
    columns = np.column_stack([values, np.ones(len(values))])
    return replace(of_columns(columns, lambda sums: ratio(sums[:, 0], sums[:, 1])), most=most)


def document_ratio(document: np.ndarray, values: np.ndarray, n_documents: int) -> Statistic:
    """The mean of values (n,), several or none of which belong to each document (n,), 0 to N - 1."""
    sums = [np.bincount(document, part, minlength=n_documents) for part in (values, np.ones(len(values)))]
    return of_columns(np.column_stack(sums), lambda sums: ratio(sums[:, 0], sums[:, 1]))


def of_columns(columns: np.ndarray, value: Callable[[np.ndarray], np.ndarray]) -> Statistic:
    """A statistic of the sums of some values per document (N, K)."""
    return Statistic(lambda weights: weights @ columns, value, columns.shape[1])


def f1_micro(targets: sp.csr_array, decisions: np.ndarray) -> Statistic:
    """Micro-F1 of decisions (N, C)."""
    counts = classification.counts_by_document(targets, decisions)
    columns = np.column_stack([counts.true_positives, counts.false_positives, counts.false_negatives]).astype(float)
    return of_columns(columns, lambda sums: classification.f1(Counts(*sums.T)))


def by_code_counts(targets: sp.csr_array, decisions: np.ndarray, average: Callable[[Counts], np.ndarray]) -> Statistic:
    """A macro average of decisions (N, C): `average` makes (R,) of counts (R, C)."""
    true, predicted = sp.csr_array(targets != 0), sp.csr_array(decisions)
    hits = true.multiply(predicted)
    parts = [sp.csr_array(part, dtype=float).T.tocsr() for part in (hits, predicted, true)]

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


def f1_at(ranked: RankedDocuments, k: int) -> Statistic:
    """F1 at k: the harmonic mean of the mean precision and the mean recall at k."""
    parts = classification.precisions_at(ranked, k), classification.recalls_at(ranked, k)
    columns = np.column_stack([*parts, np.ones(len(parts[0]))])
    return of_columns(columns, lambda sums: harmonic_mean(*ratio(sums[:, :2].T, sums[:, 2])))


def mece(targets: sp.csr_array, probabilities: np.ndarray, bins: int) -> Statistic:
    """MECE of probabilities (N, C).

    Nearly all cells lie in the lowest bin. Its sums are what the higher bins, few and sparse, leave of the sums
    over all bins, which are one dense product.
    """
    n_documents, n_codes = probabilities.shape
    rows, columns = np.nonzero(probabilities >= np.float32(1 / bins))
    high = (rows, columns)
    flat = high[1] * (bins + 1) + bin_of(probabilities[high], bins)
    gaps = (probabilities[high] - _at(targets, high)).astype(float)
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


def mece_equal_mass(targets: sp.csr_array, probabilities: np.ndarray, bins: int) -> Statistic:
    """MECE of probabilities (N, C) over bins of equally many documents, which stay where they are in every resample."""
    n_documents, n_codes = probabilities.shape
    bin_numbers = np.empty((n_documents, n_codes), dtype=np.int32)
    for code, column in enumerate(ranking.columns(probabilities) if n_documents else ()):
        scores = np.sort(column)
        lowest = scores[equal_mass_firsts(scores, bins)]
        bin_numbers[:, code] = code * bins + np.searchsorted(lowest, column, "right") - 1
    gaps = probabilities.copy()
    gaps[ranking.positive_cells(targets, gaps.shape)] -= 1
    ends = n_codes * np.arange(n_documents + 1)
    binned = sp.csr_array((gaps.ravel(), bin_numbers.ravel(), ends), shape=(n_documents, n_codes * bins)).astype(float)

    def sums(weights: np.ndarray) -> np.ndarray:
        return np.concatenate([(binned.T @ weights.T).T, weights.sum(axis=1, keepdims=True)], axis=1)

    def value(sums: np.ndarray) -> np.ndarray:
        return ratio(np.abs(sums[:, :-1]).sum(axis=1), n_codes * sums[:, -1])

    return Statistic(sums, value, n_codes * bins + 1)


def ece(targets: sp.csr_array, probabilities: np.ndarray, bins: int) -> Statistic:
    """Expected calibration error over all decisions (N, C)."""
    n_documents, n_codes = probabilities.shape
    columns = np.zeros((n_documents, bins + 1))
    for rows in ranking.row_blocks(probabilities.shape):
        block = probabilities[rows]
        flat = bin_of(block, bins) + np.arange(len(block))[:, None] * (bins + 1)
        sums = np.bincount(flat.ravel(), block.ravel(), minlength=len(block) * (bins + 1))
        columns[rows] = sums.reshape(len(block), bins + 1)
    cells = ranking.positive_cells(targets, probabilities.shape)
    np.subtract.at(columns, (cells[0], bin_of(probabilities[cells], bins)), 1)
    columns = np.column_stack([columns, np.ones(n_documents)])
    return of_columns(columns, lambda sums: ratio(np.abs(sums[:, :-1]).sum(axis=1), n_codes * sums[:, -1]))


def brier_by_document(targets: sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """Brier score of each document (N,): the mean over codes of (p - y)^2."""
    scores = np.einsum("nc,nc->n", probabilities, probabilities, dtype=np.float64)
    cells = ranking.positive_cells(targets, probabilities.shape)
    scores += np.bincount(cells[0], 1 - 2 * probabilities[cells].astype(float), minlength=len(scores))
    return ratio(scores, probabilities.shape[1])


def log_loss_by_document(targets: sp.csr_array, logits: np.ndarray) -> np.ndarray:
    """Log loss of each document (N,): the mean over codes of -log P(y)."""
    losses = np.zeros(len(logits))
    for rows in ranking.row_blocks(logits.shape):
        losses[rows] = softplus(logits[rows]).sum(axis=1, dtype=np.float64)
    cells = ranking.positive_cells(targets, logits.shape)
    losses -= np.bincount(cells[0], logits[cells].astype(float), minlength=len(losses))
    return ratio(losses, logits.shape[1])


def _at(targets: sp.csr_array, cells: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The targets of some cells, 0 or 1."""
    return np.asarray(targets[cells]).ravel() != 0


def auc_micro_pseudo_values(targets: sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """Per document (N,) a value whose mean is the micro AUC, and whose weighted mean is that of a resample nearly.

    AUC + N x (the derivative of the AUC by the document's weight): the infinitesimal jackknife. Exact resampling
    would sort all N x C cells for each resample.
    """
    n_documents, n_codes = probabilities.shape
    cells = ranking.positive_cells(targets, probabilities.shape)
    positives, everything = np.sort(probabilities[cells]), np.sort(probabilities, axis=None)
    pairs = np.zeros(n_documents)
    for rows in ranking.row_blocks(probabilities.shape):
        pairs[rows] = (len(positives) - _midranks(positives, np.sort(probabilities[rows], axis=1))).sum(axis=1)
    # so far every cell was taken for a negative: a positive loses the positives above it, wins the negatives below
    pairs += np.bincount(cells[0], _midranks(everything, probabilities[cells]) - len(positives), minlength=n_documents)
    true = np.bincount(cells[0], minlength=n_documents)
    return _pseudo_values(pairs, true, n_codes - true)


def auc_macro_pseudo_values(targets: sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """Per document (N,) a value whose mean is the macro AUC; see `auc_micro_pseudo_values`."""
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
    """For each score how many of `ascending` lie below it, equal ones counted half."""
    if not len(ascending):
        return np.zeros(scores.shape)
    below = np.searchsorted(ascending, scores, "left")
    tied = ascending[np.minimum(below, len(ascending) - 1)] == scores
    ranks = below.astype(float)
    ranks[tied] += (np.searchsorted(ascending, scores[tied], "right") - below[tied]) / 2
    return ranks


def _pseudo_values(pairs: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Pseudo-values (N,) of an AUC whose rightly ordered pairs, positives and negatives per document are given.

    A pair counts for both its documents, so `pairs` sums up to twice the rightly ordered pairs.
    """
    share = ratio(pairs, pairs.sum() / 2) - ratio(positives, positives.sum()) - ratio(negatives, negatives.sum())
    return float(ratio(pairs.sum() / 2, positives.sum() * negatives.sum())) * (1 + len(pairs) * share)


def decision_statistics(targets: sp.csr_array, decisions: np.ndarray) -> dict[str, Statistic]:
    """The three F1 of decisions (N, C), by the names that they have among the metrics."""
    return {
        "f1_micro": f1_micro(targets, decisions),
        "f1_macro": by_code_counts(targets, decisions, f1_macro),
        "f1_macro_mullenbach": by_code_counts(targets, decisions, f1_macro_mullenbach),
    }


def classification_statistics(
    targets: sp.csr_array, probabilities: np.ndarray, k: Sequence[int], threshold: float = thresholds.PAPER
) -> dict[str, Statistic]:
    """The headline figures of classification, by the names that they have among the metrics."""
    decisions = probabilities > threshold
    ranked = RankedDocuments.of(targets, probabilities)
    statistics = decision_statistics(targets, decisions) | {
        "auc_micro": document_mean(auc_micro_pseudo_values(targets, probabilities)),
        "auc_macro": document_mean(auc_macro_pseudo_values(targets, probabilities)),
        "r_precision": document_mean(classification.r_precisions(ranked)),
        "mean_average_precision": document_mean(classification.average_precisions(ranked)),
    }
    for cut in k:
        statistics[f"precision_at_{cut}"] = document_mean(classification.precisions_at(ranked, cut))
        statistics[f"recall_at_{cut}"] = document_mean(classification.recalls_at(ranked, cut))
        statistics[f"f1_at_{cut}"] = f1_at(ranked, cut)
    return statistics


def calibration_statistics(
    targets: sp.csr_array, logits: np.ndarray, probabilities: np.ndarray, bins: int
) -> dict[str, Statistic]:
    """The headline figures of calibration, by the names that they have among the metrics.

    `probabilities` (N, C) is the sigmoid of `logits`.
    """
    return {
        "mece": mece(targets, probabilities, bins),
        "mece_equal_mass": mece_equal_mass(targets, probabilities, bins),
        "ece": ece(targets, probabilities, bins),
        "brier": document_mean(brier_by_document(targets, probabilities)),
        "log_loss": document_mean(log_loss_by_document(targets, logits), most=np.inf),
    }


def bootstrap_weights(groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """How often each document counts in each resample (R, N), patients being drawn with replacement.

    `groups` (N,): the patient of each document.
    """
    patients, patient = np.unique(groups, return_inverse=True)
    rng = np.random.default_rng([seed, 0])
    drawn = rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=resamples)
    return drawn[:, patient].astype(float)


def spread(estimate: float, resampled: np.ndarray) -> list[float]:
    """The interval [low, high] around an estimate that `resampled` (R,) of it give.

    Their quantiles about their own mean: resampling raises calibration errors as sampling did before, and that
    shift is not part of the uncertainty.
    """
    tails = np.quantile(resampled - resampled.mean(), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return [float(estimate + tail) for tail in tails]


def intervals(
    statistics: Mapping[str, Statistic], groups: np.ndarray, resamples: int, seed: int
) -> dict[str, list[float]]:
    """95 % bootstrap intervals [low, high], from 0 up to each metric's most; none at all without resamples."""
    if not resamples:
        return {}
    weights = bootstrap_weights(groups, resamples, seed)
    once = np.ones((1, len(groups)))
    return {
        name: np.clip(spread(float(statistic.at(once)[0]), statistic.at(weights)), 0, statistic.most).tolist()
        for name, statistic in statistics.items()
    }


class Resampling(NamedTuple):
    """What intervals are drawn by: the patient of each document (N,), how many resamples, the seed."""

    patients: np.ndarray
    resamples: int
    seed: int


def f1_micro_interval(targets: sp.csr_array, decisions: np.ndarray, resampling: Resampling) -> dict[str, float]:
    """The interval of the micro-F1 of decisions (N, C), as columns of a table; NaN without resamples."""
    found = intervals({"f1_micro": f1_micro(targets, decisions)}, *resampling)
    low, high = found.get("f1_micro", (np.nan, np.nan))
    return {"f1_micro_low": low, "f1_micro_high": high}


def code_f1_intervals(
    targets: sp.csr_array, decisions: np.ndarray, resampling: Resampling
) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper end (C,) of the interval of each code's F1 of decisions (N, C); NaN without resamples."""
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
    first: Mapping[str, Statistic], second: Mapping[str, Statistic], groups: np.ndarray, resamples: int, seed: int
) -> dict[str, dict]:
    """Differences first - second of the metrics of two sets of predictions of the same documents.

    Per metric: `difference`, its 95 % bootstrap `interval` (the same patients for both), and the two-sided `p` of a
    randomisation test that exchanges the two sets' predictions patient by patient.
    """
    weights = bootstrap_weights(groups, resamples, seed)
    once = np.ones((1, len(groups)))
    patients, patient = np.unique(groups, return_inverse=True)
    kept = np.random.default_rng([seed, 1]).integers(0, 2, (resamples, len(patients)))[:, patient].astype(float)
    found = {}
    for name in first:
        one, other = first[name], second[name]
        difference = float(one.at(once)[0] - other.at(once)[0])
        exchanged = np.concatenate([_exchanged_difference(one, other, kept[rows]) for rows in one.blocks(resamples)])
        as_far = np.count_nonzero(np.abs(exchanged) >= abs(difference) - 1e-12)
        found[name] = {
            "difference": difference,
            "interval": spread(difference, one.at(weights) - other.at(weights)),
            "p": (1 + as_far) / (1 + resamples),
        }
    return found


def _exchanged_difference(first: Statistic, second: Statistic, kept: np.ndarray) -> np.ndarray:
    """The difference (R,) where documents with weight 0 in `kept` (R, N) have their predictions exchanged."""
    swapped = 1 - kept
    mixed = first.sums(kept) + second.sums(swapped), second.sums(kept) + first.sums(swapped)
    return first.value(mixed[0]) - first.value(mixed[1])
