"""Figures for open codes: ranking and decisions over all gold codes, and AUC by training frequency."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from stages.evaluation import calibration, official, uncertainty
from stages.evaluation.scored import Resampling
from stages.open_codes.scoring import Pairs

GROUPS = {"never": (0, 1), "1_4": (1, 5), "5_9": (5, 10)}  # open codes by training documents


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
