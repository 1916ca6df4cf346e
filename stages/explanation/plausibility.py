"""How well attributions agree with human annotation (METHOD.md, section 12: plausibility)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.evaluation.classification import PRECISION_RECALL_F1, Counts, f1, precision, ratio, recall
from stages.evaluation.uncertainty import Statistic, document_ratio, from_columns, pool_counts

CUTOFFS = np.linspace(0, 0.1, 101)
TOP = (1, 5, 10, 50)
AT_CUTOFF = ("precision", "recall", "f1", "no_token")  # figures that depend on the cut-off


@dataclass(frozen=True)
class Pair:
    """A document and one of its codes: each token's score (n,) and whether it is annotated (n,).

    Scores are non-negative and sum to 1, unless all are 0. `document` counts from 0.
    """

    document: int
    scores: np.ndarray
    gold: np.ndarray


def normalise(scores: np.ndarray) -> np.ndarray:
    """Scores (..., n) with negative ones set to 0 and each row scaled to sum to 1 (or 0 if nothing is left)."""
    kept = np.clip(scores, 0, None)
    return ratio(kept, kept.sum(axis=-1, keepdims=True))


def counts_by_document(pairs: Sequence[Pair], n_documents: int) -> np.ndarray:
    """True positives, false positives and false negatives among tokens at each cut-off, (N, 3, 101)."""
    counts = np.zeros((n_documents, 3, len(CUTOFFS)))
    for pair in pairs:
        above = pair.scores[:, None] > CUTOFFS
        right = (above & pair.gold[:, None]).sum(axis=0)
        counts[pair.document] += [right, above.sum(axis=0) - right, pair.gold.sum() - right]
    return counts


def best_cutoff(pairs: Sequence[Pair]) -> int:
    """The index in CUTOFFS with the best token F1; ties go to the lowest."""
    n_documents = 1 + max((pair.document for pair in pairs), default=-1)
    return int(np.argmax(f1(Counts(*counts_by_document(pairs, n_documents).sum(axis=0)))))


def area(counts: np.ndarray) -> np.ndarray:
    """The area (R,) under the precision-recall curve given by counts (R, 3, 101).

    Cut-offs without any token above them have no precision; the first point's precision extends to recall 0.
    """
    areas = np.zeros(len(counts))
    for i, curve in enumerate(counts):
        points = Counts(*curve[:, curve[:2].sum(axis=0) > 0][:, ::-1])  # highest cut-off first, so that recall rises
        recalls, precisions = recall(points), precision(points)
        if len(recalls):
            areas[i] = np.trapezoid(np.append(precisions[:1], precisions), np.append(0, recalls))
    return areas


def statistics(pairs: Sequence[Pair], n_documents: int, cutoff: int) -> dict[str, Statistic]:
    """Every plausibility figure as a function of document weights."""
    counts = counts_by_document(pairs, n_documents)
    at_cutoff = counts[:, :, cutoff]
    figures = {name: pool_counts(at_cutoff, metric) for name, metric in PRECISION_RECALL_F1.items()}
    figures["auprc"] = from_columns(counts.reshape(n_documents, -1), lambda sums: area(sums.reshape(len(sums), 3, -1)))
    document = np.array([pair.document for pair in pairs], dtype=int)
    orders = [np.argsort(-pair.scores, kind="stable") for pair in pairs]

    def hits(k: int | None) -> np.ndarray:
        """How many of the k top tokens are gold; None: k is the number of gold tokens."""
        return np.array(
            [pair.gold[order[: k or pair.gold.sum()]].sum() for pair, order in zip(pairs, orders, strict=True)]
        )

    n_gold = np.array([pair.gold.sum() for pair in pairs])
    figures["iou"] = document_ratio(document, hits(None) / (2 * n_gold - hits(None)), n_documents)
    figures["top_token"] = document_ratio(document, hits(1).astype(float), n_documents)
    for k in TOP:
        figures[f"recall_at_{k}"] = document_ratio(document, hits(k) / n_gold, n_documents)
    empty = np.array([not (pair.scores > CUTOFFS[cutoff]).any() for pair in pairs], dtype=float)
    figures["no_token"] = document_ratio(document, empty, n_documents)
    return figures
