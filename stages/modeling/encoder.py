"""The pre-trained encoder: any BERT or MegatronBert, with this project's own attention put in."""

from pathlib import Path

from transformers import PreTrainedTokenizerBase

from stages.modeling.chunking import SpecialTokens


def load_tokenizer(folder: Path, lowercase: bool | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`; `lowercase` overrides its own casing (documents: `architecture.lowercase_documents`).

    Raises InputError where [CLS], [SEP] or [PAD] is missing.
    """
    raise NotImplementedError


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> SpecialTokens:
    """The ids of [CLS], [SEP] and [PAD]."""
    raise NotImplementedError
