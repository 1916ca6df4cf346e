"""MIMIC-III and MIMIC-IV: discharge summaries joined with ICD codes, by one reader and a description per release."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stages.common.io import InputError
from stages.common.runner import progress_bar
from stages.corpus import delimited, icd, text
from stages.corpus.document import Code, Corpus, Document, Kind, Revision, Span, Subset
from stages.corpus.gold_spans import Evidence, map_spans
from stages.corpus.icd import NotACode

log = logging.getLogger(__name__)

SOME_CODES = 100  # a table with fewer distinct codes may have none that starts with 0


@dataclass(frozen=True)
class Release:
    """The names of a release's tables and columns, and how its documents are prepared."""

    name: str
    notes: str
    note_id: str
    category: tuple[str, frozenset[str]]  # the column of a note's kind, and the kinds to use
    filtered: bool  # whether notes of other kinds are dropped; if not, some must be of these
    code_tables: dict[Kind, str]
    title_tables: dict[Kind, str]
    code: str  # the column of the code
    version: str | None  # the column of the code's ICD revision
    titles: tuple[str, ...]
    hospital: str  # folder of the code tables inside data.raw_dir, if not data.raw_dir itself
    notes_folder: str  # the same for the notes
    merged: bool  # one document per admission; otherwise one per distinct note
    dots: bool = True  # whether ICD-10 codes get their dot
    lenient: bool = False  # drop and count notes without an admission or without words after cleaning

    def column(self, name: str) -> str:
        """A column's name in this release's spelling (files are read in any case)."""
        return name.upper() if self.version is None else name

    def read_code(self, spelled: str, kind: Kind, revision: Revision) -> str | None:
        """A code in the spelling of the release's preparation; None if it is missing. Raises NotACode."""
        code = icd.read(spelled, kind, revision)
        return icd.compact(code) if code and revision == 10 and not self.dots else code


MIMIC_III = Release(
    name="MIMIC-III",
    notes="NOTEEVENTS",
    note_id="ROW_ID",
    category=("CATEGORY", frozenset({"Discharge summary"})),
    filtered=True,
    code_tables={"procedure": "PROCEDURES_ICD", "diagnosis": "DIAGNOSES_ICD"},
    title_tables={"procedure": "D_ICD_PROCEDURES", "diagnosis": "D_ICD_DIAGNOSES"},
    code="ICD9_CODE",
    version=None,
    titles=("LONG_TITLE", "SHORT_TITLE"),
    hospital="",
    notes_folder="",
    merged=True,
)
MIMIC_IV = Release(
    name="MIMIC-IV",
    notes="discharge",
    note_id="note_id",
    category=("note_type", frozenset({"DS", "AD"})),
    filtered=False,
    code_tables={"procedure": "procedures_icd", "diagnosis": "diagnoses_icd"},
    title_tables={"procedure": "d_icd_procedures", "diagnosis": "d_icd_diagnoses"},
    code="icd_code",
    version="icd_version",
    titles=("long_title",),
    hospital="hosp",
    notes_folder="note",
    merged=False,
)
MIMIC_IV_ICD = replace(
    MIMIC_IV, category=("note_type", frozenset({"DS"})), filtered=True, merged=True, dots=False, lenient=True
)  # the preparation of Nguyen et al. (2023)


class Admission(NamedTuple):
    """A hospital stay; documents are sorted by it."""

    subject: int
    admission: int


Notes = dict[Admission, list[tuple[str, str]]]  # id and cleaned text of each note, in file order
Raw = dict[int, list[tuple[str, str]]]  # admission -> id and raw text of each note


def load(
    folder: Path,
    subset: Subset,
    min_documents: int,
    release: Release = MIMIC_III,
    notes_dir: Path | None = None,
    evidence_dir: Path | None = None,
) -> Corpus:
    """The documents of a subset, sorted by subject and admission (METHOD.md, sections 1.1 and 11).

    folder: the code tables; notes_dir: the notes if they are a separate download; evidence_dir: gold spans (MIMIC-III).
    A document's id is that of its admission, or of its note if the admission has several documents. Codes that depend
    on the training part (`Subset.most_frequent`) are chosen later. Raises InputError if the files are malformed.
    """
    assert subset.revision is not None, "a release is coded in a revision of ICD"
    annotated = Evidence.of(evidence_dir, subset) if evidence_dir is not None else Evidence({}, None)
    folder = _inside(folder, release.hospital)
    codes, kinds = read_codes(folder, release, subset.revision)
    titles = read_titles(folder, release, subset.revision)
    _warn_of_lost_zeros(kinds, release, subset.revision)
    notes_dir = _inside(notes_dir or folder, release.notes_folder)
    raw: Raw = {admission.admission: [] for admission in codes if admission.admission in annotated.files}
    notes, counts = read_notes(notes_dir, codes.keys(), subset.clean, release, raw)
    _check_agreement(folder, release, notes.keys(), codes.keys())
    admissions = sorted(notes.keys() & codes.keys())
    counts |= {"admissions_with_notes": len(notes), "admissions_without_codes": len(notes) - len(admissions)}

    n_notes = {admission: 1 if release.merged else len(notes[admission]) for admission in admissions}
    kept = kept_codes(
        (codes[admission] for admission in admissions for _ in range(n_notes[admission])), subset, min_documents
    )
    documents = []
    admission_of: dict[str, str] = {}
    evidence: list[Span] = []
    span_counts: Counter[str] = Counter()
    n_uncoded = 0
    for admission in admissions:
        admission_codes = [code for code in codes[admission] if code in kept]
        if not admission_codes:
            n_uncoded += n_notes[admission]
            continue
        for document_id, joined in _documents(admission, notes.pop(admission), subset.clean, release.merged):
            documents.append(Document(document_id, str(admission.subject), joined, admission_codes))
            if document_id != str(admission.admission):
                admission_of[document_id] = str(admission.admission)
            if (number := admission.admission) in raw:
                evidence += map_spans(annotated.spans(number), raw.pop(number), subset.clean, document_id, span_counts)
    counts |= span_counts
    counts["documents_without_kept_code"] = n_uncoded
    if absent := sorted(kept - {code for document in documents for code in document.codes}):
        log.warning("%d of the %d codes have no document: %s", len(absent), len(kept), ", ".join(absent))
    if subset.codes_file is not None:
        kind_of: dict[str, Kind] = {code: kind for kind, code in titles}
        kinds = {code: kind_of.get(code, "diagnosis") for code in kept} | kinds
    known = {code: Code(kinds[code], titles.get((kinds[code], code), [])) for code in sorted(kept & kinds.keys())}
    listed = annotated.part_of
    part_of = None if listed is None else {str(number): part for number, part in listed.items()}
    return Corpus(documents, known, counts, admission_of=admission_of, evidence=evidence, evidence_part_of=part_of)


def chart_id(number: int) -> str:
    """An id for a chart or its subject that cannot be confused with MIMIC-IV's."""
    return f"MIMIC-III-{number}"


def add_charts(corpus: Corpus, folder: Path, subset: Subset, release: Release) -> Corpus:
    """Add MDACE's charts, whose notes are MIMIC-III's (NOTEEVENTS must be in `folder` too), to a MIMIC-IV corpus.

    Their spans are those of the corpus's ICD revision, with codes in the spelling of `release`. Raises InputError if
    the files are malformed.
    """
    annotated = Evidence.of(folder, subset)
    raw: Raw = {number: [] for number in annotated.files}
    notes, _ = read_notes(folder, frozenset(), subset.clean, MIMIC_III, raw)
    subject_of = {admission.admission: admission.subject for admission in notes}
    charts: list[Document] = []
    evidence: list[Span] = []
    span_counts: Counter[str] = Counter()
    for number, chart_notes in raw.items():
        if not chart_notes:
            span_counts["charts_without_summary"] += 1
            continue
        document_id = chart_id(number)
        spans = list(annotated.spans(number))
        if not release.dots:
            spans = [span._replace(code=icd.compact(span.code)) for span in spans]
        evidence += map_spans(spans, chart_notes, subset.clean, document_id, span_counts)
        joined = text.document([subset.clean(note) for _, note in chart_notes], subset.clean)
        codes = sorted({span.code for span in spans if not span.trap})
        charts.append(Document(document_id, chart_id(subject_of[number]), joined, codes))
    listed = annotated.part_of or dict.fromkeys(raw, "test")
    part_of = {chart_id(number): part for number, part in listed.items()}
    counts = corpus.counts | {"charts": len(charts)} | span_counts
    return replace(corpus, charts=charts, evidence=evidence, evidence_part_of=part_of, counts=counts)


def _inside(folder: Path, inner: str) -> Path:
    """The folder `inner` of a download, or `folder` if the user already named the inner one."""
    return folder / inner if inner and (folder / inner).is_dir() else folder


def _documents(
    admission: Admission, notes: list[tuple[str, str]], clean: text.Cleaner, merged: bool
) -> Iterable[tuple[str, str]]:
    if merged:
        yield str(admission.admission), text.document([note for _, note in notes], clean)
        return
    for note_id, note in notes:
        yield str(admission.admission) if len(notes) == 1 else note_id, note.strip()


def kept_codes(documents: Iterable[list[str]], subset: Subset, min_documents: int) -> set[str]:
    """The codes that a subset keeps, given the code lists of all documents.

    Diagnoses and procedures are never spelled alike, so the two kinds are counted separately.
    """
    if subset.fixed is not None:
        return set(subset.fixed)
    occurrences = Counter(code for codes in documents for code in codes)
    least = 1 if subset.rare else min_documents
    return {code for code, count in occurrences.items() if count >= least}


def read_notes(
    folder: Path, coded: Set[Admission], clean: text.Cleaner, release: Release, raw: Raw
) -> tuple[Notes, dict[str, int]]:
    """The cleaned notes of each admission in file order, and the numbers of notes.

    Texts of admissions that are not `coded` (in MIMIC-IV, all of the other ICD revision) are not kept. Raw notes of the
    admissions in `raw` are added to it.
    """
    path = delimited.find(folder, release.notes, f"it should be the folder with {release.name}'s notes")
    notes: Notes = {}
    counts = {"notes": 0, "discharge_summaries": 0}
    if release.lenient:
        counts |= {"notes_without_admission": 0, "notes_without_text": 0}
    for admission, row, note in _raw_notes(path, release, counts):
        cleaned = clean(note) if admission in coded else ""
        if release.lenient and admission in coded and not cleaned:
            counts["notes_without_text"] += 1
            continue
        notes.setdefault(admission, []).append((row, cleaned))
        if admission.admission in raw:
            raw[admission.admission].append((row, note))
    return notes, counts


def _raw_notes(path: Path, release: Release, counts: dict[str, int]) -> Iterator[tuple[Admission, str, str]]:
    """The admission, id and text of each note to use; their numbers are added to `counts`."""
    subject_of: dict[int, int] = {}
    rows_seen: set[str] = set()
    texts_seen: set[tuple[int, int]] = set()
    column, kinds = release.category
    ids = (release.column("subject_id"), release.column("hadm_id"))
    columns = (release.note_id, *ids, column, release.column("text"))
    n_empty = n_repeated = 0
    with progress_bar(desc="reading notes", unit=" notes", unit_scale=True) as bar:
        for batch in delimited.read(path, columns):
            bar.update(batch.num_rows)
            counts["notes"] += batch.num_rows
            of_kind = pc.is_in(batch.column(column), value_set=pa.array(sorted(kinds)))
            counts["discharge_summaries"] += pc.sum(of_kind).as_py() or 0
            if release.filtered:
                batch = batch.filter(of_kind)
            if release.lenient:
                admitted = pc.not_equal(pc.utf8_trim_whitespace(batch.column(ids[1])), "")
                counts["notes_without_admission"] += pc.sum(pc.invert(admitted)).as_py() or 0
                batch = batch.filter(admitted)
            if release.version is None:
                delimited.integers(path, batch, release.note_id)
            admissions = map(Admission, *(delimited.integers(path, batch, name) for name in ids))
            rows, texts = (batch.column(name).to_pylist() for name in (release.note_id, columns[-1]))
            for i, (row, admission, note) in enumerate(zip(rows, admissions, texts, strict=True)):
                if row in rows_seen:
                    which = delimited.place(batch, i)
                    raise InputError(f"{path} has {which} twice; each note should be there once")
                rows_seen.add(row)
                if (subject := subject_of.setdefault(admission.admission, admission.subject)) != admission.subject:
                    raise InputError(
                        f"{path}: admission {admission.admission} belongs to two subjects, {subject} and "
                        f"{admission.subject} ({delimited.place(batch, i)}); it should belong to one"
                    )
                if not release.merged:
                    if not note.strip():
                        n_empty += 1
                        continue
                    if (key := (admission.admission, hash(note))) in texts_seen:
                        n_repeated += 1
                        continue
                    texts_seen.add(key)
                yield admission, row, note
    if not counts["discharge_summaries"]:
        wanted = " or ".join(map(repr, sorted(kinds)))
        raise InputError(f"{path} has {counts['notes']} notes, but none of the {column.lower()} {wanted}")
    if not release.merged:
        counts |= {"notes_without_text": n_empty, "repeated_notes": n_repeated}


def read_codes(
    folder: Path, release: Release = MIMIC_III, revision: Revision = 9
) -> tuple[dict[Admission, list[str]], dict[str, Kind]]:
    """The sorted codes (procedures and diagnoses) of each admission, and the kind of each code.

    Only codes of `revision` are read. Codes are stripped, missing ones dropped and repetitions within an admission's
    table removed before they get their dots. Raises InputError that names the row of an invalid code.
    """
    codes: dict[Admission, list[str]] = {}
    kinds: dict[str, Kind] = {}
    for kind, name in release.code_tables.items():
        path = delimited.find(folder, name, f"data.raw_dir should be {release.name}'s folder")
        read, rows, n_missing = _read_code_table(path, release, kind, revision)
        if not rows.size:
            raise InputError(f"{path} has no code at all" + (f" of ICD-{revision}" if release.version else ""))
        if n_missing:
            log.info("%s: %d rows without a code are left out", path.name, n_missing)
        starts = np.flatnonzero(np.append(True, np.any(rows[1:, :2] != rows[:-1, :2], axis=1)))
        for (subject, admission), part in zip(rows[starts, :2].tolist(), np.split(rows[:, 2], starts[1:]), strict=True):
            row = codes.setdefault(Admission(subject, admission), [])
            row.extend(code for spelled in part.tolist() if (code := read[spelled]))
        for code in filter(None, read):
            kinds.setdefault(code, kind)
    for row in codes.values():
        row.sort()
    return codes, kinds


def _read_code_table(
    path: Path, release: Release, kind: Kind, revision: Revision
) -> tuple[list[str | None], np.ndarray, int]:
    """The code for each spelling, the sorted distinct rows of a table, and the number of rows without a code.

    A row is (subject, admission, index of the spelling).
    """
    read: list[str | None] = []
    numbers: dict[str, int] = {}
    parts = [np.empty((0, 3), dtype=np.int64)]
    n_missing = 0
    ids = [release.column("subject_id"), release.column("hadm_id")]
    columns = [*(["ROW_ID"] if release.version is None else []), *ids, release.code, *filter(None, [release.version])]
    for batch in delimited.read(path, columns):
        batch = _of_revision(path, batch, release, revision)
        encoded = pc.utf8_trim_whitespace(batch.column(release.code)).dictionary_encode()
        places, spellings = encoded.indices.to_numpy(), encoded.dictionary.to_pylist()
        for place, spelled in enumerate(spellings):
            if spelled not in numbers:  # parse each spelling once
                numbers[spelled] = len(numbers)
                try:
                    read.append(release.read_code(spelled, kind, revision))
                except NotACode as error:
                    row = delimited.place(batch, int((places == place).argmax()))
                    raise InputError(f"{path}: {error}, in {row}") from None
        number = np.array([numbers[spelled] for spelled in spellings], dtype=np.int64)[places]
        rows = np.column_stack([*(delimited.integers(path, batch, name) for name in ids), number])
        coded = np.array([read[numbers[spelled]] is not None for spelled in spellings], dtype=bool)[places]
        n_missing += len(coded) - int(coded.sum())
        parts.append(rows[coded])
    rows = np.concatenate(parts)
    rows = rows[np.lexsort(rows.T[::-1])]
    if len(rows):
        rows = rows[np.append(True, np.any(rows[1:] != rows[:-1], axis=1))]
    return read, rows, n_missing


def _of_revision(path: Path, batch: pa.RecordBatch, release: Release, revision: Revision) -> pa.RecordBatch:
    """The rows of one ICD revision. Raises InputError for a row of neither 9 nor 10."""
    if release.version is None:
        return batch
    versions = pc.utf8_trim_whitespace(batch.column(release.version))
    known = pc.is_in(versions, value_set=pa.array(["9", "10"]))
    if not pc.all(known, min_count=0).as_py():
        row = delimited.place(batch, pc.index(known, pa.scalar(False)).as_py())
        raise InputError(f"{path}: the {release.version} is neither 9 nor 10 in {row}")
    return batch.filter(pc.equal(versions, str(revision)))


def _warn_of_lost_zeros(kinds: dict[str, Kind], release: Release, revision: Revision) -> None:
    """Warn if codes seem to have lost their leading zeros by being stored as numbers.

    Raises InputError for too-short codes in a release that has none.
    """
    for kind, name in release.code_tables.items():
        codes = [code for code, known in kinds.items() if known == kind]
        if short := sorted(code for code in codes if icd.too_short(code, kind, revision)):
            said = f"{name}: {len(short)} codes are shorter than any real one: {', '.join(short[:10])}"
            if release.version is not None:
                raise InputError(f"{said}; they were stored as numbers, but codes are text, and zeros matter")
            log.warning("%s", said)
        if revision == 9 and len(codes) >= SOME_CODES and not any(code.startswith("0") for code in codes):
            said = f"{name}: none of its {len(codes)} different codes begins with 0"
            log.warning("%s; were they numbers once? Codes are text, and zeros count", said)


def read_titles(
    folder: Path, release: Release = MIMIC_III, revision: Revision = 9
) -> dict[tuple[Kind, str], list[str]]:
    """The titles of each code by kind and dotted code, long title first. Rows with invalid codes are only reported."""
    titles: dict[tuple[Kind, str], list[str]] = {}
    for kind, name in release.title_tables.items():
        path = delimited.find(folder, name, f"data.raw_dir should be {release.name}'s folder")
        n_strange = 0
        for batch in delimited.read(path, (release.code, *release.titles, *filter(None, [release.version]))):
            batch = _of_revision(path, batch, release, revision)
            columns = (batch.column(name).to_pylist() for name in (release.code, *release.titles))
            for spelled, *names in zip(*columns, strict=True):
                try:
                    code = release.read_code(spelled, kind, revision)
                except NotACode:
                    n_strange += 1
                    continue
                if code:
                    titles[kind, code] = list(dict.fromkeys(name for name in names if not icd.is_missing(name)))
        if n_strange:
            log.warning("%s: %d titles of invalid codes are left out", path.name, n_strange)
    return titles


def most_frequent(parts: dict[str, list[Document]], number: int) -> set[str]:
    """The codes with the most training documents; ties go to the first in order."""
    counts = Counter(code for document in parts["train"] for code in set(document.codes))
    return set(sorted(counts, key=lambda code: (-counts[code], code))[:number])


def _check_agreement(folder: Path, release: Release, noted: Set[Admission], coded: Set[Admission]) -> None:
    tables = " or ".join(reversed(release.code_tables.values()))
    subject_of = {admission: subject for subject, admission in noted}
    for subject, admission in coded:
        if subject_of.get(admission, subject) != subject:
            raise InputError(
                f"{folder}: admission {admission} belongs to subject {subject_of[admission]} in {release.notes}, but "
                f"to {subject} in {tables}; the files should come from one release"
            )
    if not noted & coded:
        raise InputError(
            f"{folder}: none of the {len(noted)} admissions with a discharge summary in {release.notes} has a code in "
            f"{tables}; the files should come from one release"
        )
