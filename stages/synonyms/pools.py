"""The pools that candidate synonyms come from, and how they are combined (the paper's section on label embeddings).

A pool is {code: phrases}; codes are dotted ICD codes. The files of `umls` and `wikipedia` are licensed or published
elsewhere and read from where the user put them; data/pools/README.md says where they come from.
"""

import hashlib
import json
import logging
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from statistics import mean, median

import yaml

from stages.corpus.icd import MIMIC_50, QUOTABLE, compact
from stages.project.errors import InputError
from stages.synonyms.normalise import normalise_all

log = logging.getLogger(__name__)

Pool = dict[str, list[str]]

UMLS_ICD10 = "icd_mimic4_10_random_sort.json"  # of the same form, for ICD-10-CM and ICD-10-PCS
FILES = {
    "umls": "icd_mimic3_random_sort.json",
    "wikipedia": "labels_descriptions_wikipedia.txt",
    "authored": "authored.yaml",
}
# Checksums of the published files. The UMLS file is known by the name that git gives its content.
CHECKSUMS = {
    "umls": ("git blob", "ed30f4093b793961244c6542d006e9f8d38d1eaf"),
    "wikipedia": ("md5", "5c4f1140805bb4aea27ba9ea67f7fd66"),
}
FEW = 0.5  # a pool that covers less than this share of the codes is warned of
# Pools of phrases that are broader than the code, so that neighbouring codes share many of them.
BROAD = ("wikipedia",)

# The lines of the Wikipedia file: the diagnoses of MIMIC-III-50 in sorted order, then the procedures (two digits, dot).
WIKIPEDIA_CODES = sorted(MIMIC_50, key=lambda code: (code.find(".") == 2, code))


def read_pool(name: str, folder: Path, revision: str | None = "ICD-9-CM") -> Pool:
    """The pool `name` (a key of FILES) from its file in `folder`, codes spelled as they are there.

    `revision` of ICD decides which UMLS file is meant.

    Raises InputError where there is no such file or it has not the form of the published one; other content is only
    warned of.
    """
    path = path_of(name, folder, revision)
    content = path.read_bytes()
    if name in CHECKSUMS and path.name == FILES[name]:
        _compare_checksum(name, path, content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text") from None
    return {"umls": parse_umls, "wikipedia": parse_wikipedia, "authored": parse_authored}[name](text, path)


def path_of(name: str, folder: Path, revision: str | None = "ICD-9-CM") -> Path:
    """The file of the pool `name` in `folder`. Raises InputError where it is not there."""
    path = folder / (UMLS_ICD10 if name == "umls" and revision != "ICD-9-CM" else FILES[name])
    if not path.is_file():
        raise InputError(
            f"synonyms.pools names {name}, but {path} is not a file; put it there (data/pools/README.md says where it "
            "comes from), or leave the pool out"
        )
    return path


def matched(name: str, pool: Pool, codes: Iterable[str]) -> Pool:
    """The pool with the corpus's own spelling of its codes: with or without the dot, in capitals or not.

    `4019` is `401.9` where the corpus has no other code of these characters; a spelling that two codes share is taken
    only as it stands. Says how many codes are covered, and warns where they are few.
    """
    codes = list(codes)
    spellings: dict[str, list[str]] = {}
    for code in codes:
        spellings.setdefault(compact(code), []).append(code)
    known = set(codes)
    found: Pool = {}
    n_ambiguous = 0
    for spelled, phrases in pool.items():
        exact = spelled.strip().upper()
        own = [exact] if exact in known else spellings.get(compact(spelled), [])
        if exact not in known and "." in exact.rstrip(".") and own:
            continue  # the dot says that this is another code
        if len(own) > 1:
            n_ambiguous += 1
            continue
        for code in own:
            found.setdefault(code, []).extend(phrases)
    if n_ambiguous:
        log.warning(
            "pool %s: %d codes without a dot could be two codes of the corpus, and are left out", name, n_ambiguous
        )
    covered = sum(bool(found.get(code)) for code in codes)
    say = log.warning if covered < FEW * len(codes) else log.info
    say("pool %s: covers %d of %d codes", name, covered, len(codes))
    return found


def parse_umls(text: str, path: Path) -> Pool:
    """The UMLS synonyms that MSMN published: a JSON object, code -> list of strings."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON, perhaps cut short ({error})") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deep; it should map each code to a list of phrases") from None
    return _checked(content, path)


def parse_wikipedia(text: str, path: Path) -> Pool:
    """Phrases from ICD-9 ancestors, Wikidata and Wikipedia: one line per code of MIMIC-III-50, split by ` </s> `."""
    lines = text.splitlines()
    if len(lines) != len(WIKIPEDIA_CODES):
        raise InputError(f"{path} has {len(lines)} lines; the published file has {len(WIKIPEDIA_CODES)}")
    return {code: line.split("</s>") for code, line in zip(WIKIPEDIA_CODES, lines, strict=True)}


def parse_authored(text: str, path: Path) -> Pool:
    """The authored file: YAML, code -> a mapping that has a list `synonyms` (its other keys are not read here)."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise InputError(f"{path} is nested too deep; it should map each code to a mapping") from None
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{path} should map each code to a mapping with the key synonyms")
    return _checked({code: entry.get("synonyms", []) for code, entry in content.items()}, path)


def titles_pool(codes: dict[str, dict], lacking: Pool | None = None) -> Pool:
    """Lower-cased titles of the codes (`codes.json`), only of those that the pool `lacking` has not, where given."""
    return {
        code: [title.lower() for title in entry["titles"]]
        for code, entry in codes.items()
        if lacking is None or code not in lacking
    }


def icd10cm_pool(codes: Iterable[str], max_characters: int) -> Pool:
    """ICD-10-CM's title and inclusion terms of every code that it knows, then the titles of its ancestors.

    Ancestors up to the category count; one that is shared with another code of `codes` is left out.
    """
    import simple_icd_10_cm as icd10cm  # reads the whole classification: two seconds

    own, broader = {}, {}
    for code in codes:
        if not icd10cm.is_valid_item(code):
            continue
        own[code] = [icd10cm.get_description(code), *icd10cm.get_includes(code), *icd10cm.get_inclusion_term(code)]
        ancestors = [item for item in icd10cm.get_ancestors(code) if icd10cm.is_category_or_subcategory(item)]
        broader[code] = [icd10cm.get_description(item) for item in ancestors]
    own, broader = ({c: normalise_all(p, max_characters) for c, p in pool.items()} for pool in (own, broader))
    specific = without_shared(broader, own)
    return {code: own[code] + specific[code] for code in own}


def without_shared(pool: Pool, others: Pool | None = None) -> Pool:
    """The pool less every phrase that also belongs to another code, in the pool itself or in `others`."""
    others = others or {}
    owners: Counter[str] = Counter()
    for code in pool:
        owners.update({*pool[code], *others.get(code, [])})
    owners.update(phrase for code in set(others) - set(pool) for phrase in set(others[code]))
    return {code: [phrase for phrase in phrases if owners[phrase] == 1] for code, phrases in pool.items()}


def combine(pools: dict[str, Pool], codes: Iterable[str], max_characters: int) -> Pool:
    """The candidates of every code: normalised, each phrase once, in the order of the pools and within them."""
    prepared = {name: {c: normalise_all(p, max_characters) for c, p in pool.items()} for name, pool in pools.items()}
    for name in BROAD:
        if name in prepared:
            prepared[name] = without_shared(prepared[name])
    return {
        code: list(dict.fromkeys(phrase for pool in prepared.values() for phrase in pool.get(code, [])))
        for code in sorted(codes)
    }


def draw(candidates: Pool, most: int, seed: int) -> Pool:
    """At most `most` candidates per code, drawn without replacement; each code is drawn for independently."""
    return {
        code: phrases if len(phrases) <= most else _draw(phrases, most, f"{seed} {code}")
        for code, phrases in candidates.items()
    }


def pool_statistics(pools: dict[str, Pool], combined: Pool, candidates: Pool, M: int) -> dict:
    """Of every pool and of all together: codes covered and the distribution of phrases over these.

    `combined` is before the draw, `candidates` after it. Also the share of codes with at least M phrases.
    """
    return {
        "pools": {name: _distribution([pool.get(code, []) for code in candidates]) for name, pool in pools.items()},
        "candidates": _distribution(candidates.values()),
        "codes": len(candidates),
        "share_with_M": {
            name: sum(len(pool.get(code, [])) >= M for code in candidates) / max(len(candidates), 1)
            for name, pool in {**pools, "all": candidates}.items()
        },
        "codes_without_candidates": sum(not phrases for phrases in candidates.values()),
        "codes_drawn_from": sum(len(combined[code]) > len(candidates[code]) for code in candidates),
    }


def _draw(phrases: list[str], most: int, seed: str) -> list[str]:
    """`most` of the phrases, in their own order."""
    return [phrases[i] for i in sorted(random.Random(seed).sample(range(len(phrases)), most))]


def _distribution(lists: Iterable[list[str]]) -> dict:
    sizes = [len(phrases) for phrases in lists if phrases]
    if not sizes:
        return {"codes_covered": 0}
    return {
        "codes_covered": len(sizes),
        "phrases": sum(sizes),
        "min": min(sizes),
        "median": median(sizes),
        "mean": mean(sizes),
        "max": max(sizes),
    }


def _checked(content: object, path: Path) -> Pool:
    """`content` if it is {code: list of strings}; raises InputError with the first place where it is not."""
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} should be a mapping from codes to lists of phrases")
    for number, (code, phrases) in enumerate(content.items(), start=1):
        if not isinstance(code, str):
            raise InputError(f"{path}: the code {code!r} is not a string; put it in quotes")
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            which = f"code {code}" if QUOTABLE.fullmatch(code) else f"entry {number}"
            raise InputError(f"{path}: {which} should have a list of strings")
    return content


def _compare_checksum(name: str, path: Path, content: bytes) -> None:
    kind, expected = CHECKSUMS[name]
    if kind == "md5":
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    else:
        found = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if found != expected:
        log.warning("pool %s: %s is not the published file: its %s is %s, not %s", name, path, kind, found, expected)
