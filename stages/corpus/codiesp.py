"""CodiEsp: clinical cases with ICD-10-CM and ICD-10-PCS codes, in the corpus's own layout and split."""

from collections import Counter
from pathlib import Path

from stages.common import outside
from stages.common.io import InputError
from stages.common.parts import SCORED
from stages.corpus import icd, text
from stages.corpus.delimited import is_id, quote_id
from stages.corpus.document import Code, Corpus, Document, Kind, Subset
from stages.corpus.icd import NotACode

FOLDERS = {"train": "train", "val": "dev", "test": "test"}
CODE_FILES: dict[Kind, str] = {"diagnosis": "D", "procedure": "P"}
SOURCE = "download CodiEsp from Zenodo, DOI 10.5281/zenodo.3625746"
NOT_THE_CORPUS = ("__MACOSX",)  # added to archives by macOS, as are dotfiles


def load(folder: Path, subset: Subset, min_documents: int) -> tuple[Corpus, dict[str, str]]:
    """The documents of a subset and their parts in the official split.

    Codes are upper-case; those with fewer than `min_documents` training documents are dropped. Raises InputError if
    the files are malformed.
    """
    folder = root(folder)
    documents: list[Document] = []
    kinds: dict[str, Kind] = {}
    part_of: dict[str, str] = {}
    n_texts = 0
    for part, name in FOLDERS.items():
        codes: dict[str, set[str]] = {}
        for kind in subset.kinds:
            for document_id, found_codes in _read_codes(folder / name / f"{name}{CODE_FILES[kind]}.tsv", kind).items():
                codes.setdefault(document_id, set()).update(found_codes)
                kinds.update(dict.fromkeys(found_codes, kind))
        case_texts = _read_texts(folder / name / "text_files_en")
        n_texts += len(case_texts)
        if strangers := codes.keys() - case_texts.keys():
            raise InputError(
                f"{folder / name}: {len(strangers)} of the coded documents have no text in text_files_en, the first "
                f"is {quote_id(min(strangers))}; {SOURCE}"
            )
        for document_id in sorted(codes):
            if (other := part_of.setdefault(document_id, part)) != part:
                where = f"in two parts, {FOLDERS[other]} and {name}"
                raise InputError(f"{folder}: the case {quote_id(document_id)} is {where}; it should be in one")
            documents.append(Document(document_id, document_id, case_texts[document_id], sorted(codes[document_id])))

    occurrences = Counter(code for item in documents if part_of[item.document_id] == "train" for code in item.codes)
    kept = {code for code, count in occurrences.items() if count >= min_documents}
    cut = [item._replace(codes=[code for code in item.codes if code in kept]) for item in documents]
    coded = [item for item in cut if item.codes]
    uncoded = [item for item in cut if not item.codes and part_of[item.document_id] in SCORED]
    counts = {
        "texts": n_texts,
        "texts_without_codes": n_texts - len(documents),
        "documents_without_kept_code": len(documents) - len(coded),
    }
    known = {code: Code(kinds[code], []) for code in sorted(kept)}
    gold: dict[str, dict[str, list[str]]] = {part: {} for part in FOLDERS}
    for item in documents:
        gold[part_of[item.document_id]][item.document_id] = item.codes
    return Corpus(coded, known, counts, gold, uncoded), {item.document_id: part_of[item.document_id] for item in coded}


def root(folder: Path) -> Path:
    """The folder with train, dev and test: `folder` itself, or the single folder inside it (the archive's layout)."""
    inner = [
        path
        for path in sorted(folder.iterdir())
        if path.is_dir() and not path.name.startswith(".") and path.name not in NOT_THE_CORPUS
    ]
    return inner[0] if len(inner) == 1 and not (folder / "train").is_dir() else folder


def _read_codes(path: Path, kind: Kind) -> dict[str, set[str]]:
    codes: dict[str, set[str]] = {}
    if not path.is_file():
        raise InputError(f"{path} does not exist, so this part has no gold codes; {SOURCE}")
    content = outside.read_text(path)
    if content and not content.endswith("\n"):
        raise InputError(f"{path} is cut short: its last line has no line end (if it is whole, add one)")
    for number, line in outside.lines(content):
        document_id, *fields = (field.strip() for field in line.split("\t"))
        if len(fields) != 1 or not is_id(document_id):
            raise InputError(f"{path}, line {number}: should be a case and a code, separated by a tab")
        try:
            code = icd.read(fields[0], kind, revision=10)
        except NotACode as error:
            raise InputError(f"{path}, line {number}: {error}") from None
        if code is None:
            raise InputError(f"{path}, line {number}: the code is missing")
        codes.setdefault(document_id, set()).add(code)
    return codes


def _read_texts(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; {SOURCE}")
    paths = (path for path in folder.glob("*.txt") if not path.name.startswith("."))
    return {path.stem: text.fold_white_space(outside.read_text(path)) for path in paths}
