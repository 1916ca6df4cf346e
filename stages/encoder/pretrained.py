"""A pre-trained encoder from the hub or a folder, checked for everything the classifiers need."""

import errno
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RobertaConfig,
)
from transformers.utils import cached_file

from stages.common.io import InputError
from stages.common.outside import LFS
from stages.encoder.families import family_of, folder_of
from stages.encoder.tokenizer import first_sentence, follow_tokenizer_json, quiet_transformers, read_tokenizer
from stages.encoder.weights import check_finite

log = logging.getLogger(__name__)

# For weights that are not safetensors, transformers would request a converted copy from the hub in a thread.
os.environ.setdefault("DISABLE_SAFETENSORS_CONVERSION", "1")

IN_A_LAYER = re.compile(r"(^|\.)layers?\.\d+\.")  # a weight inside a numbered layer


def load_pretrained(
    source: str, revision: str | None, texts: Sequence[str] = ()
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The encoder (float32, evaluation mode) and the tokenizer of `source`: a folder, or a model's name on the hub.

    `revision` is the commit of a model on the hub; without it, the newest is used and its commit logged. The tokenizer
    is tried on `texts`, a sample of what it will read. Weights may be in one or several files, safetensors or PyTorch
    pickles, of which only tensors are loaded (torch's weights_only). A missing pooler is left out.

    Raises InputError if there is no such folder or model, the hub cannot be reached, the encoder's family is not
    accepted (families.py), weights are missing, or the tokenizer does not fit the classifiers or the encoder.
    """
    where = f"encoder.source: {source}"
    folder = folder_of(source)
    if folder is not None:
        source, revision = str(folder), None
    place = {"revision": revision or "main", "local_files_only": folder is not None, "trust_remote_code": False}
    try:
        with quiet_transformers():
            if folder is not None:
                home = folder
            else:
                home = Path(str(cached_file(source, "config.json", **place))).parent
                place["revision"] = home.name
            config = AutoConfig.from_pretrained(source, **place)
            _check_config(config, where)
            if family_of(config.model_type, where).stored_as is not None:
                config = _as_roberta(config, where)
                place["key_mapping"] = {r"^longformer\.": ""}
            encoder, report = AutoModel.from_pretrained(
                source, config=config, dtype=torch.float32, weights_only=True, output_loading_info=True, **place
            )
            if place.pop("key_mapping", None):  # otherwise transformers saves the old names
                read = encoder.state_dict()
                encoder = AutoModel.from_config(config, dtype=torch.float32)
                encoder.load_state_dict(read)
    except InputError:
        raise
    except Exception as error:  # the libraries raise all kinds, including bare Exception
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        for path in sorted(path for path in folder.iterdir() if path.is_file()) if folder is not None else []:
            with path.open("rb") as file:
                if file.read(len(LFS)) == LFS:
                    wrong = f"{path.name} is a pointer of Git LFS, not the file"
                    raise InputError(f"{where}: {wrong}; `git lfs pull`") from None
        needed = "the folder must hold config.json, weights and a tokenizer"
        if folder is None:
            needed = "check the name, encoder.revision and the network, or give a folder"
        raise InputError(f"{where} cannot be loaded ({first_sentence(error)}); {needed}") from None
    tokenizer = read_tokenizer(source, where, **place)
    _check_weights(encoder, report, where)
    check_finite(encoder.state_dict(), where)
    if len(tokenizer) > encoder.config.vocab_size:
        counts = f"{len(tokenizer)} tokens, the encoder only {encoder.config.vocab_size} embeddings"
        raise InputError(f"{where}: its tokenizer has {counts}; they do not belong together")
    follow_tokenizer_json(home, tokenizer, where, texts)
    if folder is None and revision is None:
        log.warning("encoder.revision is not set; using the newest commit of %s, %s", source, place["revision"])
    return encoder.eval(), tokenizer


def _as_roberta(config: PreTrainedConfig, where: str) -> PreTrainedConfig:
    """A Longformer's configuration as a RoBERTa's (whose layout it shares) with the window it was trained with.

    Raises InputError if its layers' windows differ.
    """
    windows = config.attention_window if isinstance(config.attention_window, list) else [config.attention_window]
    if len(set(windows)) > 1:
        different = ", ".join(map(str, windows))
        raise InputError(f"{where}: its layers have windows of {different}; only one window is supported")
    common = {key: value for key, value in config.to_dict().items() if key in RobertaConfig().to_dict()}
    for key in ("model_type", "architectures", "transformers_version"):
        common.pop(key, None)
    log.info("%s is a Longformer: read with its window of %d, without global attention", where, windows[0])
    return RobertaConfig(**common, attention_window=windows[0])


def _check_config(config: PreTrainedConfig, where: str) -> None:
    """Raise InputError if the family is not accepted, the weights are quantised, or positions not absolute."""
    family_of(config.model_type, where)
    if getattr(config, "quantization_config", None) is not None:
        raise InputError(f"{where}: its weights are quantised; take the model in full precision")
    if (kind := getattr(config, "position_embedding_type", "absolute")) != "absolute":
        raise InputError(f"{where}: its position_embedding_type is {kind}; only absolute positions are supported")


def _check_weights(encoder: PreTrainedModel, report: dict, where: str) -> None:
    """Raise InputError for missing weights or unread ones inside layers; drop a pooler without weights."""
    missing: set[str] = report["missing_keys"]
    unread = sorted(name for name in report["unexpected_keys"] if IN_A_LAYER.search(name))
    if getattr(encoder.config, "attention_window", None):  # a Longformer's global attention
        unread = [name for name in unread if not re.search(r"\.(query|key|value)_global\.", name)]
    if unread:
        modern = any("attn.Wqkv" in key for key in unread)
        remedy = "; set model_type to modernbert in its config.json" if modern else ""
        raise InputError(
            f"{where} has {len(unread)} weights in its layers that a {encoder.config.model_type} does not take, "
            f"such as {unread[0]}; it is another kind of model{remedy}"
        )
    lacking = sorted(name for name in missing if not name.startswith("pooler."))
    if lacking:
        raise InputError(f"{where} lacks {len(lacking)} of its encoder's weights, such as {lacking[0]}")
    if missing:
        log.warning("%s has no pooler; a plain head starts with a new one", where)
        encoder.pooler = None


def save_pretrained(encoder: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write encoder (one safetensors file) and tokenizer into an existing folder, without their origin."""
    with quiet_transformers():
        encoder.save_pretrained(folder, max_shard_size="1TB")
    for key in ("is_local", "local_files_only", "name_or_path", "_commit_hash"):
        tokenizer.init_kwargs.pop(key, None)
    tokenizer.save_pretrained(folder)
