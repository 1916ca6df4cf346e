"""Open codes, which training has not seen, and the phrases they are scored by (METHOD.md, section 15)."""

import logging
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from stages.common import io, outside
from stages.common.code import ROOT, meaning_of
from stages.common.io import InputError
from stages.common.workspace import shared_folder
from stages.synonyms import pools
from stages.synonyms.pools import Pool

log = logging.getLogger(__name__)

CORPUS, ICD10CM = "corpus", "icd10cm"
MOST = 100_000  # codes in a user's file


def open_pool(source: str, trained: Iterable[str], corpus: Iterable[str]) -> Pool:
    """Open code -> its phrases, from `source`: `corpus` (its codes), `icd10cm` (every leaf and category) or a file.

    Trained codes, which keep their trained vectors, and codes without phrases are left out. Raises InputError if no
    code remains.
    """
    if source == CORPUS:
        pool = pools.icd10cm_pool(sorted(set(corpus)))
    else:
        pool = icd10cm_phrases() if source == ICD10CM else read_pool(Path(source))
    wanted, trained = set(corpus if source == CORPUS else pool), set(trained)
    phrases = {code: pool[code] for code in sorted(wanted - trained) if pool.get(code)}
    log.info(
        "open codes of %s: %d scored by their phrases, %d without a phrase left out, %d already trained",
        *(source, len(phrases), len(wanted - trained) - len(phrases), len(wanted & trained)),
    )
    if not phrases:
        raise InputError(f"open codes of {source}: none has a phrase and is not trained already")
    return phrases


def kept_folder() -> Path:
    """Where phrases and their embeddings are cached between runs: next to the checkpoints."""
    return shared_folder().with_name("phrases")


def icd10cm_phrases() -> Pool:
    """The phrases of all of ICD-10-CM, cached per version of the classification and of the code that collects them."""
    names = version("simple_icd_10_cm"), meaning_of(Path(pools.__file__).relative_to(ROOT))[:8]
    kept = kept_folder() / f"icd10cm-{'-'.join(names)}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        io.write_json(kept, pools.icd10cm_pool(icd10cm_codes()))
    return io.read_json(kept)


def icd10cm_codes() -> list[str]:
    import simple_icd_10_cm as icd10cm  # reads the whole classification: two seconds

    return [code for code in icd10cm.get_all_codes() if not icd10cm.is_chapter_or_block(code)]


def read_pool(path: Path) -> Pool:
    """A user's file of codes: JSON or YAML, each code with a phrase or a list of phrases. Raises InputError."""
    if not path.is_file():
        raise InputError(f"{path} is not a file; it should map codes to phrases, as JSON or YAML")
    parse = outside.parse_json if path.suffix.lower() == ".json" else outside.parse_yaml
    content = parse(outside.read_text(path), path)
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} should map codes to phrases, and has none")
    if len(content) > MOST:
        raise InputError(f"{path} has {len(content)} codes; at most {MOST} are taken")
    pool: Pool = {}
    for number, (code, phrases) in enumerate(content.items(), start=1):
        listed = [phrases] if isinstance(phrases, str) else phrases
        if not isinstance(code, str) or not code.strip():
            raise InputError(f"{path}, entry {number}: a code should be a text; put it in quotes")
        if not isinstance(listed, list) or not all(isinstance(phrase, str) for phrase in listed):
            raise InputError(f"{path}, entry {number}: should be a phrase or a list of phrases")
        pool[code.strip()] = pools.normalise_all(listed)
    return pool
