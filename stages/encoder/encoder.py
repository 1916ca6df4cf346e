"""The pre-trained encoder, of one of the accepted families, with our self-attention swapped in."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from stages.common.io import InputError
from stages.common.runner import progress_bar
from stages.encoder.architecture import Architecture
from stages.encoder.attention import BY_LAYER, SLIDING_WINDOW, WHOLE_ROW, SelfAttention, position_source
from stages.encoder.families import FAMILIES, Family, family_of
from stages.encoder.tokenizer import first_sentence, quiet_transformers

log = logging.getLogger(__name__)

# The unmodified encoder: its own positions and full attention (the sizes only have to fit).
AS_IT_IS = Architecture(encoder="CE", head="plain", padding="masked", dropout=0.0, chunk_length=8, max_tokens=9)
PHRASE_TOKENS = 512  # phrases are truncated here, or at the encoder's number of positions
PHRASES_AT_ONCE = 64
DROPOUTS = (  # the encoders' own dropout rates, by the names used in different families
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
)


def load_encoder(folder: Path, architecture: Architecture) -> tuple[PreTrainedModel, nn.Linear | None]:
    """The encoder in `folder`, adapted to an architecture, and separately the dense layer of its pooler (or None).

    Weights are converted to float32. Raises InputError if the folder has no encoder of an accepted family, or one that
    lacks weights or positions.
    """
    config = _config(folder, architecture)
    try:
        with quiet_transformers():
            encoder, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                local_files_only=True,
                use_safetensors=True,  # the other format is a pickle
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise InputError(f"{folder}: the encoder's weights cannot be read ({first_sentence(error)})") from None
    missing = sorted(report["missing_keys"])
    lacking = [name for name in missing if not name.startswith("pooler.")]
    if lacking:
        raise InputError(f"{folder}: the encoder lacks {len(lacking)} of its weights, such as {lacking[0]}")
    for weight in encoder.parameters():
        # Memory-mapped weights may be unaligned, and the last bit of a product can depend on that.
        weight.data = weight.data.clone()
    pooler = None if missing or getattr(encoder, "pooler", None) is None else encoder.pooler.dense
    encoder.pooler = None
    return adapt(encoder, architecture, folder), pooler


def _config(folder: Path, architecture: Architecture) -> PreTrainedConfig:
    """The configuration of the encoder in `folder`, with the architecture's dropout if it sets one.

    Raises InputError if its family is not accepted.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: no encoder can be read there ({first_sentence(error)})") from None
    family_of(config.model_type, f"{folder}: the encoder")
    if architecture.encoder_dropout is not None:
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, architecture.encoder_dropout)
    return config


def bare_encoder(folder: Path, architecture: Architecture) -> PreTrainedModel:
    """An encoder with the configuration in `folder`, without a pooler or meaningful weights."""
    config = _config(folder, architecture)
    with torch.random.fork_rng(devices=[]):
        encoder = AutoModel.from_config(config, dtype=torch.float32)
    encoder.pooler = None
    return adapt(encoder, architecture, folder)


def adapt(encoder: PreTrainedModel, architecture: Architecture, folder: Path) -> PreTrainedModel:
    """The encoder with our attention and, for LE, a position table that is long enough for the texts."""
    family = FAMILIES[encoder.config.model_type]
    positions = family.positions(encoder.config.max_position_embeddings)
    if architecture.encoder == "CE" and architecture.chunk_length > positions:
        wrong = f"the encoder has {positions} positions, too few for chunks of {architecture.chunk_length} tokens"
        raise InputError(f"{folder}: {wrong}; set model.chunk_length to {positions} or less")
    trained_window = getattr(encoder.config, "attention_window", None)  # a Longformer's
    too_few = architecture.encoder == "LE" and positions < architecture.max_positions
    if too_few and (family.own_attention or trained_window):
        wrong = f"the encoder reads {positions} tokens by itself, and its positions are not repeated"
        raise InputError(f"{folder}: {wrong}; set model.max_positions to {positions} or less")
    if family.own_attention:
        if architecture.encoder == "LE":
            encoder.config._attn_implementation = BY_LAYER
        return encoder
    if architecture.encoder == "LE":
        if too_few:
            extend_positions(encoder, architecture.max_positions, family)
        if trained_window not in (None, architecture.window):
            windows = trained_window, architecture.window
            log.warning("%s was trained with a window of %d, model.window is %d", folder, *windows)
        encoder.config.attention_window = architecture.window
    in_windows = architecture.encoder == "LE" or trained_window
    encoder.config._attn_implementation = SLIDING_WINDOW if in_windows else WHOLE_ROW
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
    """The last hidden states H (R, T, d) of rows of tokens (R, T); the mask is non-zero for real tokens.

    (R, 1, d) if the encoder computes only the first state. `groups`: consecutive rows that are encoded in a separate
    call, as (rows, length); beyond `length` they are padding, whose states are 0. Empty: one call for all rows.
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


def mask_for(encoder: PreTrainedModel, attention_mask: Tensor) -> Tensor | dict[str, Tensor]:
    """The mask (R, T) in the form that the encoder expects."""
    # transformers passes a four-dimensional mask to the attention modules unchanged.
    mask = attention_mask.bool()[:, None, None, :]
    if encoder.config._attn_implementation == BY_LAYER:
        return {"full_attention": mask, "sliding_attention": mask}
    return attention_mask.long() if FAMILIES[encoder.config.model_type].own_attention else mask


def cls_embeddings(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    phrases: Sequence[str],
    device: torch.device | str = "cpu",
) -> Tensor:
    """The last hidden state at [CLS] of every phrase, float32 (n, d) on the CPU; see `embeddings`."""
    return embeddings(encoder, tokenizer, phrases, device)[:, 0]


@torch.no_grad()
def embeddings(
    encoder: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    phrases: Sequence[str],
    device: torch.device | str = "cpu",
    name: str = "label embeddings",
    silent: bool = False,
) -> Tensor:
    """Two embeddings of every phrase, float32 (n, 2, d) on the CPU: the last state at [CLS], and the mean of all.

    The tokenizer's own casing applies. Phrases of similar length are encoded together, which changes results only by
    rounding. Restores the encoder's mode and device.
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
    both = torch.empty(len(ids), 2, encoder.config.hidden_size)
    starts = range(0, len(ids), PHRASES_AT_ONCE)
    for start in progress_bar(starts, desc=name, unit="batch", delay=2, silent=silent):
        chosen = by_length[start : start + PHRASES_AT_ONCE]
        rows = [torch.tensor(ids[index]) for index in chosen]
        mask = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True)
        rows = pad_sequence(rows, batch_first=True, padding_value=tokenizer.pad_token_id)
        states = token_states(encoder, rows.to(device), mask.to(device)).float().cpu()
        both[chosen, 0] = states[:, 0]
        both[chosen, 1] = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    encoder.train(was_training).to(home)
    return both
