"""Whether a model needs the words that an attribution names (METHOD.md, section 12: faithfulness).

Comprehensiveness is the mean relative drop of a code's probability when the top 1, 5, 10, 20 and 50 % of its words are
masked; sufficiency is the drop when only those words are kept (lower is better). No gold spans are needed.
"""

import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from accelerate import Accelerator
from scipy.special import expit

from stages.explanation.attribution import Words
from stages.modeling.data import Documents
from stages.modeling.inference import predict
from stages.modeling.model import CodingModel

log = logging.getLogger(__name__)

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


class Case(NamedTuple):
    """A document, a code predicted for it, and the scores of its words (W,)."""

    words: Words
    code: int
    scores: np.ndarray


def mask_words(scores: np.ndarray) -> list[np.ndarray]:
    """Which words (W,) to mask: for each share the top words, then for each share all the others."""
    order = np.argsort(-scores, kind="stable")
    masks = []
    for keep in (False, True):
        for share in SHARES:
            mask = np.full(len(scores), keep)
            mask[order[: math.ceil(share * len(scores))]] = not keep
            masks.append(mask)
    return masks


def drops(
    model: CodingModel, cases: Sequence[Case], mask_id: int, special, chunk_budget: int, accelerator: Accelerator
) -> tuple[np.ndarray, np.ndarray]:
    """Comprehensiveness and sufficiency of each case (n,)."""
    distinct: dict[bytes, int] = {}  # methods often agree on the top words, and all share the full text
    places = []
    for case in cases:
        real = case.words.word >= 0
        word = case.words.word[real]
        for mask in (np.zeros(len(case.scores), dtype=bool), *mask_words(case.scores)):
            ids = case.words.ids.astype(np.int32)
            ids[real] = np.where(mask[word], mask_id, ids[real])
            places.append(distinct.setdefault(ids.tobytes(), len(distinct)))
    tokens = [np.frombuffer(ids, np.int32) for ids in distinct]
    offsets = np.cumsum([0, *map(len, tokens)])
    names = [str(number) for number in range(len(tokens))]
    together = np.concatenate([np.zeros(0, np.int32), *tokens])
    documents = Documents(names, together, offsets, None, model.architecture, special)
    log.info("%d masked texts, %d of them different", len(places), len(tokens))
    logits = predict(model, documents, chunk_budget, accelerator, name="masking words").numpy()
    n_forms = 1 + 2 * len(SHARES)
    codes = np.repeat([case.code for case in cases], n_forms)
    probabilities = expit(logits[places, codes].astype(float)).reshape(len(cases), n_forms)
    fallen = 1 - probabilities[:, 1:] / probabilities[:, :1]
    return fallen[:, : len(SHARES)].mean(axis=1), fallen[:, len(SHARES) :].mean(axis=1)
