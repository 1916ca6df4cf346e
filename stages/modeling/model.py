"""The classifier: an encoder over rows of tokens, a head that scores every code, the maximum over a document's rows."""

from pathlib import Path

import torch
from torch import Tensor, nn

from stages.modeling.architecture import Architecture


class CodingModel(nn.Module):
    """Scores every code for every document.

    Attributes: `architecture`, `tokenizer` (with its own default casing), `encoder`, `head`.
    """

    architecture: Architecture

    def forward(self, input_ids: Tensor, attention_mask: Tensor, document: Tensor, documents: int) -> Tensor:
        """Logits (N, C) of N documents whose rows lie one below the other.

        input_ids, attention_mask: (R, T), the rows of `chunking.document_rows`, padded to a common T by the padding id
        and mask 0. With padding "original" only rows of equal T may be put together, for there padding counts.
        document: (R,) int64, the document (0 to N - 1, sorted) that a row belongs to. documents: N.
        """
        raise NotImplementedError


def build_model(
    encoder_folder: Path,
    architecture: Architecture,
    codes: int,
    synonyms: list[list[str]] | None,
    device: torch.device | str = "cpu",
) -> CodingModel:
    """A new classifier upon a pre-trained encoder, on the CPU; its new weights are drawn from torch's global generator.

    synonyms: for an MSAM head the phrases of each code in label order; their [CLS] embeddings are computed once, on
    `device`, with the encoder as it is, and stay fixed. Raises InputError for an encoder that lacks what the type needs.
    """
    raise NotImplementedError


def save_model(model: CodingModel, folder: Path) -> None:
    """Write a model into an existing folder: architecture.json, model.safetensors, encoder config and tokenizer."""
    raise NotImplementedError


def load_model(folder: Path) -> CodingModel:
    """The model that `save_model` wrote, on the CPU, in evaluation mode. Raises InputError where a file is missing."""
    raise NotImplementedError
