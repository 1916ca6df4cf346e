"""Starting a run from an earlier classifier: its origin, and whether it fits."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from stages.common import io, paths
from stages.common.io import InputError
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.heads import MsamHead
from stages.modeling.model import CodingModel, load_model

log = logging.getLogger(__name__)

REASONS = {
    "corpus": "was trained on another corpus or subset: its training documents may be this one's test documents",
    "training_documents": "was trained on other documents: they may be among this run's validation or test documents",
    "codes": "scores another list of codes",
    "synonyms": "attends to other synonyms",
    "encoder": "has another encoder or tokenizer",
}


def provenance() -> dict[str, Any]:
    """The origin of a classifier trained on the current inputs, to be stored with it."""
    training = pd.read_parquet(paths.split("train"), columns=["document_id", "text"])
    config = io.read_json(paths.ENCODER / "config.json")
    config.pop("transformers_version", None)
    known, codes = io.read_json(paths.CODES), io.read_json(paths.LABEL_CODES)
    return {
        "corpus": io.read_json(paths.CORPUS),
        "titles": {code: known[code] for code in codes},
        "training_documents": _digest(training.to_numpy().tolist()),
        "codes": _digest(codes),
        "synonyms": _digest(io.read_json(paths.HEAD_SYNONYMS)),
        "encoder": _digest([config, load_tokenizer(paths.ENCODER).get_vocab()]),
    }


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def load_weights(model: CodingModel, folder: Path) -> None:
    """Load the weights of the classifier in `folder` into `model`; an MSAM head may have other codes or synonyms.

    No MSAM weight belongs to a code, and `model` keeps its own synonym vectors. Raises InputError if the classifier was
    trained on other documents or has another architecture.
    """
    earlier, present = io.read_json(folder / paths.PROVENANCE), provenance()
    by_words = isinstance(getattr(model, "head", None), MsamHead)
    for key, reason in REASONS.items():
        if earlier.get(key) != present[key] and not (by_words and key in ("codes", "synonyms")):
            raise InputError(f"train.start_from: the classifier in {folder} {reason}; start from the encoder (null)")
    weights = load_model(folder).state_dict()
    if by_words and "head.Q" in weights:
        weights["head.Q"] = model.head.Q
    shapes, expected = ({name: tensor.shape for name, tensor in w.items()} for w in (weights, model.state_dict()))
    if shapes != expected:
        wrong = f"the classifier in {folder} has another architecture"
        raise InputError(f"train.start_from: {wrong}; set model.type to match it")
    model.load_state_dict(weights)
    log.info("starting from the classifier in %s", folder)
