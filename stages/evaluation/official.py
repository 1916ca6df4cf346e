"""CodiEsp's official evaluation: against all gold codes of a part, also those that no training document has.

Mean average precision of a ranking is the main figure of both tracks; precision, recall and F1 are micro averages over
distinct pairs of case and code (METHOD.md, section 14).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from stages.evaluation.classification import Counts, f1, precision, ratio, recall
from stages.evaluation.scored import Resampling
from stages.evaluation.uncertainty import Statistic, document_mean, from_columns, intervals

Lists = Mapping[str, Sequence[str]]  # case -> codes, for predictions from the best to the worst


def prepare(codes: Iterable[str]) -> list[str]:
    """Codes in lower case, each once, the first kept."""
    return list(dict.fromkeys(code.lower() for code in codes))


def mean_average_precision(gold: Lists, ranked: Lists) -> float:
    """The mean of the cases' average precision."""
    return float(average_precisions(gold, ranked).mean()) if gold else 0.0


def average_precisions(gold: Lists, ranked: Lists) -> np.ndarray:
    """Of each case with gold codes (n,): the sum of the precision at the rank of each, over their number."""
    values = np.zeros(len(gold))
    for at, (case, codes) in enumerate(gold.items()):
        wanted, n_found = set(prepare(codes)), 0
        for rank, code in enumerate(prepare(ranked.get(case, ())), start=1):
            if code in wanted:
                n_found += 1
                values[at] += n_found / rank / len(wanted)
    return values


def micro(gold: Lists, assigned: Lists) -> dict[str, float]:
    """Precision, recall and F1 over distinct pairs of case and code."""
    true = {(case, code) for case, codes in gold.items() for code in prepare(codes)}
    found = {(case, code) for case, codes in assigned.items() for code in prepare(codes)}
    n_hits = len(true & found)
    return {
        "precision": float(ratio(n_hits, len(found))),
        "recall": float(ratio(n_hits, len(true))),
        "f1": float(ratio(2 * n_hits, len(true) + len(found))),
    }


def map_statistic(gold: Lists, ranked: Lists) -> Statistic:
    """Mean average precision as a function of weights of the cases."""
    return document_mean(average_precisions(gold, ranked))


def micro_statistics(gold: Lists, assigned: Lists) -> dict[str, Statistic]:
    """Precision, recall and F1 of `micro` as functions of weights of the cases with gold codes."""
    counts = np.zeros((len(gold), 3))
    for at, (case, codes) in enumerate(gold.items()):
        true, found = set(prepare(codes)), set(prepare(assigned.get(case, ())))
        counts[at] = len(true & found), len(found - true), len(true - found)

    def pooled(metric: Callable[[Counts], np.ndarray]) -> Statistic:
        return from_columns(counts, lambda sums: metric(Counts(*sums.T)))

    return {"precision": pooled(precision), "recall": pooled(recall), "f1": pooled(f1)}


def figures(gold: Lists, ranked: Lists, assigned: Lists, resampling: Resampling) -> dict[str, Any]:
    """MAP of the ranked codes, precision, recall and F1 of the assigned ones, with intervals."""
    statistics = {"map": map_statistic(gold, ranked)} | micro_statistics(gold, assigned)
    return {
        "map": mean_average_precision(gold, ranked),
        **micro(gold, assigned),
        "intervals": intervals(statistics, *resampling),
    }


def unreachable(gold: Lists, codes: Iterable[str]) -> float:
    """The share of gold assignments whose code is not among the `codes` that a model can assign."""
    known = set(prepare(codes))
    own = [code for listed in gold.values() for code in prepare(listed)]
    return float(ratio(sum(code not in known for code in own), len(own)))


def tsv(predicted: Lists) -> str:
    """Predictions in the form that the official script takes: case, tab, code, best first."""
    return "".join(f"{case}\t{code}\n" for case in sorted(predicted) for code in prepare(predicted[case]))
