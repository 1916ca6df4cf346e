"""CodiEsp: clinical cases with ICD-10-CM and ICD-10-PCS codes, in the corpus's own layout and split."""

from collections import Counter
from pathlib import Path

from stages.corpus import text
from stages.corpus.document import Code, Corpus, Document
from stages.corpus.icd import Kind
from stages.project.errors import InputError

FOLDERS = {"train": "train", "val": "dev", "test": "test"}
KINDS: dict[str, tuple[Kind, ...]] = {
    "diagnoses": ("diagnosis",),
    "procedures": ("procedure",),
    "both": ("diagnosis", "procedure"),
}
CODE_FILES: dict[Kind, str] = {"diagnosis": "D", "procedure": "P"}
SOURCE = "download CodiEsp from Zenodo, DOI 10.5281/zenodo.3625746"


def load(folder: Path, subset: str, min_documents: int) -> tuple[Corpus, dict[str, str]]:
    """The documents of a subset (`diagnoses`, `procedures` or `both`), and the part of each by the official split.

    Codes are upper-case. Kept are those of at least `min_documents` training documents. Raises InputError where the
    files are at fault.
    """
    documents: list[Document] = []
    kinds: dict[str, Kind] = {}
    part_of: dict[str, str] = {}
    texts = 0
    for part, name in FOLDERS.items():
        codes = {}
        for kind in KINDS[subset]:
            for document_id, own in _read_codes(folder / name / f"{name}{CODE_FILES[kind]}.tsv").items():
                codes.setdefault(document_id, set()).update(own)
                kinds.update(dict.fromkeys(own, kind))
        case_texts = _read_texts(folder / name / "text_files_en")
        texts += len(case_texts)
        if strangers := codes.keys() - case_texts.keys():
            raise InputError(
                f"{folder / name}: {len(strangers)} of the coded documents have no text in text_files_en, the first "
                f"is {min(strangers)}; {SOURCE}"
            )
        for document_id in sorted(codes):
            part_of[document_id] = part
            own = sorted(codes[document_id])
            documents.append(Document(document_id, document_id, case_texts[document_id], own))

    occurrences = Counter(code for item in documents if part_of[item.document_id] == "train" for code in item.codes)
    kept = {code for code, count in occurrences.items() if count >= min_documents}
    coded = [item._replace(codes=own) for item in documents if (own := [code for code in item.codes if code in kept])]
    counts = {
        "texts": texts,
        "texts_without_codes": texts - len(documents),
        "documents_without_kept_code": len(documents) - len(coded),
    }
    known = {code: Code(kinds[code], []) for code in sorted(kept)}
    return Corpus(coded, known, counts), {item.document_id: part_of[item.document_id] for item in coded}


def _read_codes(path: Path) -> dict[str, set[str]]:
    """Document -> its codes, upper-case, from a file of tab-separated document and code."""
    codes: dict[str, set[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist, so this part has no gold codes; {SOURCE}") from None
    for number, line in enumerate(lines, start=1):
        document_id, _, code = (field.strip() for field in line.partition("\t"))
        if not document_id or not code or "\t" in code:
            raise InputError(f"{path}, line {number}: should be a document and a code, parted by a tab")
        codes.setdefault(document_id, set()).add(code.upper())
    return codes


def _read_texts(folder: Path) -> dict[str, str]:
    """Document -> its English text, white space folded."""
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; {SOURCE}")
    texts = {}
    for path in folder.glob("*.txt"):
        try:
            texts[path.stem] = text.fold_white_space(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise InputError(f"{path} is not UTF-8 text; {SOURCE}") from None
    return texts
