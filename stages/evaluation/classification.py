"""Classification metrics: counts of decisions, ranks of the true codes, and the figures derived from them.

Undefined figures (no positives, no predictions, no documents) are 0, never NaN.
Targets are `(N, C)`, dense or sparse; decisions `(N, C)` boolean, dense or sparse; probabilities `(N, C)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from stages.evaluation import ranking

KS = (5, 8, 15)  # of precision, recall and F1 at k, as in the paper


def ratio(numerator: np.ndarray | float, denominator: np.ndarray | float) -> np.ndarray:
    """numerator / denominator, 0 where the denominator is 0."""
    numerator, denominator = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(numerator, denominator, out=np.zeros(numerator.shape), where=denominator != 0)


@dataclass(frozen=True)
class Counts:
    """True positives, false positives and false negatives: per code (C,), per document (N,), or pooled ()."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray

    def pool(self) -> "Counts":
        return Counts(self.true_positives.sum(), self.false_positives.sum(), self.false_negatives.sum())

    def select(self, chosen: np.ndarray) -> "Counts":
        return Counts(self.true_positives[chosen], self.false_positives[chosen], self.false_negatives[chosen])


def positives_by_code(targets: np.ndarray | sp.csr_array) -> np.ndarray:
    """The number of documents with each code (C,)."""
    _, codes = ranking.positive_cells(targets, targets.shape)
    return np.bincount(codes, minlength=targets.shape[1])


def counts_by_code(targets: np.ndarray | sp.csr_array, decisions: np.ndarray | sp.csr_array) -> Counts:
    """Counts per code (C,)."""
    return _counts(targets, decisions, axis=0)


def counts_by_document(targets: np.ndarray | sp.csr_array, decisions: np.ndarray | sp.csr_array) -> Counts:
    """Counts per document (N,)."""
    return _counts(targets, decisions, axis=1)


def _counts(targets: np.ndarray | sp.csr_array, decisions: np.ndarray | sp.csr_array, axis: int) -> Counts:
    """Counts along one axis: 0 sums over documents, 1 over codes."""
    documents, codes = ranking.positive_cells(targets, decisions.shape)
    hits = np.asarray(decisions[documents, codes]).ravel() != 0
    group, length = (codes, decisions.shape[1]) if axis == 0 else (documents, decisions.shape[0])
    true_positives = np.bincount(group[hits], minlength=length)
    predicted = np.asarray((decisions != 0).sum(axis=axis)).ravel()
    return Counts(true_positives, predicted - true_positives, np.bincount(group[~hits], minlength=length))


def precision(counts: Counts) -> np.ndarray:
    """tp / (tp + fp): of what was predicted, the share that is true."""
    return ratio(counts.true_positives, counts.true_positives + counts.false_positives)


def recall(counts: Counts) -> np.ndarray:
    """tp / (tp + fn): of what is true, the share that was predicted."""
    return ratio(counts.true_positives, counts.true_positives + counts.false_negatives)


def f1(counts: Counts) -> np.ndarray:
    """2 tp / (2 tp + fp + fn): the harmonic mean of precision and recall."""
    return ratio(2 * counts.true_positives, 2 * counts.true_positives + counts.false_positives + counts.false_negatives)


PRECISION_RECALL_F1 = {"precision": precision, "recall": recall, "f1": f1}


def accuracy(counts: Counts) -> np.ndarray:
    """tp / (tp + fp + fn): Jaccard's index, called accuracy in the ICD coding literature."""
    return ratio(counts.true_positives, counts.true_positives + counts.false_positives + counts.false_negatives)


def mean(values: np.ndarray) -> float:
    return float(ratio(np.sum(values), np.size(values)))


def f1_macro_mullenbach(counts: Counts) -> float:
    """2 P R / (P + R) of macro precision P and macro recall R (CAML; Mullenbach et al. 2018)."""
    return float(harmonic_mean(mean(precision(counts)), mean(recall(counts))))


def harmonic_mean(first: np.ndarray | float, second: np.ndarray | float) -> np.ndarray:
    """2 a b / (a + b), 0 where both are 0."""
    return ratio(2 * np.multiply(first, second), np.add(first, second))


def decision_metrics(targets: np.ndarray | sp.csr_array, decisions: np.ndarray | sp.csr_array) -> dict[str, float]:
    """Micro and macro precision, recall, F1 and accuracy, and F1 macro in CAML's convention.

    Macro averages are over all C codes; a code that is neither true nor predicted counts as 0.
    """
    counts = counts_by_code(targets, decisions)
    metrics = {}
    for name, metric in (PRECISION_RECALL_F1 | {"accuracy": accuracy}).items():
        metrics[f"{name}_micro"] = float(metric(counts.pool()))
        metrics[f"{name}_macro"] = mean(metric(counts))
    metrics["f1_macro_mullenbach"] = f1_macro_mullenbach(counts)
    return metrics


def code_aucs(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> np.ndarray:
    """ROC-AUC per code (C,); nan for a code without a positive, or without a negative."""
    curves = ranking.scores_by_code(targets, probabilities)
    return np.array([ranking.auc(scores, positives) for scores, positives in curves])


def auc_macro(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> float:
    """Mean ROC-AUC of the codes with both positives and negatives; 0 if there are none."""
    aucs = code_aucs(targets, probabilities)
    return mean(aucs[~np.isnan(aucs)])


def auc_micro(targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> float:
    """ROC-AUC over all cells pooled; 0 if a class is missing."""
    return float(np.nan_to_num(ranking.auc(*ranking.pooled_scores(targets, probabilities))))


@dataclass(frozen=True)
class RankedDocuments:
    """The ranks of the true codes in each document's ranking.

    `documents` (P,) and `ranks` (P,): one entry per true code, by document, with ascending ranks from 1.
    `true_codes` (N,): the number of true codes of each document.
    """

    documents: np.ndarray
    ranks: np.ndarray
    true_codes: np.ndarray

    @classmethod
    def rank(cls, targets: np.ndarray | sp.csr_array, probabilities: np.ndarray) -> "RankedDocuments":
        """Rank each document's codes by probability; ties go to the lower column."""
        documents, ranks = ranking.positive_ranks(targets, probabilities)
        return cls(documents, ranks, np.bincount(documents, minlength=probabilities.shape[0]))

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Per document (N,), the sum of a value (P,) over its true codes."""
        return np.bincount(self.documents, weights=values, minlength=len(self.true_codes))


def precisions_at(ranked: RankedDocuments, k: int) -> np.ndarray:
    """Per document (N,): true codes among the k highest / k."""
    return ranked.sums(ranked.ranks <= k) / k


def recalls_at(ranked: RankedDocuments, k: int) -> np.ndarray:
    """Per document (N,): true codes among the k highest / true codes; 0 for a document without codes."""
    return ratio(ranked.sums(ranked.ranks <= k), ranked.true_codes)


def r_precisions(ranked: RankedDocuments) -> np.ndarray:
    """Per document (N,): precision at R, R its number of true codes; 0 for a document without codes."""
    return ratio(ranked.sums(ranked.ranks <= ranked.true_codes[ranked.documents]), ranked.true_codes)


def average_precisions(ranked: RankedDocuments) -> np.ndarray:
    """Per document (N,): mean over its true codes of the precision at their rank; 0 without codes."""
    firsts = np.cumsum(ranked.true_codes) - ranked.true_codes
    n_found = np.arange(1, len(ranked.ranks) + 1) - firsts[ranked.documents]
    return ratio(ranked.sums(n_found / ranked.ranks), ranked.true_codes)


def ranking_metrics(
    targets: np.ndarray | sp.csr_array, probabilities: np.ndarray, ks: Sequence[int] = KS
) -> dict[str, float]:
    """AUC, precision, recall and F1 at each k, R-precision and mean average precision.

    F1 at k is the harmonic mean of the mean precision and the mean recall at k (as in CAML).
    """
    metrics = {"auc_micro": auc_micro(targets, probabilities), "auc_macro": auc_macro(targets, probabilities)}
    ranked = RankedDocuments.rank(targets, probabilities)
    for cut in ks:
        metrics[f"precision_at_{cut}"] = mean(precisions_at(ranked, cut))
        metrics[f"recall_at_{cut}"] = mean(recalls_at(ranked, cut))
        metrics[f"f1_at_{cut}"] = float(harmonic_mean(metrics[f"precision_at_{cut}"], metrics[f"recall_at_{cut}"]))
    metrics["r_precision"] = mean(r_precisions(ranked))
    metrics["mean_average_precision"] = mean(average_precisions(ranked))
    return metrics
