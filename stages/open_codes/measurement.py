"""How well open codes, which training has not seen, are scored by their phrases (METHOD.md, section 15).

The mix of features of a document and a code is fitted on validation documents and measured on test ones, over the
trained codes and all open ones with known truth: those of `open.codes` and those that `data.withheld` keeps from
training. Figures: ranking and decisions over all gold codes, and AUC by number of training documents.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stages.common import params
from stages.evaluation import calibration, official, uncertainty
from stages.evaluation.classification import ratio
from stages.evaluation.lexical import PhraseLookup
from stages.evaluation.scored import Resampling
from stages.open_codes import mix
from stages.open_codes.mix import FEATURES, Mix
from stages.open_codes.scoring import Pairs, Scorer

GROUPS = {"never": (0, 1), "1_4": (1, 5), "5_9": (5, 10)}  # open codes by training documents
SIMILAR = [place for place, name in enumerate(FEATURES) if name.startswith("similarity")]
COUNT, OVERLAP = FEATURES.index("count"), FEATURES.index("overlap")
LOWEST = -1e6  # the score of pairs that are not scored
LOGITS = [FEATURES.index("logit_trained"), FEATURES.index("logit_open")]


@dataclass(frozen=True)
class Part:
    """Documents of one part: their gold codes, texts and pairs, and which of all codes each one has (N, C)."""

    gold: dict[str, Sequence[str]]
    texts: list[str]
    pairs: list[Pairs]
    targets: np.ndarray

    def true_pairs(self) -> np.ndarray:
        return np.concatenate([row[pair.codes] for row, pair in zip(self.targets, self.pairs, strict=True)])


def scores_by(fitted: Mix) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> a score of pairs from their features (n, F): the mix, and its components on their own."""
    return {
        "mix": fitted.probabilities,
        "trained_codes": lambda f: np.where(f[:, FEATURES.index("trained")] == 1, f[:, LOGITS[0]], LOWEST),
        "msam": lambda f: f[:, LOGITS].sum(axis=1),
        "cosine": lambda f: f[:, SIMILAR].sum(axis=1),
        "letters": lambda f: f[:, OVERLAP],
    }


def shuffle(pair: Pairs, counts: np.ndarray, n_trained: int, seed: int) -> Pairs:
    """The pairs as if each open code had another one's phrases: the floor for what phrases contribute."""
    shuffled = np.random.default_rng(seed).permutation(len(counts) - n_trained)
    names = np.concatenate([np.arange(n_trained), n_trained + shuffled])
    features = pair.features.copy()
    features[:, COUNT] = np.log(counts[names[pair.codes]] + 0.5)
    return Pairs(names[pair.codes], features)


def measure(
    scorer: Scorer, fitted: Mix, parts: Mapping[str, Part], evaluation: params.Evaluate
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The test figures of the mix, its components, a phrase lookup and shuffled phrases.

    Also the mix's reliability diagram for trained and for open codes.
    """
    index, n_trained, val, test = scorer.index, scorer.n_trained, parts["val"], parts["test"]
    groups = groups_of(scorer.counts, n_trained)
    resampling = Resampling(np.arange(len(test.pairs)), evaluation.bootstrap, evaluation.seed)

    def describe(pairs: Sequence[Pairs], scores: Sequence[np.ndarray], threshold: float) -> dict[str, Any]:
        decided = decision_figures(test.gold, index.codes, pairs, scores, threshold, resampling)
        scored = matrix(pairs, scores, len(index.codes))
        aucs = group_aucs(test.targets, scored, groups, resampling)
        return decided | aucs | {"intervals": decided["intervals"] | aucs["intervals"]}

    measured: dict[str, Any] = {"documents": len(test.pairs)}
    for name, score in scores_by(fitted).items():
        threshold = mix.threshold_of(np.concatenate([score(pair.features) for pair in val.pairs]), val.true_pairs())
        measured[name] = describe(test.pairs, [score(pair.features) for pair in test.pairs], threshold)
    lookup = PhraseLookup(index.pool, index.codes).predict(test.texts)
    looked_up = [row[pair.codes] for row, pair in zip(lookup.toarray().astype(float), test.pairs, strict=True)]
    measured["lookup"] = describe(test.pairs, looked_up, 0.5)
    shuffled = [shuffle(pair, scorer.counts, n_trained, evaluation.seed) for pair in test.pairs]
    by_shuffled = [fitted.probabilities(pair.features) for pair in shuffled]
    measured["shuffled_phrases"] = describe(shuffled, by_shuffled, fitted.threshold)

    probabilities = [fitted.probabilities(pair.features) for pair in test.pairs]
    scored = matrix(test.pairs, probabilities, len(index.codes), unscored=0.0)
    kinds = {"trained": groups["trained"], "open": ~groups["trained"]}
    calibrated, reliability = calibration_figures(test.targets, scored, kinds, evaluation.bins)
    measured["mix"] |= calibrated
    n_open = test.targets[:, n_trained:].sum()
    n_listed = test.true_pairs().sum() - test.targets[:, :n_trained].sum()
    return measured | {"shortlist_recall": float(ratio(n_listed, n_open))}, reliability


def decision_figures(
    gold: Mapping[str, Sequence[str]],
    codes: Sequence[str],
    pairs: Sequence[Pairs],
    scores: Sequence[np.ndarray],
    threshold: float,
    resampling: Resampling,
) -> dict[str, Any]:
    """MAP of each document's ranked codes, and F1 of those above the threshold, with intervals."""
    ranked, assigned = {}, {}
    for case, pair, score in zip(gold, pairs, scores, strict=True):
        order = np.argsort(-score, kind="stable")
        ranked[case] = [codes[column] for column in pair.codes[order]]
        assigned[case] = ranked[case][: int((score > threshold).sum())]
    return official.figures(gold, ranked, assigned, resampling)


def matrix(
    pairs: Sequence[Pairs], scores: Sequence[np.ndarray], n_codes: int, unscored: float | None = None
) -> np.ndarray:
    """Scores (N, C) of all codes; codes not scored for a document get `unscored`, or the lowest score if None."""
    lowest = min(score.min() for score in scores) if unscored is None else unscored
    filled = np.full((len(pairs), n_codes), lowest, np.float32)
    for row, pair, score in zip(filled, pairs, scores, strict=True):
        row[pair.codes] = score
    return filled


def group_aucs(
    targets: np.ndarray, scores: np.ndarray, groups: Mapping[str, np.ndarray], resampling: Resampling
) -> dict[str, Any]:
    """The mean AUC, with interval, of each group's codes that some but not all documents have."""
    statistics = {}
    for name, members in groups.items():
        occur = members & targets.any(axis=0)
        if occur.any():
            values = uncertainty.auc_macro_pseudo_values(targets[:, occur], scores[:, occur])
            statistics[f"auc_{name}"] = uncertainty.document_mean(values)
    return uncertainty.figures(statistics, resampling)


def calibration_figures(
    targets: np.ndarray, probabilities: np.ndarray, groups: Mapping[str, np.ndarray], bins: int
) -> tuple[dict[str, float], pd.DataFrame]:
    """MECE and reliability diagrams for trained and for open codes."""
    errors, tables = {}, []
    for name, members in groups.items():
        if members.any():
            cells = targets[:, members], probabilities[:, members], bins
            errors[f"mece_{name}"] = calibration.mece(*cells)
            tables.append(calibration.reliability(calibration.Bins.count(*cells)).assign(kind=name))
    return errors, pd.concat(tables)


def groups_of(counts: np.ndarray, n_trained: int) -> dict[str, np.ndarray]:
    """Masks (C,) of the trained codes, and of open codes by number of training documents."""
    open_ = np.arange(len(counts)) >= n_trained
    return {"trained": ~open_} | {
        name: open_ & (counts >= low) & (counts < high) for name, (low, high) in GROUPS.items()
    }
