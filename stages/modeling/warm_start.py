"""Starting a run from an earlier classifier: its origin, its location, and whether it fits."""

import hashlib
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError
from scmrepo.exceptions import SCMError

from stages.common import io, paths
from stages.common.io import InputError
from stages.encoder.tokenizer import load_tokenizer
from stages.modeling.heads import MsamHead
from stages.modeling.model import CodingModel, load_model

log = logging.getLogger(__name__)

FETCHED = paths.CLASSIFIER.with_name("start_from")
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


def locate(start_from: str, fetch: bool = True) -> Path:
    """The folder of the classifier named by `train.start_from`: a folder, or an experiment's git revision.

    A revision's classifier is fetched from DVC's cache by the process with `fetch`; `forget` removes it. Raises
    InputError if there is none.
    """
    if Path(start_from).is_dir():
        return Path(start_from)
    if not fetch:
        return FETCHED
    forget()
    FETCHED.parent.mkdir(parents=True, exist_ok=True)
    try:
        DVCFileSystem(rev=start_from).get(str(paths.CLASSIFIER), str(FETCHED), recursive=True)
    except (DvcException, SCMError, OSError, DataIndexDirError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        wrong = (
            f"train.start_from: {start_from!r} is no folder, and no git revision whose {paths.CLASSIFIER} can be had"
        )
        raise InputError(f"{wrong} ({reason})") from None
    return FETCHED


def forget() -> None:
    shutil.rmtree(FETCHED, ignore_errors=True)


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
    if {name: tensor.shape for name, tensor in weights.items()} != {
        name: tensor.shape for name, tensor in model.state_dict().items()
    }:
        raise InputError(
            f"train.start_from: the classifier in {folder} has another architecture; set model.type to match it"
        )
    model.load_state_dict(weights)
    log.info("starting from the classifier in %s", folder)
