"""Prepare the encoder: pre-train the small built-in one on the training documents, or take one from hub or folder."""

import copy
import logging

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.common import io, params, paths, threads
from stages.common.runner import run
from stages.encoder import tokenizer as tokenizers
from stages.encoder.builtin import Recipe, train_builtin_encoder
from stages.encoder.pretrained import load_pretrained, save_pretrained

log = logging.getLogger("stages.prepare_encoder")

TRIED = 50  # training documents to try the tokenizer on


def train_builtin(encoder: params.Encoder) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    recipe = Recipe(steps=encoder.steps)
    texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"]
    synonyms = io.read_json(paths.CANDIDATES)
    log.info(
        "pre-training on %d documents and %d phrases of %d codes for %d steps",
        *(len(texts), sum(map(len, synonyms.values())), len(synonyms), recipe.steps),
    )
    return train_builtin_encoder(texts.tolist(), synonyms, recipe, encoder.lowercase_documents)


def try_tokenizer(tokenizer: PreTrainedTokenizerBase, encoder: params.Encoder) -> None:
    """Log the share of unknown tokens in phrases and training documents. Raises InputError if it is too high."""
    phrases = sorted({phrase for candidates in io.read_json(paths.CANDIDATES).values() for phrase in candidates})
    share = tokenizers.unknown_share(tokenizer, phrases)
    tokenizers.check_unknown("the candidate synonyms", share, "take another encoder.source")
    reader = copy.deepcopy(tokenizer)
    if encoder.lowercase_documents is not None:
        tokenizers.set_lowercase(reader, encoder.lowercase_documents, f"encoder.source: {encoder.source}")
    texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"].head(tokenizers.N_TRIED).tolist()
    remedy = f"encoder.lowercase_documents is {encoder.lowercase_documents}: set it as the encoder was trained"
    tokenizers.check_unknown("the training documents", tokenizers.unknown_share(reader, texts), remedy)


def main() -> None:
    settings = params.load()
    threads.limit(settings.compute.threads)
    if settings.encoder.source == "builtin":
        encoder, tokenizer = train_builtin(settings.encoder)
    else:
        texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"].head(TRIED).tolist()
        encoder, tokenizer = load_pretrained(settings.encoder.source, settings.encoder.revision, texts)
    try_tokenizer(tokenizer, settings.encoder)
    with io.whole_directory(paths.ENCODER) as folder:
        save_pretrained(encoder, tokenizer, folder)
    weights = sum(weight.numel() for weight in encoder.parameters())
    log.info("%s: %.1f M weights, %d tokens", encoder.config.model_type, weights / 1e6, len(tokenizer))


if __name__ == "__main__":
    run(main, memory="take a smaller encoder.source")
