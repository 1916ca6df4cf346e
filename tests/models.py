"""Encoders of a few thousand weights, drawn at random, with their tokenizers."""

from collections.abc import Sequence
from pathlib import Path

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(60)), "Fever", "fever"]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
}
AS_ROBERTA = {
    "max_position_embeddings": 34,
    "pad_token_id": 1,
    "type_vocab_size": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}


def write_model(
    folder: Path, kind: str, model: str = "Model", vocabulary: Sequence[str] = VOCABULARY, **config
) -> Path:
    """A model with weights drawn at random, and a tokenizer that knows the words w0 to w59, or of `vocabulary`.

    RoBERTa's kinds (`AS_ROBERTA`): padding is 1, texts begin at row 2 of 34, one token type.
    """
    import torch
    import transformers

    torch.manual_seed(7)
    sizes = getattr(transformers, f"{kind}Config")(**SIZES | {"vocab_size": len(vocabulary)} | config)
    getattr(transformers, f"{kind}{model}")(sizes).save_pretrained(folder)
    as_roberta = config.get("pad_token_id", 0) > 0
    order = ["[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]", *vocabulary[5:]] if as_roberta else vocabulary
    tokenizer = transformers.BertTokenizerFast(vocab={token: index for index, token in enumerate(order)})
    if as_roberta:
        special = {name: getattr(tokenizer, name) for name in ("cls_token", "sep_token", "pad_token", "unk_token")}
        backend = tokenizer.backend_tokenizer
        tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, mask_token="[MASK]", **special)
    tokenizer.save_pretrained(folder)
    return folder
