"""How well documents are coded, by how long they are."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from stages.evaluation import classification

QUARTERS = 4


def length_table(targets: sp.csr_array, probabilities: np.ndarray, n_words: np.ndarray) -> pd.DataFrame:
    """One row per quarter of the documents by words (N,), the shortest first, of predictions and targets (N, C).

    Columns: documents, words_from, words_to, f1_micro (decisions at 0.5), codes (true ones per document). Quarters
    without a document are left out.
    """
    order = np.argsort(n_words, kind="stable")
    rows = []
    for quarter in np.array_split(order, QUARTERS):
        if not len(quarter):
            continue
        quarter = np.sort(quarter)
        own = sp.csr_array(targets[quarter])
        counts = classification.counts_by_code(own, probabilities[quarter] > 0.5).pooled()
        rows.append(
            {
                "documents": len(quarter),
                "words_from": int(n_words[quarter].min()),
                "words_to": int(n_words[quarter].max()),
                "f1_micro": float(classification.f1(counts)),
                "codes": own.sum() / len(quarter),
            }
        )
    return pd.DataFrame(rows, columns=["documents", "words_from", "words_to", "f1_micro", "codes"])
