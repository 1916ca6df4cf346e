"""Tokenizers: loading with all checks, casing, special tokens, and the share of unknown tokens."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Tokenizer, normalizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers import logging as transformers_logging

from stages.common.io import InputError

log = logging.getLogger(__name__)

WORD, SENTENCE, FIGURES = "fever", "Admitted with Fever, no cough.", "On 12/31 T-max 39.5 (103F), WBC 11,200/uL"
WARNED, REFUSED = 0.02, 0.20  # shares of unknown tokens
N_TRIED = 2000  # texts at most


class SpecialIds(NamedTuple):
    """The tokenizer's ids of [CLS], [SEP], [PAD] and the unknown token (-1 if it has none)."""

    cls: int
    sep: int
    pad: int
    unknown: int = -1


def load_tokenizer(folder: Path, lowercase: bool | None = None) -> PreTrainedTokenizerBase:
    """The tokenizer in `folder`; `lowercase` overrides its casing (documents: `architecture.lowercase_documents`).

    Raises InputError if there is none or it does not fit the classifiers.
    """
    tokenizer = read_tokenizer(folder, str(folder), local_files_only=True)
    if lowercase is not None:
        set_lowercase(tokenizer, lowercase, folder)
    return tokenizer


def read_tokenizer(source: Path | str, where: str, **options: Any) -> PreTrainedTokenizerBase:
    """A tokenizer from a folder or the hub. Raises InputError if it cannot be read or does not fit the classifiers."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **options)
    except Exception as error:  # the libraries raise all kinds, including bare Exception
        raise InputError(f"{where}: no tokenizer can be read there ({first_sentence(error)})") from None
    if not set(tokenizer.get_vocab()).difference(tokenizer.all_special_tokens):
        wanted = "tokenizer.json, vocab.txt, or vocab.json + merges.txt"
        raise InputError(f"{where} has no tokenizer; it must have {wanted}")
    tokenizer.split_special_tokens = True  # `[SEP]` in a text is plain text
    for name in ("cls", "sep", "pad"):
        if getattr(tokenizer, f"{name}_token_id") is None:
            raise InputError(f"{where}: its tokenizer has no [{name.upper()}] token; the classifiers need one")
    for text in (WORD, SENTENCE):
        ids = tokenizer(text)["input_ids"]
        if ids[:1] != [tokenizer.cls_token_id] or ids[-1:] != [tokenizer.sep_token_id] or len(ids) < 3:
            wrong = f"does not put {tokenizer.cls_token} before and {tokenizer.sep_token} after a text"
            raise InputError(f"{where}: its tokenizer {wrong}; its tokenizer.json needs a post-processor that does")
    return tokenizer


def set_lowercase(tokenizer: PreTrainedTokenizerBase, lowercase: bool, where: Path | str) -> None:
    """Switch lower-casing (and accent stripping, which BERT couples to it) on or off.

    Raises InputError for a tokenizer without such a switch.
    """
    backend = tokenizer.backend_tokenizer
    if not isinstance(backend.normalizer, normalizers.BertNormalizer):
        wrong = "the casing of this tokenizer cannot be set, as it does not have BERT's normalizer"
        raise InputError(f"{where}: {wrong}; set encoder.lowercase_documents to null")
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=backend.normalizer.clean_text,
        handle_chinese_chars=backend.normalizer.handle_chinese_chars,
        strip_accents=backend.normalizer.strip_accents,
        lowercase=lowercase,
    )


def special_ids(tokenizer: PreTrainedTokenizerBase) -> SpecialIds:
    unknown = -1 if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    return SpecialIds(tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, unknown)


def follow_tokenizer_json(
    folder: Path, tokenizer: PreTrainedTokenizerBase, where: str, texts: Sequence[str] = ()
) -> None:
    """Give the tokenizer the normalizer of tokenizer.json if transformers built a different one.

    transformers builds BERT's normalizer from tokenizer_config.json and lower-cases by default. Raises InputError if
    the two still tokenise one of `texts`, or of a few built-in samples, differently.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    stored = Tokenizer.from_file(str(path))
    stored.no_padding()  # batch settings do not affect how a text is read
    stored.no_truncation()
    backend = tokenizer.backend_tokenizer

    def differ() -> bool:
        return any(
            stored.encode(text, add_special_tokens=False).ids != backend.encode(text, add_special_tokens=False).ids
            for text in (WORD, SENTENCE, FIGURES, "FÉVER", *texts)
        )

    if differ() and isinstance(stored.normalizer, normalizers.BertNormalizer):
        backend.normalizer = stored.normalizer
        for name, attribute in (("do_lower_case", "lowercase"), ("strip_accents", "strip_accents")):
            tokenizer.init_kwargs[name] = getattr(stored.normalizer, attribute)  # saved with the tokenizer
            setattr(tokenizer, name, tokenizer.init_kwargs[name])
        log.warning("%s: tokenizer_config.json says nothing of casing; it is as tokenizer.json has it", where)
    if differ():
        raise InputError(f"{where}: transformers builds another tokenizer than its tokenizer.json describes")


def unknown_share(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> float:
    """The share of unknown tokens in the first texts, without special tokens; 0 if there are no tokens."""
    n_tokens = n_unknown = 0
    for ids in tokenizer(list(texts[:N_TRIED]), add_special_tokens=False, verbose=False)["input_ids"] if texts else []:
        n_tokens += len(ids)
        n_unknown += ids.count(tokenizer.unk_token_id)
    return n_unknown / n_tokens if n_tokens else 0.0


def check_unknown(what: str, share: float, remedy: str) -> None:
    """Log the share of unknown tokens and warn if it is high. Raises InputError if it cannot be intended."""
    if share > REFUSED:
        wrong = f"{100 * share:.1f} % of the tokens of {what} are unknown to the encoder's tokenizer"
        raise InputError(f"{wrong}; {remedy}")
    if share > WARNED:
        log.warning("%s: %.1f %% of the tokens are unknown; %s", what, 100 * share, remedy)
    else:
        log.info("%s: %.2f %% of the tokens are unknown", what, 100 * share)


def first_sentence(error: Exception) -> str:
    return str(error).strip().split("\n")[0].split(". ")[0] or type(error).__name__


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers' progress bar and its report on missing weights, which this package checks itself."""
    level, bar = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bar:
            transformers_logging.enable_progress_bar()
