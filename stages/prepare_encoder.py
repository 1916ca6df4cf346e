"""The encoder: the small built-in one, pre-trained on the training documents, or one from the hub or a folder."""

import copy
import logging

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from stages.encoder import trial
from stages.encoder.builtin import Settings, train_builtin_encoder
from stages.encoder.encoder import set_lowercase
from stages.encoder.pretrained import load_pretrained, save_pretrained
from stages.project import files, params, paths
from stages.project.stage import run
from stages.project.threads import limit

log = logging.getLogger("stages.prepare_encoder")


def builtin(encoder: params.Encoder) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The built-in encoder, from the training documents and the candidate synonyms."""
    settings = Settings(**encoder.builtin.model_dump())
    texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"]
    synonyms = files.read_json(paths.CANDIDATES)
    log.info(
        "pre-training on %d documents and %d phrases of %d codes for %d steps",
        *(len(texts), sum(map(len, synonyms.values())), len(synonyms), settings.steps),
    )
    return train_builtin_encoder(texts.tolist(), synonyms, settings, encoder.lowercase_documents)


def try_tokenizer(tokenizer: PreTrainedTokenizerBase, encoder: params.Encoder) -> None:
    """Say how many tokens of phrases and training documents are unknown. Raises InputError where they are many."""
    phrases = sorted({phrase for own in files.read_json(paths.CANDIDATES).values() for phrase in own})
    remedy = "take another encoder.source"
    trial.check_unknown("the candidate synonyms", trial.unknown_share(tokenizer, phrases), remedy)
    reader = copy.deepcopy(tokenizer)
    if encoder.lowercase_documents is not None:
        set_lowercase(reader, encoder.lowercase_documents, f"encoder.source: {encoder.source}")
    texts = pd.read_parquet(paths.split("train"), columns=["text"])["text"].head(trial.TRIED).tolist()
    remedy = f"encoder.lowercase_documents is {encoder.lowercase_documents}: set it as the encoder was trained"
    trial.check_unknown("the training documents", trial.unknown_share(reader, texts), remedy)


def main() -> None:
    settings = params.load()
    limit(settings.compute.threads)
    if settings.encoder.source == "builtin":
        encoder, tokenizer = builtin(settings.encoder)
    else:
        encoder, tokenizer = load_pretrained(settings.encoder.source, settings.encoder.revision)
    try_tokenizer(tokenizer, settings.encoder)
    with files.whole_directory(paths.ENCODER) as folder:
        save_pretrained(encoder, tokenizer, folder)
    weights = sum(weight.numel() for weight in encoder.parameters())
    log.info("%s: %.1f M weights, %d tokens", encoder.config.model_type, weights / 1e6, len(tokenizer))


if __name__ == "__main__":
    run(main, memory="the sizes of encoder.builtin, or take a smaller encoder.source")
