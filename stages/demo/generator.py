"""The embedded corpus: invented patients in the file format of MIMIC-III v1.4 (columns, types, quoting, dotless codes).

`write_corpus` streams patient by patient, so memory does not grow with the number of admissions, and gives equal bytes
for equal seeds. A larger corpus starts with the same patients.
"""

import datetime as dt
import gzip
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedWriter
from pathlib import Path
from typing import IO, NamedTuple

import yaml

from stages.common import io
from stages.common.io import InputError
from stages.demo.notes import Lexicon, Mark, addendum, discharge_summary, other_note
from stages.demo.patients import OUTSIDE, Admission, admissions, is_procedure

SEED = 2024
COLUMNS = {
    "NOTEEVENTS": (
        "ROW_ID", "SUBJECT_ID", "HADM_ID", "CHARTDATE", "CHARTTIME", "STORETIME", "CATEGORY", "DESCRIPTION", "CGID",
        "ISERROR", "TEXT",
    ),
    "DIAGNOSES_ICD": ("ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"),
    "PROCEDURES_ICD": ("ROW_ID", "SUBJECT_ID", "HADM_ID", "SEQ_NUM", "ICD9_CODE"),
    "D_ICD_DIAGNOSES": ("ROW_ID", "ICD9_CODE", "SHORT_TITLE", "LONG_TITLE"),
    "D_ICD_PROCEDURES": ("ROW_ID", "ICD9_CODE", "SHORT_TITLE", "LONG_TITLE"),
}  # fmt: skip

# Notes of other categories: category (MIMIC's "Physician " ends with a space), description, mean number per admission,
# and the section of a summary that they resemble.
OTHER_CATEGORIES = (
    ("Nursing/other", "Report", 1.6, "course"),
    ("Nursing", "Generic Note", 0.8, "course"),
    ("Physician ", "Generic Note", 0.7, "history"),
    ("Radiology", "CHEST (PORTABLE AP)", 1.2, "results"),
    ("ECG", "Report", 0.6, "results"),
    ("Echo", "Report", 0.2, "results"),
)

SUMMARY = "Discharge summary"
EVIDENCE = "evidence"  # folder of gold spans inside the corpus's folder
PATIENTS_A_BLOCK = 32  # rows of this many patients are interleaved, as MIMIC's file is not sorted by admission


class Note(NamedTuple):
    """A row of NOTEEVENTS without its ROW_ID; None for fields that MIMIC leaves empty."""

    subject_id: int
    hadm_id: int | None
    day: dt.date
    category: str
    description: str
    text: str
    chart_hour: int | None = None
    cgid: int | None = None
    is_error: bool = False
    marks: Sequence[Mark] = ()


def read_phrases(path: Path) -> dict[str, dict]:
    """Read the authored phrases: code -> titles, synonyms, mentions, medications. Raises InputError."""
    try:
        entries = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; it is part of the repository") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    for code, entry in entries.items():
        if not entry.get("synonyms"):
            raise InputError(f"{path}: {code} has no synonyms")
    return entries


class MimicWriter:
    """MIMIC's five files, open for writing in a folder; each `write_*` appends numbered rows."""

    def __init__(self, files: dict[str, IO[bytes]]):
        self.files = files
        self.rows = dict.fromkeys(COLUMNS, -1)
        for name, columns in COLUMNS.items():
            self._append(name, ",".join(f'"{column}"' for column in columns))

    def _append(self, name: str, line: str) -> int:
        """Write a line and return its number, 0 for the header."""
        self.files[name].write(f"{line}\n".encode())
        self.rows[name] += 1
        return self.rows[name]

    def write_note(self, note: Note) -> int:
        """Append a row of NOTEEVENTS; returns its ROW_ID."""
        hour = note.chart_hour
        charted, stored = ("", "") if hour is None else (f"{note.day} {hour:02d}:{minute}:00" for minute in (30, 47))
        return self._append(
            "NOTEEVENTS",
            f"{self.rows['NOTEEVENTS'] + 1},{note.subject_id},{_number(note.hadm_id)},{note.day},{charted},{stored},"
            f'"{note.category}","{note.description}",{_number(note.cgid)},{quote("1") if note.is_error else ""},'
            f"{quote(note.text)}",
        )

    def write_codes(self, name: str, subject_id: int, hadm_id: int, codes: Iterable[str | None]) -> None:
        """Append rows of DIAGNOSES_ICD or PROCEDURES_ICD in order; None leaves code and sequence number empty."""
        for place, code in enumerate(codes, 1):
            ending = f'{place},"{remove_dot(code)}"' if code else ","
            self._append(name, f"{self.rows[name] + 1},{subject_id},{hadm_id},{ending}")

    def write_title(self, name: str, code: str, short_title: str, long_title: str) -> None:
        self._append(name, f'{self.rows[name] + 1},"{remove_dot(code)}",{quote(short_title)},{quote(long_title)}')


@contextmanager
def mimic_writer(folder: Path, level: int = 6) -> Iterator[MimicWriter]:
    """Open MIMIC's files for writing in an existing folder, gzipped at `level` without time or name."""
    with ExitStack() as stack:
        files: dict[str, IO[bytes]] = {}
        for name in COLUMNS:
            raw = stack.enter_context((folder / f"{name}.csv.gz").open("wb"))
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=level, mtime=0)
            files[name] = stack.enter_context(BufferedWriter(packed, 1 << 18))
        yield MimicWriter(files)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def remove_dot(code: str) -> str:
    return code.replace(".", "")


def write_corpus(folder: Path, count: int, seed: int, phrases: dict[str, dict]) -> dict[str, int]:
    """Write a corpus of `count` admissions atomically; returns the number of rows of each file."""
    lexicon = Lexicon(phrases)
    with io.whole_directory(folder) as partial, mimic_writer(partial) as writer:
        (partial / EVIDENCE).mkdir()
        write_titles(writer, phrases)
        block: list[tuple[float, Note]] = []
        shuffle = random.Random(f"{seed}:order")
        for number, (stays, rng) in enumerate(admissions(count, seed), 1):
            for stay in stays:
                write_code_rows(writer, rng, stay)
                block += place_notes(shuffle, admission_notes(rng, stay, lexicon))
            if number % PATIENTS_A_BLOCK == 0:
                write_evidence(partial / EVIDENCE, flush(writer, block))
        write_evidence(partial / EVIDENCE, flush(writer, block))
    return writer.rows


def write_titles(writer: MimicWriter, phrases: dict[str, dict]) -> None:
    titles = [(code, entry["short_title"], entry["long_title"]) for code, entry in phrases.items()]
    titles += [(code, short, long) for code, short, long, _ in OUTSIDE]
    for code, short, long in sorted(titles):
        writer.write_title("D_ICD_PROCEDURES" if is_procedure(code) else "D_ICD_DIAGNOSES", code, short, long)


def write_code_rows(writer: MimicWriter, rng: random.Random, stay: Admission) -> None:
    """Write the codes of an admission; occasionally a repeated code, a row without a code, or no rows."""
    codes = [*stay.codes, *stay.outside]
    if rng.random() < 0.007:
        codes = []
    for name, procedure in (("DIAGNOSES_ICD", False), ("PROCEDURES_ICD", True)):
        rows: list[str | None] = [code for code in codes if is_procedure(code) == procedure]
        if rows and rng.random() < 0.03:
            rows.append(rng.choice(rows))
        if rng.random() < 0.005:
            rows.append(None)
        writer.write_codes(name, stay.patient.subject_id, stay.hadm_id, rows)


def admission_notes(rng: random.Random, stay: Admission, lexicon: Lexicon) -> list[Note]:
    """All notes of an admission: the discharge summary (if any) and its addenda, then other categories."""
    subject_id, hadm_id = stay.patient.subject_id, stay.hadm_id
    notes = []
    if rng.random() < 0.97:
        text, marks = discharge_summary(rng, stay, lexicon)
        notes.append(Note(subject_id, hadm_id, stay.discharged, SUMMARY, "Report", text, marks=marks))
        for _ in range(rng.choices((0, 1, 2), (0.86, 0.12, 0.02))[0]):
            day = stay.discharged + dt.timedelta(days=rng.randint(0, 9))
            notes.append(Note(subject_id, hadm_id, day, SUMMARY, "Addendum", addendum(rng, stay)))
    length = (stay.discharged - stay.admitted).days
    for category, description, mean, section in OTHER_CATEGORIES:
        for _ in range(int(rng.expovariate(1 / (mean + 0.5)))):
            admission = None if category in ("Radiology", "ECG", "Echo") and rng.random() < 0.15 else hadm_id
            day = stay.admitted + dt.timedelta(days=rng.randint(0, length))
            text = other_note(rng, stay, section)
            chart_hour = None if category in ("ECG", "Echo") else rng.randrange(24)
            by_staff = category in ("Nursing/other", "Nursing", "Physician ")
            cgid = rng.randint(14_010, 21_570) if by_staff else None
            is_error = category == "Nursing" and rng.random() < 0.02
            notes.append(Note(subject_id, admission, day, category, description, text, chart_hour, cgid, is_error))
    return notes


def place_notes(rng: random.Random, notes: list[Note]) -> list[tuple[float, Note]]:
    """Give each note a position in the block; a report usually comes before its addenda."""
    places = [rng.random() for _ in notes]
    summaries = sum(note.category == SUMMARY for note in notes)
    if rng.random() < 0.9:
        places[:summaries] = sorted(places[:summaries])
    return list(zip(places, notes, strict=True))


def flush(writer: MimicWriter, block: list[tuple[float, Note]]) -> list[tuple[int, Note]]:
    """Write a block's notes by position and empty it; returns the notes with their ROW_IDs."""
    written = [(writer.write_note(note), note) for _, note in sorted(block, key=lambda item: item[0])]
    block.clear()
    return written


def write_evidence(folder: Path, notes: Iterable[tuple[int, Note]]) -> None:
    """Write a file of gold spans per admission in MDACE's format.

    Spans of codes that the admission does not have (traps) are listed separately under their own key.
    """
    of_admission: dict[int, list[dict[str, object]]] = {}
    for row_id, note in notes:
        if note.marks and note.hadm_id is not None:
            spans: dict[bool, list[dict[str, object]]] = {True: [], False: []}
            for begin, end, phrase in sorted(note.marks, key=lambda mark: mark.begin):
                system = "ICD-9-PCS" if is_procedure(phrase.code) else "ICD-9-CM"
                span = {"begin": begin, "end": end, "code": phrase.code, "code_system": system, "type": "Human"}
                spans[phrase.asserted].append(span)
            entry = {"note_id": row_id, "category": note.category, "annotations": spans[True], "traps": spans[False]}
            of_admission.setdefault(note.hadm_id, []).append(entry)
    for hadm_id, entries in of_admission.items():
        io.write_json(folder / f"{hadm_id}-ICD-9.json", {"hadm_id": hadm_id, "notes": entries})
