"""The pools of candidate synonyms and how they are combined (the paper's section on label embeddings).

POOLS has one description per pool: a new pool is an entry there and a parser. A pool is {code: phrases} with dotted ICD
codes. The files of `umls` and `wikipedia` are licensed or published elsewhere and provided by the user;
data/pools/README.md says where they come from.
"""

import hashlib
import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.common import io, outside
from stages.common.io import InputError
from stages.corpus.document import Revision
from stages.corpus.icd import MIMIC_50, QUOTABLE, compact

log = logging.getLogger(__name__)

Pool = dict[str, list[str]]

FEW = 0.5  # warn about a pool that covers less than this share of the codes
LONGEST = 512  # phrases of this many characters or more are dropped (the paper)
ENOUGH = 4  # candidates of a code, for the statistics: the most common M in the paper

# The order of the Wikipedia file's lines: sorted diagnoses of MIMIC-III-50, then procedures (two digits, dot).
WIKIPEDIA_CODES = sorted(MIMIC_50, key=lambda code: (code.find(".") == 2, code))

_BOX = re.compile(r"\[x\]")
_OTHER = re.compile(r"[^A-Za-z0-9()\[\] ]+")
_SPACES = re.compile(r" {2,}")


@dataclass(frozen=True)
class Description:
    """A pool's description.

    parse: for a pool in a file, (text, path) -> phrases by code in the file's spelling; None for a computed pool.
    files: by the corpus's ICD revision (None: any), the possible names of its file, the first existing one of which is
    used; a revision without an entry is not described by the pool. checksums: of published files by name, from git or
    md5. broad: phrases are broader than the code, so neighbouring codes share many of them.
    """

    parse: Callable[[str, Path], Pool] | None = None
    files: Mapping[Revision | None, tuple[str, ...]] = field(default_factory=dict)
    revisions: tuple[Revision, ...] = (9, 10)
    checksums: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    broad: bool = False

    def names(self, revision: Revision | None) -> tuple[str, ...]:
        """The possible names of the pool's file for codes of a revision."""
        return self.files[revision if revision in self.files else None]


def check(names: Sequence[str], folder: Path, revision: Revision | None) -> None:
    """Raise InputError unless every pool is known, describes codes of `revision`, and has its file in `folder`."""
    for name in names:
        if name not in POOLS:
            raise InputError(f"synonyms.pools: {name!r} is not one of {', '.join(POOLS)}")
        pool = POOLS[name]
        if revision and revision not in pool.revisions:
            described = " and ".join(f"ICD-{number}-CM" for number in pool.revisions)
            wrong = f"{name} describes {described} codes"
            raise InputError(f"synonyms.pools: {wrong}; the corpus is coded in ICD-{revision}-CM")
        if pool.parse is not None:
            _path(name, folder, revision)


def gather(names: Sequence[str], codes: Mapping[str, dict], folder: Path, revision: Revision | None) -> dict[str, Pool]:
    """The pools `names`, in their order, for `codes` (codes.json).

    If both are requested, titles only fill in for codes that UMLS lacks. Raises InputError for what `check` refuses.
    """
    if not folder.is_dir():
        raise InputError(f"synonyms.pool_dir: {folder} is not a folder; it should hold the files of the pools")
    check(names, folder, revision)
    read = {name: match_codes(name, read_pool(name, folder, revision), codes) for name in names if POOLS[name].parse}
    computed = {"titles": lambda: titles_pool(codes, lacking=read.get("umls")), "icd10cm": lambda: icd10cm_pool(codes)}
    return {name: read[name] if name in read else computed[name]() for name in names}


def read_pool(name: str, folder: Path, revision: Revision | None = 9) -> Pool:
    """The pool `name` from its file in `folder`, in the file's spelling of codes.

    Raises InputError if the file is missing or malformed; unexpected content only causes a warning.
    """
    path, pool = _path(name, folder, revision), POOLS[name]
    content = path.read_bytes()
    if path.name in pool.checksums:
        _compare_checksum(name, path, content, *pool.checksums[path.name])
    text = outside.decode(content, path)
    assert pool.parse is not None, "only pools that lie in a file are read"
    return pool.parse(text, path)


def _path(name: str, folder: Path, revision: Revision | None) -> Path:
    """The file of the pool `name` in `folder`. Raises InputError if it does not exist."""
    paths = [folder / file for file in POOLS[name].names(revision)]
    path = next((path for path in paths if path.is_file()), paths[0])
    if not path.is_file():
        wrong = f"synonyms.pools names {name}, but {path} is not a file"
        raise InputError(
            f"{wrong}; put it there (data/pools/README.md says where it comes from), or leave the pool out"
        )
    return path


def match_codes(name: str, pool: Pool, codes: Iterable[str]) -> Pool:
    """The pool with codes in the corpus's spelling, whatever their dots and case in the file.

    `4019` is `401.9` if the corpus has no other code with these characters; an ambiguous spelling must match exactly.
    Dots are ignored if the corpus writes none. Logs how many codes are covered and warns if they are few.
    """
    codes = list(codes)
    spellings: dict[str, list[str]] = {}
    for code in codes:
        spellings.setdefault(compact(code), []).append(code)
    known, dots = set(codes), any("." in code for code in codes)
    matched: Pool = {}
    n_ambiguous = 0
    for spelled, phrases in pool.items():
        exact = spelled.strip().upper()
        matches = [exact] if exact in known else spellings.get(compact(spelled), [])
        if exact not in known and "." in exact.rstrip(".") and dots:
            continue  # the dot shows that this is another code
        if len(matches) > 1:
            n_ambiguous += 1
            continue
        for code in matches:
            matched.setdefault(code, []).extend(phrases)
    if n_ambiguous:
        log.warning("pool %s: %d codes without a dot could be two of the corpus, and are left out", name, n_ambiguous)
    covered = sum(bool(matched.get(code)) for code in codes)
    say = log.warning if covered < FEW * len(codes) else log.info
    say("pool %s: covers %d of %d codes", name, covered, len(codes))
    return matched


def parse_umls(text: str, path: Path) -> Pool:
    """The UMLS synonyms that MSMN published: a JSON object, code -> list of strings."""
    return _check_pool(outside.parse_json(text, path), path)


def parse_wikipedia(text: str, path: Path) -> Pool:
    """Phrases from ICD-9 ancestors, Wikidata and Wikipedia: one line per code of MIMIC-III-50, split by ` </s> `."""
    lines = [line for _, line in outside.lines(text)]
    if len(lines) != len(WIKIPEDIA_CODES):
        raise InputError(f"{path} has {len(lines)} lines; the published file has {len(WIKIPEDIA_CODES)}")
    return {code: line.split("</s>") for code, line in zip(WIKIPEDIA_CODES, lines, strict=True)}


def parse_authored(text: str, path: Path) -> Pool:
    """The authored file: YAML, code -> a mapping with a list `synonyms` (other keys are ignored here)."""
    content = outside.parse_yaml(text, path)
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise InputError(f"{path} should map each code to a mapping with the key synonyms")
    return _check_pool({code: entry.get("synonyms", []) for code, entry in content.items()}, path)


def titles_pool(codes: Mapping[str, dict], lacking: Pool | None = None) -> Pool:
    """Lower-cased titles of the codes (`codes.json`); if `lacking` is given, of those without a phrase in that pool."""
    return {
        code: [title.lower() for title in entry["titles"]]
        for code, entry in codes.items()
        if lacking is None or not lacking.get(code)
    }


def icd10cm_pool(codes: Iterable[str]) -> Pool:
    """ICD-10-CM's title and inclusion terms of every known code, then the titles of its ancestors.

    Ancestors are used up to the category, unless shared with another code of `codes`.
    """
    import simple_icd_10_cm as icd10cm  # reads the whole classification: two seconds

    titles, broader = {}, {}
    for code in codes:
        if not icd10cm.is_valid_item(code):
            continue
        titles[code] = [icd10cm.get_description(code), *icd10cm.get_includes(code), *icd10cm.get_inclusion_term(code)]
        ancestors = [item for item in icd10cm.get_ancestors(code) if icd10cm.is_category_or_subcategory(item)]
        broader[code] = [icd10cm.get_description(item) for item in ancestors]
    titles, broader = ({c: normalise_all(p) for c, p in pool.items()} for pool in (titles, broader))
    specific = drop_shared(broader, titles)
    return {code: titles[code] + specific[code] for code in titles}


def drop_shared(pool: Pool, others: Pool | None = None) -> Pool:
    """The pool without phrases that also belong to another code, in the pool itself or in `others`."""
    others = others or {}
    owners: Counter[str] = Counter()
    for code in pool:
        owners.update({*pool[code], *others.get(code, [])})
    owners.update(phrase for code in set(others) - set(pool) for phrase in set(others[code]))
    return {code: [phrase for phrase in phrases if owners[phrase] == 1] for code, phrases in pool.items()}


def combine(pools: dict[str, Pool], codes: Iterable[str]) -> Pool:
    """The candidates of every code: normalised and distinct, in the order of the pools and within them."""
    prepared = {name: {c: normalise_all(p) for c, p in pool.items()} for name, pool in pools.items()}
    prepared = {name: drop_shared(pool) if POOLS[name].broad else pool for name, pool in prepared.items()}
    return {
        code: list(dict.fromkeys(phrase for pool in prepared.values() for phrase in pool.get(code, [])))
        for code in sorted(codes)
    }


def draw(candidates: Pool, most: int, seed: int) -> Pool:
    """At most `most` candidates per code, drawn without replacement and independently for each code."""

    def drawn(code: str, phrases: list[str]) -> list[str]:
        chosen = random.Random(f"{seed} {code}").sample(range(len(phrases)), min(most, len(phrases)))
        return [phrases[i] for i in sorted(chosen)]

    return {code: drawn(code, phrases) for code, phrases in candidates.items()}


def pool_statistics(pools: dict[str, Pool], candidates: Pool) -> dict[str, dict[str, Any]]:
    """For every pool and for the candidates of all: codes covered, phrases, and the share of codes with `ENOUGH`."""
    statistics = {}
    for name, pool in {**pools, "all": candidates}.items():
        sizes = [len(pool.get(code, [])) for code in candidates]
        statistics[name] = {
            "codes_covered": sum(map(bool, sizes)),
            "phrases": sum(sizes),
            f"share_with_{ENOUGH}": sum(size >= ENOUGH for size in sizes) / max(len(sizes), 1),
        }
    return statistics


def _check_pool(content: object, path: Path) -> Pool:
    """`content` if it is {code: list of strings}; otherwise raises InputError that names the first violation."""
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} should be a mapping from codes to lists of phrases")
    for number, (code, phrases) in enumerate(content.items(), start=1):
        if not isinstance(code, str):
            raise InputError(f"{path}: the code {code!r} is not a string; put it in quotes")
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            which = f"code {code}" if QUOTABLE.fullmatch(code) else f"entry {number}"
            raise InputError(f"{path}: {which} should have a list of strings")
    return content


def _compare_checksum(name: str, path: Path, content: bytes, kind: str, expected: str) -> None:
    actual = io.md5(content)
    if kind == "git blob":
        actual = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    if actual != expected:
        log.warning("pool %s: %s is not the published file: its %s is %s, not %s", name, path, kind, actual, expected)


def normalise(phrase: str) -> str:
    """The phrase without ` or ` and ` and `, reduced to letters, digits, brackets and single spaces.

    Case is kept. As in the authors' program, where `[x]` marks terms of one UMLS source and is followed by a space.
    """
    phrase = _BOX.sub("[x] ", phrase).replace(" or ", " ").replace(" and ", " ")
    return _SPACES.sub(" ", _OTHER.sub(" ", phrase)).strip()


def normalise_all(phrases: Iterable[str]) -> list[str]:
    """Distinct non-empty normalised phrases in order of first appearance.

    Phrases of `LONGEST` or more characters before normalisation are dropped.
    """
    short = (phrase.strip() for phrase in phrases if len(phrase.strip()) < LONGEST)
    return [phrase for phrase in dict.fromkeys(map(normalise, short)) if phrase]


MSMN = "icd_mimic3_random_sort.json"
WIKIPEDIA = "labels_descriptions_wikipedia.txt"
POOLS = {
    "umls": Description(
        parse_umls,
        {
            9: (MSMN, "umls_icd9.json"),
            **dict.fromkeys((10, None), ("icd_mimic4_10_random_sort.json", "umls_icd10.json")),
        },
        checksums={MSMN: ("git blob", "ed30f4093b793961244c6542d006e9f8d38d1eaf")},
    ),
    "wikipedia": Description(
        parse_wikipedia,
        {None: (WIKIPEDIA,)},
        revisions=(9,),
        checksums={WIKIPEDIA: ("md5", "5c4f1140805bb4aea27ba9ea67f7fd66")},
        broad=True,
    ),
    "titles": Description(),
    "icd10cm": Description(revisions=(10,)),
    "authored": Description(parse_authored, {None: ("authored.yaml",)}),
}
