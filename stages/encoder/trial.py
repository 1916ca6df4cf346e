"""A tokenizer is tried before anything is built upon it: special tokens, casing, and how much it knows of the texts."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer, normalizers
from transformers import PreTrainedTokenizerBase

from stages.project.errors import InputError

log = logging.getLogger(__name__)

WORD, SENTENCE = "fever", "Admitted with Fever, no cough."
WARNED, REFUSED = 0.02, 0.20  # shares of unknown tokens
TRIED = 2000  # texts at most


def check_special_tokens(tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Raise InputError unless the tokenizer has [CLS], [SEP] and [PAD] and puts the first two around a text."""
    for name in ("cls", "sep", "pad"):
        if getattr(tokenizer, f"{name}_token_id") is None:
            raise InputError(f"{where}: its tokenizer has no [{name.upper()}] token; the classifiers need one")
    for text in (WORD, SENTENCE):
        ids = tokenizer(text)["input_ids"]
        if ids[:1] != [tokenizer.cls_token_id] or ids[-1:] != [tokenizer.sep_token_id] or len(ids) < 3:
            raise InputError(
                f"{where}: its tokenizer does not put {tokenizer.cls_token} before and {tokenizer.sep_token} behind a "
                "text; its tokenizer.json needs a post-processor that does"
            )


def as_its_files_say(folder: Path, tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Give the tokenizer the normalizer of tokenizer.json where transformers built it another one.

    transformers builds BERT's normalizer from tokenizer_config.json, and lower-cases where that says nothing. Raises
    InputError where the two still read a text differently.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return
    stored = Tokenizer.from_file(str(path))
    backend = tokenizer.backend_tokenizer

    def differ() -> bool:
        texts = (WORD, SENTENCE, "FÉVER")
        return any(
            stored.encode(text, add_special_tokens=False).ids != backend.encode(text, add_special_tokens=False).ids
            for text in texts
        )

    if differ() and isinstance(stored.normalizer, normalizers.BertNormalizer):
        backend.normalizer = stored.normalizer
        casing = {"do_lower_case": stored.normalizer.lowercase, "strip_accents": stored.normalizer.strip_accents}
        for name, value in casing.items():  # what is saved with the tokenizer
            tokenizer.init_kwargs[name] = value
            setattr(tokenizer, name, value)
        log.warning("%s: tokenizer_config.json says nothing of casing; it is as tokenizer.json has it", where)
    if differ():
        raise InputError(f"{where}: transformers builds another tokenizer than its tokenizer.json describes")


def check_files(folder: Path, where: str) -> None:
    """Raise InputError for what a library would tell in riddles: byte order marks, empty lines, an unsaid kind."""
    for path in sorted(folder.glob("*.json")):
        if path.read_bytes().startswith(b"\xef\xbb\xbf"):
            raise InputError(f"{where}: {path.name} begins with a byte order mark; save it as UTF-8 without one")
    vocabulary = folder / "vocab.txt"
    if vocabulary.is_file() and not (folder / "tokenizer.json").is_file():
        content = vocabulary.read_bytes()
        if content.startswith(b"\xef\xbb\xbf"):
            raise InputError(f"{where}: vocab.txt begins with a byte order mark; save it as UTF-8 without one")
        lines = content.split(b"\n")
        for number, line in enumerate(lines[:-1] if lines[-1] == b"" else lines, start=1):
            if not line.strip():
                raise InputError(f"{where}: line {number} of vocab.txt is empty; it would count as a token: remove it")
    config = folder / "config.json"
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # transformers says it
    if not isinstance(content, dict) or "model_type" not in content:
        raise InputError(f'{where}: its config.json has no "model_type"; add it, as in "model_type": "bert"')
    if (kind := content.get("position_embedding_type", "absolute")) != "absolute":
        raise InputError(f"{where}: its position_embedding_type is {kind}; only absolute positions are built here")


def unknown_share(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> float:
    """The share of unknown tokens among those of the first texts, special tokens left out; 0 for none."""
    n_tokens = n_unknown = 0
    for ids in tokenizer(list(texts[:TRIED]), add_special_tokens=False, verbose=False)["input_ids"] if texts else []:
        n_tokens += len(ids)
        n_unknown += ids.count(tokenizer.unk_token_id)
    return n_unknown / n_tokens if n_tokens else 0.0


def check_unknown(what: str, share: float, remedy: str) -> None:
    """Tell the share of unknown tokens; warn of a high one. Raises InputError where the tokenizer cannot be meant."""
    if share > REFUSED:
        raise InputError(
            f"{100 * share:.1f} % of the tokens of {what} are unknown to the encoder's tokenizer; {remedy}"
        )
    if share > WARNED:
        log.warning("%s: %.1f %% of the tokens are unknown; %s", what, 100 * share, remedy)
    else:
        log.info("%s: %.2f %% of the tokens are unknown", what, 100 * share)
