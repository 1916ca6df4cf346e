"""The embedded corpus in the form of MIMIC-IV: two modules, lower-case columns, a revision beside each code."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

CODES = {"DIAGNOSES_ICD": "diagnoses_icd", "PROCEDURES_ICD": "procedures_icd"}
TITLES = {"D_ICD_DIAGNOSES": "d_icd_diagnoses", "D_ICD_PROCEDURES": "d_icd_procedures"}
SUMMARY = "Discharge summary"


def write_as_mimic4(source: Path, hospital: Path, notes: Path) -> dict[str, int]:
    """Rewrite MIMIC-III's files in `source` as MIMIC-IV's, in existing folders; returns the rows of each file.

    Reports and addenda of an admission become one note, as MIMIC-IV has it. All codes are ICD-9's; a row of ICD-10 that
    no admission with a note has stands among them.
    """
    n_rows = {}
    for name, target in CODES.items():
        codes = [
            (row["SUBJECT_ID"], row["HADM_ID"], row["SEQ_NUM"], row["ICD9_CODE"], "9") for row in _rows(source / name)
        ]
        codes.append(("1", "1", "1", "I10" if name == "DIAGNOSES_ICD" else "02HV33Z", "10"))
        columns = ("subject_id", "hadm_id", "seq_num", "icd_code", "icd_version")
        n_rows[target] = _write(hospital / target, columns, codes)
    for name, target in TITLES.items():
        titles = [(row["ICD9_CODE"], "9", row["LONG_TITLE"]) for row in _rows(source / name)]
        n_rows[target] = _write(hospital / target, ("icd_code", "icd_version", "long_title"), titles)
    texts: dict[tuple[str, str], list[str]] = {}
    for row in _rows(source / "NOTEEVENTS"):
        if row["CATEGORY"] == SUMMARY:
            texts.setdefault((row["SUBJECT_ID"], row["HADM_ID"]), []).append(row["TEXT"])
    header = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
    discharge = [
        (f"{subject}-DS-{number}", subject, admission, "DS", str(number), "", "", " ".join(document_codes))
        for number, ((subject, admission), document_codes) in enumerate(texts.items(), start=1)
    ]
    n_rows["discharge"] = _write(notes / "discharge", header, discharge)
    return n_rows


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path.with_name(f"{path.name}.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _write(path: Path, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> int:
    with gzip.open(path.with_name(f"{path.name}.csv.gz"), "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    return len(rows)
