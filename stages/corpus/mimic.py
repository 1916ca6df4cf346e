"""MIMIC-III v1.4: discharge summaries joined with ICD-9 codes, one document an admission."""

import logging
from collections import Counter
from collections.abc import Iterable, Set
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from stages.corpus import delimited, icd, text
from stages.corpus.document import Code, Corpus, Document
from stages.corpus.icd import MIMIC_50, Kind, NotACode
from stages.project.errors import InputError

log = logging.getLogger(__name__)

CATEGORY = "Discharge summary"
CODE_TABLES: dict[Kind, str] = {"procedure": "PROCEDURES_ICD", "diagnosis": "DIAGNOSES_ICD"}
TITLE_TABLES: dict[Kind, str] = {"procedure": "D_ICD_PROCEDURES", "diagnosis": "D_ICD_DIAGNOSES"}
TITLES = ("ICD9_CODE", "LONG_TITLE", "SHORT_TITLE")
SOME_CODES = 100  # a table of fewer different codes may well have none that begins with 0
CLEANERS: dict[str, text.Cleaner] = {
    "top50": text.fold_white_space,
    "full": text.fold_white_space,
    "clean": text.lower_alphanumeric,
}


class Admission(NamedTuple):
    """A hospital stay. Documents are ordered by it."""

    subject: int
    admission: int


def load(folder: Path, subset: str, min_documents: int) -> Corpus:
    """The documents of a subset (`top50`, `full` or `clean`), ordered by subject and admission.

    `clean` keeps the codes of at least `min_documents` documents. Raises InputError where the files are at fault.
    """
    codes, kinds = read_codes(folder)
    titles = read_titles(folder)
    _warn_of_lost_zeros(kinds)
    notes, counts = read_notes(folder, CLEANERS[subset])
    _check_agreement(folder, notes.keys(), codes.keys())
    admissions = sorted(notes.keys() & codes.keys())
    counts |= {"admissions_with_notes": len(notes), "admissions_without_codes": len(notes) - len(admissions)}

    kept = kept_codes((codes[admission] for admission in admissions), subset, min_documents)
    documents = []
    for admission in admissions:
        if own := [code for code in codes[admission] if code in kept]:
            joined = text.document(notes.pop(admission), CLEANERS[subset])
            documents.append(Document(str(admission.admission), str(admission.subject), joined, own))
    counts["documents_without_kept_code"] = len(admissions) - len(documents)
    _warn_of_absent(kept, documents)
    known = {code: Code(kinds[code], titles.get((kinds[code], code), [])) for code in sorted(kept & kinds.keys())}
    return Corpus(documents, known, counts)


def kept_codes(documents: Iterable[list[str]], subset: str, min_documents: int) -> set[str]:
    """The codes that a subset keeps, given the code lists of all documents."""
    if subset == "top50":
        return set(MIMIC_50)
    occurrences = Counter(code for codes in documents for code in codes)
    least = min_documents if subset == "clean" else 1
    return {code for code, count in occurrences.items() if count >= least}


def read_notes(folder: Path, clean: text.Cleaner) -> tuple[dict[Admission, list[str]], dict[str, int]]:
    """The cleaned discharge summaries and addenda of each admission, in file order, and how many notes there were."""
    path = delimited.find(folder, "NOTEEVENTS")
    notes: dict[Admission, list[str]] = {}
    counts = {"notes": 0, "discharge_summaries": 0}
    subject_of: dict[int, int] = {}
    rows_seen: set[str] = set()
    with tqdm(desc="reading notes", unit=" notes", unit_scale=True, disable=None) as bar:
        for batch in delimited.read(path, ("ROW_ID", "SUBJECT_ID", "HADM_ID", "CATEGORY", "TEXT")):
            bar.update(batch.num_rows)
            counts["notes"] += batch.num_rows
            summaries = batch.filter(pc.equal(batch.column("CATEGORY"), CATEGORY))
            counts["discharge_summaries"] += summaries.num_rows
            rows, texts = (summaries.column(name).to_pylist() for name in ("ROW_ID", "TEXT"))
            for at, (row, admission, note) in enumerate(zip(rows, _admissions(path, summaries), texts, strict=True)):
                if row in rows_seen:
                    which = delimited.place(summaries, at)
                    raise InputError(f"{path} has {which} twice; each note should be there once")
                rows_seen.add(row)
                if (subject := subject_of.setdefault(admission.admission, admission.subject)) != admission.subject:
                    raise InputError(
                        f"{path}: admission {admission.admission} belongs to two subjects, {subject} and "
                        f"{admission.subject} ({delimited.place(summaries, at)}); it should belong to one"
                    )
                notes.setdefault(admission, []).append(clean(note))
    if not notes:
        raise InputError(f"{path} has {counts['notes']} notes, but none of the category {CATEGORY!r}")
    return notes, counts


def read_codes(folder: Path) -> tuple[dict[Admission, list[str]], dict[str, Kind]]:
    """The sorted codes of each admission, procedures and diagnoses together, and the kind of each code.

    Codes are stripped, missing ones dropped, and what a table repeats for an admission counts once; then they take
    their dots. Raises InputError for a code that is none, and its row.
    """
    codes: dict[Admission, list[str]] = {}
    kinds: dict[str, Kind] = {}
    for kind, name in CODE_TABLES.items():
        path = delimited.find(folder, name)
        recorded: dict[Admission, set[str]] = {}
        read: dict[str, str | None] = {}  # each spelling is read once
        n_missing = 0
        for batch in delimited.read(path, ("ROW_ID", "SUBJECT_ID", "HADM_ID", "ICD9_CODE")):
            stripped = pc.utf8_trim_whitespace(batch.column("ICD9_CODE")).to_pylist()
            for at, (admission, spelled) in enumerate(zip(_admissions(path, batch), stripped, strict=True)):
                if spelled not in read:
                    try:
                        read[spelled] = icd.read(spelled, kind)
                    except NotACode as error:
                        raise InputError(f"{path}: {error}, in {delimited.place(batch, at)}") from None
                if read[spelled] is None:
                    n_missing += 1
                else:
                    recorded.setdefault(admission, set()).add(spelled)
        if not recorded:
            raise InputError(f"{path} has no code at all")
        if n_missing:
            log.info("%s: %d rows without a code are left out", path.name, n_missing)
        for admission, spellings in recorded.items():
            codes.setdefault(admission, []).extend(code for spelled in spellings if (code := read[spelled]))
        for code in read.values():
            if code:
                kinds.setdefault(code, kind)
    for own in codes.values():
        own.sort()
    return codes, kinds


def _admissions(path: Path, batch: pa.RecordBatch) -> Iterable[Admission]:
    """The admission of each row. Raises InputError naming the first row without one."""
    return map(Admission, *(delimited.integers(path, batch, name) for name in ("SUBJECT_ID", "HADM_ID")))


def _warn_of_lost_zeros(kinds: dict[str, Kind]) -> None:
    """Warn of a table whose codes look as if they had been numbers once, without the zeros before them."""
    for kind, name in CODE_TABLES.items():
        own = [code for code, known in kinds.items() if known == kind]
        if short := sorted(code for code in own if icd.too_short(code, kind)):
            log.warning("%s: %d codes are shorter than any real one: %s", name, len(short), ", ".join(short[:10]))
        if len(own) >= SOME_CODES and not any(code.startswith("0") for code in own):
            log.warning(
                "%s: none of its %d different codes begins with 0; were they numbers once? codes are text, in which "
                "zeros count",
                *(name, len(own)),
            )


def _warn_of_absent(kept: set[str], documents: list[Document]) -> None:
    """Warn of codes of a fixed list that no document has."""
    absent = sorted(kept - {code for document in documents for code in document.codes})
    if absent:
        log.warning("%d of the %d codes have no document: %s", len(absent), len(kept), ", ".join(absent))


def read_titles(folder: Path) -> dict[tuple[Kind, str], list[str]]:
    """The long and the short title of each code, by kind and dotted code."""
    titles: dict[tuple[Kind, str], list[str]] = {}
    for kind, name in TITLE_TABLES.items():
        path = delimited.find(folder, name)
        for batch in delimited.read(path, TITLES):
            columns = (batch.column(name).to_pylist() for name in TITLES)
            for at, (spelled, *names) in enumerate(zip(*columns, strict=True)):
                try:
                    code = icd.read(spelled, kind)
                except NotACode as error:
                    raise InputError(f"{path}: {error}, in {delimited.place(batch, at)}") from None
                if code:
                    titles[kind, code] = list(dict.fromkeys(name for name in names if name))
    return titles


def _check_agreement(folder: Path, noted: Set[Admission], coded: Set[Admission]) -> None:
    """Raise InputError unless the code tables tell of the same admissions as the notes."""
    subject_of = {admission: subject for subject, admission in noted}
    for subject, admission in coded:
        if subject_of.get(admission, subject) != subject:
            raise InputError(
                f"{folder}: admission {admission} belongs to subject {subject_of[admission]} in NOTEEVENTS, but to "
                f"{subject} in DIAGNOSES_ICD or PROCEDURES_ICD; the files should come from one release"
            )
    if not noted & coded:
        raise InputError(
            f"{folder}: none of the {len(noted)} admissions with a discharge summary in NOTEEVENTS has a code in "
            "DIAGNOSES_ICD or PROCEDURES_ICD; the files should come from one release"
        )
