"""Embeddings of phrases: the encoder's last hidden state at [CLS] (the paper's label embeddings)."""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

MAX_TOKENS = 512  # the paper cuts phrases here
TOKENS_PER_BATCH = 8192  # padding included: memory and speed only


def load(folder: Path, device: torch.device) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """The encoder in `folder`, in evaluation mode on `device`, and its tokenizer with its own default casing."""
    encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return encoder.eval().to(device), AutoTokenizer.from_pretrained(folder, local_files_only=True)


def embed(phrases: list[str], encoder: nn.Module, tokenizer: PreTrainedTokenizerBase) -> np.ndarray:
    """Embed phrases: (phrases,) -> float32 (phrases, d). Equal phrases are encoded once.

    Phrases of like length share a batch, so that little is spent on padding.
    """
    distinct = sorted(set(phrases))
    if not distinct:
        return np.zeros((0, encoder.config.hidden_size), dtype=np.float32)
    longest = min(MAX_TOKENS, encoder.config.max_position_embeddings)
    tokens = tokenizer(distinct, truncation=True, max_length=longest)["input_ids"]
    device = next(encoder.parameters()).device
    vectors = np.empty((len(distinct), encoder.config.hidden_size), dtype=np.float32)
    with tqdm(total=len(distinct), desc="embedding phrases", unit="phrase", disable=None) as progress:
        for rows in batches([len(ids) for ids in tokens], TOKENS_PER_BATCH):
            batch = tokenizer.pad({"input_ids": [tokens[row] for row in rows]}, return_tensors="pt").to(device)
            with torch.inference_mode():
                states = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
            vectors[rows] = states.last_hidden_state[:, 0].float().cpu().numpy()
            progress.update(len(rows))
    row_of = {phrase: row for row, phrase in enumerate(distinct)}
    return vectors[[row_of[phrase] for phrase in phrases]]


def batches(lengths: list[int], budget: int) -> list[list[int]]:
    """Rows grouped from the longest to the shortest, each group at most `budget` tokens with its padding."""
    groups: list[list[int]] = []
    room = 0
    for row in sorted(range(len(lengths)), key=lambda row: (-lengths[row], row)):
        if room < 1:
            groups.append([])
            room = max(1, budget // lengths[row])
        groups[-1].append(row)
        room -= 1
    return groups
