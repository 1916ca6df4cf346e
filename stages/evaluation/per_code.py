"""Metrics code by code, and by how often a code occurs in training, diagnoses and procedures apart."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation import classification
from stages.evaluation.calibration import Bins, calibration_errors
from stages.evaluation.uncertainty import Resampling, code_f1_intervals, f1_micro_interval

BANDS = {"0": 0, "1-10": 1, "11-50": 11, "51-100": 51, "101-500": 101, "501+": 501}  # name -> fewest documents


def bands(training: np.ndarray) -> dict[str, np.ndarray]:
    """Masks (C,) of the codes in each band of training documents (C,); empty bands are left out."""
    at = np.searchsorted(list(BANDS.values()), training, side="right") - 1
    return {band: at == index for index, band in enumerate(BANDS) if (at == index).any()}


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
    """One row per code, in the order of `codes`, of predictions and targets (N, C).

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
            "calibration_error": calibration_errors(Bins.of(targets, probabilities, bins)),
        }
    )


def band_table(
    targets: sp.csr_array, probabilities: np.ndarray, table: pd.DataFrame, resampling: Resampling
) -> pd.DataFrame:
    """One row for each kind of codes (all, diagnosis, procedure) and band of training documents (all, and each).

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
                rows.append({"kind": kind, "band": band, **_row(counts.of(chosen), table[chosen]), **interval})
    return pd.DataFrame(rows)


def _row(counts: classification.Counts, table: pd.DataFrame) -> dict[str, float]:
    """The metrics of some codes."""
    return {
        "codes": len(table),
        "documents": int(table.documents.sum()),
        "f1_micro": float(classification.f1(counts.pooled())),
        "f1_macro": classification.mean(classification.f1(counts)),
        "f1_macro_mullenbach": classification.f1_macro_mullenbach(counts),
        "f1_macro_at_threshold": table.f1_at_threshold.mean(),
        "auc_macro": table.auc.mean(),
        "mece": table.calibration_error.mean(),
    }
