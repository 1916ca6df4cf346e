"""The pre-trained encoder, of one of the accepted families, with this project's own self-attention put in."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from tokenizers import normalizers
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import logging as transformers_logging

from stages.encoder.architecture import Architecture
from stages.encoder.attention import WHOLE_ROW, SelfAttention
from stages.encoder.chunking import SpecialIds
from stages.encoder.families import FAMILIES, Family, family_of
from stages.encoder.sliding_window import SLIDING_WINDOW, position_source
from stages.project.errors import InputError
from stages.project.progress import Bar

log = logging.getLogger(__name__)

PHRASE_TOKENS = 512  # a phrase is cut here, or at the encoder's number of positions
PHRASES_AT_ONCE = 64
DROPOUTS = (  # the encoders' own, by the names that their families give them
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
)


def load_tokenizer(folder: Path, lowercase: bool | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`; `lowercase` overrides its own casing (documents: `architecture.lowercase_documents`).

    Raises InputError where there is none or [CLS], [SEP] or [PAD] is missing.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no tokenizer can be read there ({one_line(error)})") from None
    for name in ("cls", "sep", "pad"):
        if getattr(tokenizer, f"{name}_token_id") is None:
            raise InputError(f"{folder}: the tokenizer has no [{name.upper()}] token; the classifiers need one")
    if lowercase is not None:
        set_lowercase(tokenizer, lowercase, folder)
    return tokenizer


def set_lowercase(tokenizer: PreTrainedTokenizerBase, lowercase: bool, where: Path | str) -> None:
    """Switch lower-casing (and with it the stripping of accents, as BERT couples them) on or off.

    Raises InputError for a tokenizer that has no such switch.
    """
    backend = tokenizer.backend_tokenizer
    if not isinstance(backend.normalizer, normalizers.BertNormalizer):
        raise InputError(
            f"{where}: the casing of this tokenizer cannot be set, as it has not BERT's normalizer; set "
            "encoder.lowercase_documents to null"
        )
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=backend.normalizer.clean_text,
        handle_chinese_chars=backend.normalizer.handle_chinese_chars,
        strip_accents=backend.normalizer.strip_accents,
        lowercase=lowercase,
    )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> SpecialIds:
    """The ids of [CLS], [SEP] and [PAD]."""
    return SpecialIds(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)


def load_encoder(folder: Path, architecture: Architecture) -> tuple[PreTrainedModel, nn.Linear | None]:
    """The encoder in `folder`, fitted for an architecture, and apart from it the dense layer of its pooler.

    The pooler is None where the folder holds none. Weights are float32 whatever they are stored in. Raises InputError
    where the folder holds no encoder of an accepted family, or one that lacks weights or positions.
    """
    config = _config(folder, architecture)
    try:
        with quiet_transformers():
            encoder, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,  # the other form is a pickle
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: the encoder's weights cannot be read ({one_line(error)})") from None
    missing = sorted(report["missing_keys"])
    lacking = [name for name in missing if not name.startswith("pooler.")]
    if lacking:
        raise InputError(f"{folder}: the encoder lacks {len(lacking)} of its weights, such as {lacking[0]}")
    for weight in encoder.parameters():
        # In the file's memory a weight need not be aligned, and the last bit of a product can depend on that.
        weight.data = weight.data.clone()
    pooler = None if missing or getattr(encoder, "pooler", None) is None else encoder.pooler.dense
    encoder.pooler = None
    return fitted(encoder, architecture, folder), pooler


def _config(folder: Path, architecture: Architecture) -> PreTrainedConfig:
    """The configuration of the encoder in `folder`, with the architecture's dropout where that names one.

    Raises InputError where it is of no accepted family.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no encoder can be read there ({one_line(error)})") from None
    family_of(config.model_type, f"{folder}: the encoder")
    if architecture.encoder_dropout is not None:
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, architecture.encoder_dropout)
    return config


def bare_encoder(folder: Path, architecture: Architecture) -> PreTrainedModel:
    """An encoder of the configuration in `folder`, without a pooler, its weights still to be filled in."""
    config = _config(folder, architecture)
    with torch.random.fork_rng(devices=[]):
        encoder = AutoModel.from_config(config, dtype=torch.float32)
    encoder.pooler = None
    return fitted(encoder, architecture, folder)


def fitted(encoder: PreTrainedModel, architecture: Architecture, folder: Path) -> PreTrainedModel:
    """The encoder with this project's attention, and for LE with a position table as long as the texts may be."""
    family = FAMILIES[encoder.config.model_type]
    positions = family.positions(encoder.config.max_position_embeddings)
    if architecture.encoder == "CE" and architecture.chunk_length > positions:
        wrong = f"the encoder has {positions} positions, too few for chunks of {architecture.chunk_length} tokens"
        raise InputError(f"{folder}: {wrong}; set model.chunk_length to {positions} or less")
    if family.own_attention:
        if architecture.encoder == "LE" and positions < architecture.max_positions:
            wrong = f"the encoder reads {positions} tokens by itself, and is not made to read more"
            raise InputError(f"{folder}: {wrong}; set model.max_positions to {positions} or less")
        return encoder
    if architecture.encoder == "LE" and positions < architecture.max_positions:
        extend_positions(encoder, architecture.max_positions, family)
    if architecture.encoder == "LE":
        encoder.config.attention_window = architecture.window
    encoder.config._attn_implementation = SLIDING_WINDOW if architecture.encoder == "LE" else WHOLE_ROW
    if not family.by_name:
        for layer in encoder.encoder.layer:
            layer.attention.self = SelfAttention(layer.attention.self, encoder.config)
    return encoder


def extend_positions(encoder: PreTrainedModel, max_positions: int, family: Family) -> None:
    """Lengthen the position table to max_positions + 2 rows by repeating its own rows."""
    embeddings = encoder.embeddings
    old = embeddings.position_embeddings.weight
    source = position_source(len(old), max_positions, family.first_row or 0)
    embeddings.position_embeddings = nn.Embedding.from_pretrained(
        old.detach()[source], freeze=False, padding_idx=embeddings.position_embeddings.padding_idx
    )
    embeddings.position_ids = torch.arange(len(source))[None]
    if hasattr(embeddings, "token_type_ids"):
        embeddings.token_type_ids = torch.zeros_like(embeddings.position_ids)
    encoder.config.max_position_embeddings = len(source)


def token_states(
    encoder: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, groups: Sequence[tuple[int, int]] = ()
) -> Tensor:
    """The last hidden states H (R, T, d) of rows of tokens (R, T); the mask is non-zero where a token is real.

    Of an encoder that computes the first state alone: (R, 1, d). `groups`: rows one below the other that are read in a
    call of their own, as (rows, length): behind `length` they are padding, whose states are 0; none: all in one call.
    """
    if not groups:
        return encoder(input_ids=input_ids, attention_mask=mask_for(encoder, attention_mask)).last_hidden_state
    states = []
    numbers, lengths = zip(*groups, strict=True)
    for ids, mask, length in zip(input_ids.split(numbers), attention_mask.split(numbers), lengths, strict=True):
        read = token_states(encoder, ids[:, :length], mask[:, :length])
        missing = input_ids.shape[1] - length if read.shape[1] == length else 0
        states.append(functional.pad(read, (0, 0, 0, missing)))
    return torch.cat(states)


def mask_for(encoder: PreTrainedModel, attention_mask: Tensor) -> Tensor:
    """The mask (R, T) as the encoder takes it."""
    if FAMILIES[encoder.config.model_type].own_attention:
        return attention_mask.long()
    # transformers hands a mask of four dimensions on to the attention modules as it is.
    return attention_mask.bool()[:, None, None, :]


@torch.no_grad()
def cls_embeddings(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    phrases: Sequence[str],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The last hidden state at [CLS] of every phrase: float32 (n, d) on the CPU. The encoder is left as it was met.

    The tokenizer's own casing holds. Phrases of like length are encoded together, which changes the result by rounding
    alone.
    """
    was_training, home = encoder.training, next(encoder.parameters()).device
    encoder.eval().to(device)
    positions = FAMILIES[encoder.config.model_type].positions(encoder.config.max_position_embeddings)
    limit = min(PHRASE_TOKENS, positions)
    ids = [
        tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]
        for tokens in tokenizer(list(phrases), verbose=False)["input_ids"]
    ]
    by_length = sorted(range(len(ids)), key=lambda index: len(ids[index]))
    embeddings = torch.empty(len(ids), encoder.config.hidden_size)
    starts = range(0, len(ids), PHRASES_AT_ONCE)
    for start in Bar(starts, desc="label embeddings", unit="batch", delay=2):
        chosen = by_length[start : start + PHRASES_AT_ONCE]
        rows = [torch.tensor(ids[index]) for index in chosen]
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        rows = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
        embeddings[chosen] = token_states(encoder, rows.to(device), mask.to(device))[:, 0].float().cpu()
    encoder.train(was_training).to(home)
    return embeddings


def one_line(error: Exception) -> str:
    """The first sentence of what a library says."""
    return str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bar and its report on missing weights: this module judges them itself."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
