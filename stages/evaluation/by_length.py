"""How well documents are coded, by how long they are."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation import classification
from stages.evaluation.uncertainty import Resampling, f1_micro_interval

QUARTERS = 4
COLUMNS = ["documents", "words_from", "words_to", "f1_micro", "f1_micro_low", "f1_micro_high", "codes"]


def length_table(
    targets: sp.csr_array, probabilities: np.ndarray, n_words: np.ndarray, resampling: Resampling
) -> pd.DataFrame:
    """One row per quarter of the documents by words (N,), the shortest first, of predictions and targets (N, C).

    Columns: documents, words_from, words_to, f1_micro (decisions at 0.5) with its interval (_low, _high), codes (true
    ones per document). Quarters without a document are left out.
    """
    order = np.argsort(n_words, kind="stable")
    rows = []
    for quarter in np.array_split(order, QUARTERS):
        if not len(quarter):
            continue
        quarter = np.sort(quarter)
        own = sp.csr_array(targets[quarter])
        decisions = probabilities[quarter] > 0.5
        counts = classification.counts_by_code(own, decisions).pooled()
        of_quarter = resampling._replace(patients=resampling.patients[quarter])
        rows.append(
            {
                "documents": len(quarter),
                "words_from": int(n_words[quarter].min()),
                "words_to": int(n_words[quarter].max()),
                "f1_micro": float(classification.f1(counts)),
                **f1_micro_interval(own, decisions, of_quarter),
                "codes": own.sum() / len(quarter),
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS)
