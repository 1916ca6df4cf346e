"""Metrics for subsets of codes: per code, by training frequency, over present codes.

"Present codes" is the convention of Edin et al., whose program drops codes that do not occur in the evaluated part, and
then documents left without any, from every metric (METHOD.md, section 10). Its figures never share a column with those
over all codes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation import classification, uncertainty
from stages.evaluation.calibration import Bins, calibration_errors
from stages.evaluation.scored import Resampling
from stages.evaluation.uncertainty import code_f1_intervals, f1_micro_interval

PRESENT = (
    *("f1_micro", "f1_macro", "auc_micro", "auc_macro", "r_precision", "mean_average_precision"),
    *(f"precision_at_{k}" for k in classification.KS),
)
BANDS = {"0": 0, "1-10": 1, "11-50": 11, "51-100": 51, "101-500": 101, "501+": 501}  # name -> fewest documents


def bands(training: np.ndarray) -> dict[str, np.ndarray]:
    """Masks (C,) of the codes in each band of training documents (C,), without empty bands."""
    band_of = np.searchsorted(list(BANDS.values()), training, side="right") - 1
    return {band: band_of == index for index, band in enumerate(BANDS) if (band_of == index).any()}


def code_table(
    targets: sp.csr_array,
    probabilities: np.ndarray,
    codes: Sequence[str],
    kinds: Mapping[str, str],
    training: np.ndarray,
    thresholds: np.ndarray,
    bins: int,
    resampling: Resampling,
) -> pd.DataFrame:
    """One row per code, in the order of `codes`, from predictions and targets (N, C).

    Columns: code, kind, training_documents, documents (true ones), predicted, precision, recall, f1 (decisions at
    0.5) with its interval (f1_low, f1_high), threshold and f1_at_threshold (decisions at the code's own), auc (missing
    where undefined), calibration_error.
    """
    decisions = probabilities > 0.5
    counts = classification.counts_by_code(targets, decisions)
    low, high = code_f1_intervals(targets, decisions, resampling)
    tuned = classification.counts_by_code(targets, probabilities > thresholds)
    return pd.DataFrame(
        {
            "code": codes,
            "kind": [kinds[code] for code in codes],
            "training_documents": training,
            "documents": counts.true_positives + counts.false_negatives,
            "predicted": counts.true_positives + counts.false_positives,
            "precision": classification.precision(counts),
            "recall": classification.recall(counts),
            "f1": classification.f1(counts),
            "f1_low": low,
            "f1_high": high,
            "threshold": thresholds,
            "f1_at_threshold": classification.f1(tuned),
            "auc": classification.code_aucs(targets, probabilities),
            "calibration_error": calibration_errors(Bins.count(targets, probabilities, bins)),
        }
    )


def band_table(
    targets: sp.csr_array, probabilities: np.ndarray, table: pd.DataFrame, resampling: Resampling
) -> pd.DataFrame:
    """One row per kind of code (all, diagnosis, procedure) and band of training documents (all, and each).

    `table` is the `code_table` of the same targets and probabilities (N, C). Columns: kind, band, codes,
    documents (true assignments), f1_micro and its interval (_low, _high), f1_macro, f1_macro_mullenbach,
    f1_macro_at_threshold, auc_macro (missing where no code has one), mece.
    """
    decisions = probabilities > 0.5
    counts = classification.counts_by_code(targets, decisions)
    everything = np.ones(len(table), dtype=bool)
    kinds = {"all": everything} | {kind: (table.kind == kind).to_numpy() for kind in sorted(set(table.kind))}
    in_bands = {"all": everything} | bands(table.training_documents.to_numpy())
    rows = []
    for kind, of_kind in kinds.items():
        for band, in_band in in_bands.items():
            chosen = of_kind & in_band
            if chosen.any():
                interval = f1_micro_interval(sp.csr_array(targets[:, chosen]), decisions[:, chosen], resampling)
                part, codes = counts.select(chosen), table[chosen]
                figures = {
                    "codes": len(codes),
                    "documents": int(codes.documents.sum()),
                    "f1_micro": float(classification.f1(part.pool())),
                    "f1_macro": classification.mean(classification.f1(part)),
                    "f1_macro_mullenbach": classification.f1_macro_mullenbach(part),
                    "f1_macro_at_threshold": codes.f1_at_threshold.mean(),
                    "auc_macro": codes.auc.mean(),
                    "mece": codes.calibration_error.mean(),
                }
                rows.append({"kind": kind, "band": band, **figures, **interval})
    return pd.DataFrame(rows)


def present_metrics(
    targets: sp.csr_array, probabilities: np.ndarray, threshold: float, resampling: Resampling
) -> dict[str, Any]:
    """The figures PRESENT for decisions above `threshold`, with 95 % bootstrap intervals over patients.

    targets, probabilities: (N, C), reduced to the present codes (the same in every resample) and the documents that
    carry one. 0 if nothing is left.
    """
    documents = np.flatnonzero(np.asarray(targets.sum(axis=1)))
    codes = np.flatnonzero(classification.positives_by_code(targets))
    targets, probabilities = sp.csr_array(targets[documents][:, codes]), probabilities[np.ix_(documents, codes)]
    metrics = classification.decision_metrics(targets, probabilities > threshold)
    metrics |= classification.ranking_metrics(targets, probabilities)
    intervals = {}
    if len(documents):
        statistics = uncertainty.classification_statistics(targets, probabilities, threshold)
        present = resampling._replace(patients=resampling.patients[documents])
        intervals = uncertainty.intervals({name: statistics[name] for name in PRESENT}, *present)
    return {name: metrics[name] for name in PRESENT} | {"intervals": intervals}
