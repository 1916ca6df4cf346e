"""CodiEsp's official evaluation, against all gold codes of a part, including those without training documents.

Mean average precision is the main figure of both tracks; precision, recall and F1 are micro averages over distinct
(case, code) pairs (METHOD.md, section 14).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stages.evaluation import uncertainty
from stages.evaluation.classification import PRECISION_RECALL_F1, ratio
from stages.evaluation.scored import Resampling
from stages.evaluation.uncertainty import Statistic, document_mean, pool_counts

Lists = Mapping[str, Sequence[str]]  # case -> codes; predictions best first


def prepare(codes: Iterable[str]) -> list[str]:
    """Distinct codes in lower case, in order of first appearance."""
    return list(dict.fromkeys(code.lower() for code in codes))


def average_precisions(gold: Lists, ranked: Lists) -> np.ndarray:
    """For each case with gold codes (n,): the mean over these of the precision at their rank, unranked ones 0."""
    values = np.zeros(len(gold))
    for i, (case, codes) in enumerate(gold.items()):
        wanted = set(prepare(codes))
        ranks = [rank for rank, code in enumerate(prepare(ranked.get(case, ())), start=1) if code in wanted]
        values[i] = sum(n / rank / len(wanted) for n, rank in enumerate(ranks, start=1))
    return values


def micro_statistics(gold: Lists, assigned: Lists) -> dict[str, Statistic]:
    """Precision, recall and F1 over distinct (case, code) pairs, as functions of case weights."""
    counts = np.zeros((len(gold), 3))
    for row, (case, codes) in zip(counts, gold.items(), strict=True):
        true, predicted = set(prepare(codes)), set(prepare(assigned.get(case, ())))
        row[:] = len(true & predicted), len(predicted - true), len(true - predicted)
    return {name: pool_counts(counts, metric) for name, metric in PRECISION_RECALL_F1.items()}


def figures(gold: Lists, ranked: Lists, assigned: Lists, resampling: Resampling) -> dict[str, Any]:
    """MAP of the ranked codes, and precision, recall and F1 of the assigned ones, with intervals."""
    statistics = {"map": document_mean(average_precisions(gold, ranked))} | micro_statistics(gold, assigned)
    return uncertainty.figures(statistics, resampling)


def unreachable(gold: Lists, codes: Iterable[str]) -> float:
    """The share of gold assignments whose code is not among the `codes` that a model can assign."""
    known = set(prepare(codes))
    assignments = [code for listed in gold.values() for code in prepare(listed)]
    return float(ratio(sum(code not in known for code in assignments), len(assignments)))


def tsv(predicted: Lists) -> str:
    """Predictions in the official script's format: case, tab, code, best first."""
    return "".join(f"{case}\t{code}\n" for case in sorted(predicted) for code in prepare(predicted[case]))
