"""Load data: corpora of MIMIC-III's and MIMIC-IV's full size and shape, to measure the preparation of real data with.

The patients and their discharge summaries are those of the embedded corpus. Around them stands what makes the size:
thousands of further codes with a long tail, summaries filled up to about 1,500 words, and dozens of notes of other
categories per admission, cut from a stock of paragraphs that was made beforehand.
"""

import csv
import datetime as dt
import gzip
import random
from contextlib import ExitStack
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import accumulate
from pathlib import Path
from typing import Any

from stages.common import io
from stages.common.runner import progress_bar
from stages.demo.generator import (
    OTHER_CATEGORIES,
    PATIENTS_A_BLOCK,
    Note,
    flush,
    mimic_writer,
    place_notes,
    remove_dot,
    write_titles,
)
from stages.demo.notes import Lexicon, addendum, discharge_summary
from stages.demo.patients import OUTSIDE, Admission, admissions, is_procedure

FULL_SIZE = 58_976  # admissions of MIMIC-III v1.4

SUMMARY_WORDS = 1_450  # words that a report gets beyond the embedded corpus's, mean
WITHOUT_SUMMARY = 0.106  # share of admissions without a discharge summary
ADDENDA = ((0, 1, 2), (0.88, 0.11, 0.01))
PARAGRAPHS = 1_500  # in stock: about 900 kB, well beyond the 32 kB that gzip looks back
PARAGRAPH_WORDS = (20, 120)
VOCABULARY = 3_000
SYLLABLES = (
    "a", "an", "ar", "be", "car", "ce", "con", "da", "den", "di", "ec", "em", "er", "ex", "ga", "gra", "hy", "in", "la",
    "le", "lo", "lu", "me", "mi", "mo", "na", "ne", "no", "o", "per", "phy", "pla", "pre", "ra", "ri", "ro", "scle",
    "si", "ste", "ta", "ti", "tra", "ul", "va", "ve",
)  # fmt: skip

# Codes that only load data has: how many there are, and how many rows an admission has of them, mean.
TAIL = {"diagnoses": (6_900, 5.7), "procedures": (1_950, 2.1)}
# The k-th code (from 0 on) is drawn in proportion to (k + 20) ** -1.38. At full size some 3,700 codes then have ten
# admissions or more, as in MIMIC.
TAIL_OFFSET, TAIL_EXPONENT = 20, 1.38

# MIMIC-IV: about 331,000 notes, 63 % of them of admissions that were coded by ICD-9.
FULL_SIZE_OF_MIMIC4 = 546_000  # admissions of the hospital module
WITH_NOTE = 0.605  # share of admissions
OF_ICD9 = 0.63  # share of admissions, the others are of ICD-10
ADDED, REPEATED, EMPTY = 0.004, 0.002, 0.0005  # shares of notes: of type AD, there twice, without text
UNCODED_ROW = 0.001  # share of rows of the code tables without a code
TAIL_OF_ICD10 = {"diagnoses": (18_000, 12.0), "procedures": (11_000, 1.2)}
PLACEHOLDER = "___"
MIMIC4_COLUMNS = {
    "hosp/diagnoses_icd": "subject_id hadm_id seq_num icd_code icd_version",
    "hosp/procedures_icd": "subject_id hadm_id seq_num chartdate icd_code icd_version",
    "hosp/d_icd_diagnoses": "icd_code icd_version long_title",
    "hosp/d_icd_procedures": "icd_code icd_version long_title",
    "note/discharge": "note_id subject_id hadm_id note_type note_seq charttime storetime text",
}


@dataclass(frozen=True)
class Load:
    """The size of load data: admissions, mean notes of other categories per admission, mean words of those notes."""

    admissions: int = FULL_SIZE
    other_notes: float = 34.3
    other_words: int = 245


class Stock:
    """Paragraphs made beforehand of an invented, Zipf-distributed vocabulary, to be cut into notes of any length."""

    def __init__(self, rng: random.Random):
        words = sorted({"".join(rng.choices(SYLLABLES, k=rng.choice((1, 2, 2, 3, 3)))) for _ in range(VOCABULARY)})
        rng.shuffle(words)
        self.words = words
        weights = list(accumulate((rank + 2) ** -1.35 for rank in range(len(words))))
        self.paragraphs: list[tuple[int, str]] = []
        for _ in range(PARAGRAPHS):
            size = rng.randint(*PARAGRAPH_WORDS)
            drawn = rng.choices(words, cum_weights=weights, k=size)
            for place in range(rng.randrange(6), size, 9):
                drawn[place] = str(rng.randrange(1, 400))
            for place in range(rng.randrange(8), size, 12):
                drawn[place] = f"{drawn[place].capitalize()}:" if place % 2 else f"{drawn[place]},\n"
            self.paragraphs.append((size, " ".join(drawn) + ".\n"))

    def text(self, rng: random.Random, words: int) -> str:
        """A text of about `words` words (at least one paragraph)."""
        parts = []
        words -= sum(PARAGRAPH_WORDS) // 4  # what the last paragraph adds on average
        while True:
            size, paragraph = self.paragraphs[int(rng.random() * PARAGRAPHS)]
            parts.append(paragraph)
            words -= size
            if words <= 0:
                return "\n".join(parts)


class Tail:
    """Codes with a long tail, none of which the embedded corpus has."""

    def __init__(self, codes: list[str], mean: float):
        self.codes = codes
        self.mean = mean
        self.weights = list(accumulate((rank + TAIL_OFFSET) ** -TAIL_EXPONENT for rank in range(len(codes))))

    def draw(self, rng: random.Random) -> list[str]:
        """Draw the codes of one admission, possibly one of them twice."""
        return rng.choices(self.codes, cum_weights=self.weights, k=min(int(rng.expovariate(1 / (self.mean + 0.5))), 25))


def tail_codes(known: set[str]) -> tuple[list[str], list[str]]:
    """The further diagnosis and procedure codes, the most frequent first, without those `known` already."""
    count, _ = TAIL["diagnoses"]
    diagnoses = [f"{place // 100:03d}.{place % 100:02d}" for place in (rank * 7_919 % 99_991 for rank in range(count))]
    external = range(50, count, 40)
    diagnoses[50::40] = [f"E{800 + number}.{number % 10}" for number in range(len(external))]
    diagnoses[51::40] = [f"V{20 + number // 10}.{number % 10}9" for number in range(len(external))]
    count, _ = TAIL["procedures"]
    procedures = [f"{place // 100:02d}.{place % 100:02d}" for place in (rank * 4_001 % 9_973 for rank in range(count))]
    diagnoses, procedures = (
        [code for code in (code.removesuffix(".00") for code in codes) if code not in known]
        for codes in (diagnoses, procedures)
    )
    return diagnoses, procedures


def write_load(folder: Path, load: Load, seed: int, phrases: dict[str, dict]) -> dict[str, int]:
    """Write load data, whole or not at all, streaming; return the number of rows of each file."""
    lexicon = Lexicon(phrases)
    rng = random.Random(f"{seed}:load")
    stock = Stock(rng)
    diagnoses, procedures = tail_codes(set(phrases) | {code for code, *_ in OUTSIDE})
    tails = {
        "DIAGNOSES_ICD": Tail(diagnoses, TAIL["diagnoses"][1]),
        "PROCEDURES_ICD": Tail(procedures, TAIL["procedures"][1]),
    }
    with io.whole_directory(folder) as partial, mimic_writer(partial, level=1) as writer:
        write_titles(writer, phrases)
        for name, codes in (("D_ICD_DIAGNOSES", diagnoses), ("D_ICD_PROCEDURES", procedures)):
            for rank, code in enumerate(codes):
                if rank % 50 != 49:  # MIMIC's own title files lack some codes, too
                    words = stock.words[rank % 1_000 : rank % 1_000 + 5]
                    writer.write_title(name, code, " ".join(words)[:24].strip(), " ".join(words))
        block: list[tuple[float, Note]] = []
        progress = progress_bar(total=load.admissions, desc="writing admissions", unit="admission")
        for number, (stays, chance) in enumerate(admissions(load.admissions, seed), 1):
            for stay in stays:
                for name, tail in tails.items():
                    known = [code for code in stay.codes + stay.outside if is_procedure(code) == (name[0] == "P")]
                    writer.write_codes(name, stay.patient.subject_id, stay.hadm_id, known + tail.draw(chance))
                block += place_notes(rng, load_notes(chance, stay, load, lexicon, stock))
            progress.update(len(stays))
            if number % PATIENTS_A_BLOCK == 0:
                flush(writer, block)
        flush(writer, block)
        progress.close()
    return writer.rows


def load_notes(rng: random.Random, stay: Admission, load: Load, lexicon: Lexicon, stock: Stock) -> list[Note]:
    """All notes of one admission: the discharge summary with its addenda first, then other categories."""
    subject_id, hadm_id = stay.patient.subject_id, stay.hadm_id
    notes = []
    if rng.random() >= WITHOUT_SUMMARY:
        text = discharge_summary(rng, stay, lexicon).text + stock.text(rng, int(rng.gammavariate(4, SUMMARY_WORDS / 4)))
        notes.append(Note(subject_id, hadm_id, stay.discharged, "Discharge summary", "Report", text))
        for _ in range(rng.choices(*ADDENDA)[0]):
            notes.append(
                Note(subject_id, hadm_id, stay.discharged, "Discharge summary", "Addendum", addendum(rng, stay))
            )
    whole = int(load.other_notes)
    number = int(rng.random() * (2 * whole + 1)) + (rng.random() < load.other_notes - whole)
    days = (stay.discharged - stay.admitted).days + 1
    for place in range(number):
        category, description, _, _ = OTHER_CATEGORIES[place % len(OTHER_CATEGORIES)]
        outpatient = rng.random() < 0.1
        notes.append(
            Note(
                subject_id,
                None if outpatient else hadm_id,
                stay.admitted + dt.timedelta(days=int(rng.random() * days)),
                category,
                description,
                stock.text(rng, int(rng.expovariate(1 / load.other_words))),
                chart_hour=place % 24,
                cgid=14_010 + place,
            )
        )
    return notes


def write_load_of_mimic4(folder: Path, n_admissions: int, seed: int, phrases: dict[str, dict]) -> dict[str, int]:
    """Write load data in MIMIC-IV's form, whole or not at all, streaming; return the number of rows of each file."""
    lexicon = Lexicon(phrases)
    rng = random.Random(f"{seed}:load of MIMIC-IV")
    stock = Stock(rng)
    codes = {9: tail_codes(set(phrases) | {code for code, *_ in OUTSIDE}), 10: tail_codes_of_icd10()}
    tails = {
        (revision, kind): Tail(codes[revision][place], of[kind][1])
        for revision, of in ((9, TAIL), (10, TAIL_OF_ICD10))
        for place, kind in enumerate(of)
    }
    with io.whole_directory(folder) as partial, ExitStack() as stack:
        tables = Mimic4Tables(partial, stack)
        for (revision, kind), tail in tails.items():
            for rank, code in enumerate(tail.codes):
                title = " ".join(stock.words[rank % 1_000 : rank % 1_000 + 5])
                tables.write(f"hosp/d_icd_{kind}", remove_dot(code), revision, title)
        progress = progress_bar(total=n_admissions, desc="writing admissions", unit="admission")
        for stays, chance in admissions(n_admissions, seed):
            for stay in stays:
                revision = 9 if chance.random() < OF_ICD9 else 10
                for kind in TAIL:
                    known = stay.codes + stay.outside if revision == 9 else ()
                    own = [code for code in known if is_procedure(code) == (kind == "procedures")]
                    tables.write_codes(chance, kind, stay, own + tails[revision, kind].draw(chance), revision)
                if chance.random() < WITH_NOTE:
                    report = discharge_summary(chance, stay, lexicon).text
                    report += stock.text(chance, int(chance.gammavariate(4, SUMMARY_WORDS / 4)))
                    tables.write_note(chance, stay, report.replace(".\n", f". {PLACEHOLDER}\n"))
            progress.update(len(stays))
        progress.close()
    return tables.n_rows


def tail_codes_of_icd10() -> tuple[list[str], list[str]]:
    """Diagnosis and procedure codes in the form of ICD-10-CM and ICD-10-PCS, the most frequent first."""
    diagnoses = (rank * 7_919 % 99_991 for rank in range(TAIL_OF_ICD10["diagnoses"][0]))
    procedures = (rank * 4_001 % 99_991 for rank in range(TAIL_OF_ICD10["procedures"][0]))
    return (
        [f"{'ABCDEFGHIJ'[place // 10_000]}{place // 100 % 100:02d}.{place % 100:02d}" for place in diagnoses],
        [f"0{place:05d}Z" for place in procedures],
    )


class Mimic4Tables:
    """MIMIC-IV's five tables, open for writing in the folders `hosp` and `note`."""

    def __init__(self, folder: Path, stack: ExitStack):
        self.n_rows = dict.fromkeys(MIMIC4_COLUMNS, 0)
        self.writers: dict[str, Any] = {}
        for name, columns in MIMIC4_COLUMNS.items():
            path = folder / f"{name}.csv.gz"
            path.parent.mkdir(exist_ok=True)
            raw = stack.enter_context(path.open("wb"))
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=1, mtime=0)
            text = stack.enter_context(TextIOWrapper(packed, encoding="utf-8", newline=""))
            self.writers[name] = csv.writer(text, lineterminator="\n")
            self.writers[name].writerow(columns.split())

    def write(self, name: str, *fields: object) -> None:
        """Append a row."""
        self.writers[name].writerow(fields)
        self.n_rows[name] += 1

    def write_codes(self, rng: random.Random, kind: str, stay: Admission, codes: list[str], revision: int) -> None:
        """Append an admission's rows of one code table."""
        day = (stay.discharged,) if kind == "procedures" else ()
        for place, code in enumerate(codes, 1):
            spelled = "" if rng.random() < UNCODED_ROW else remove_dot(code)
            self.write(f"hosp/{kind}_icd", stay.patient.subject_id, stay.hadm_id, place, *day, spelled, revision)

    def write_note(self, rng: random.Random, stay: Admission, text: str) -> None:
        """Append an admission's note, or what MIMIC-IV has beside it: an addendum, the note again, an empty one."""
        texts = [("DS", "" if rng.random() < EMPTY else text)]
        if rng.random() < ADDED:
            texts.append(("AD", addendum(rng, stay)))
        if rng.random() < REPEATED:
            texts.append(texts[0])
        for number, (kind, own) in enumerate(texts, self.n_rows["note/discharge"] + 1):
            subject, note_id = stay.patient.subject_id, f"{stay.patient.subject_id}-{kind}-{number}"
            day = f"{stay.discharged} 00:00:00"
            self.write("note/discharge", note_id, subject, stay.hadm_id, kind, number, day, day, own)
