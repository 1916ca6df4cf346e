"""A generated MRCONSO.RRF with every trap, and the pools that come of it."""

import json
import logging
import sys
from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.synonyms.pools import gather
from tools import umls

ROWS = [  # concept, language, source, code, string, suppressed
    ("C1", "ENG", "ICD9CM", "401.9", "Unspecified essential hypertension", "N"),
    ("C1", "ENG", "MSH", "D006973", 'Hypertension "essential"', "N"),
    ("C1", "ENG", "SNOMEDCT_US", "59621000", "unspecified essential hypertension", "N"),  # the same but for case
    ("C1", "ENG", "OLD", "1", "a name that is suppressed", "O"),
    ("C1", "SPA", "SCTSPA", "2", "hipertensi\u00f3n", "N"),
    ("C1", "ENG", "ICD10CM", "I10", "Essential (primary) hypertension", "N"),
    ("C2", "ENG", "ICD9CM", "38.93", "Venous catheterization", "N"),
    ("C3", "ENG", "ICD10PCS", "02HV33Z", "Insertion of device", "N"),
    ("C4", "ENG", "ICD9CM", "390-459.99", "A chapter", "N"),
    ("C5", "ENG", "ICD9CM", "999", "A code that is suppressed", "E"),
    ("C6", "ENG", "MSH", "D1", "no code has this concept", "N"),
]


def write(path: Path, rows) -> Path:
    lines = []
    for concept, language, source, code, string, suppressed in rows:
        fields = [concept, language, *["x"] * 9, source, "PT", code, string, "0", suppressed, ""]
        lines.append("|".join(fields) + "|\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def run(*arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["umls", *map(str, arguments)])
    umls.main()


def test_the_pools_of_both_revisions(tmp_path, monkeypatch, caplog):
    """And collect_synonyms takes them where the published file is not there; where it is, both are compared."""
    caplog.set_level(logging.INFO)
    write(tmp_path / "MRCONSO.RRF", ROWS)
    run(tmp_path / "MRCONSO.RRF", "--folder", tmp_path, monkeypatch=monkeypatch)
    hypertension = [
        "unspecified essential hypertension",
        'hypertension "essential"',
        "essential (primary) hypertension",
    ]
    icd9, icd10 = (json.loads((tmp_path / f"umls_icd{revision}.json").read_text()) for revision in (9, 10))
    assert icd9 == {"38.93": ["venous catheterization"], "401.9": hypertension}
    assert icd10 == {"02HV33Z": ["insertion of device"], "I10": hypertension}
    codes = {"401.9": {"kind": "diagnosis", "titles": []}}
    assert gather(["umls"], codes, tmp_path, 9) == {"umls": {"401.9": hypertension}}
    published = {"4019": ["hypertension essential", "another"], "I10": []}
    (tmp_path / "icd_mimic3_random_sort.json").write_text(json.dumps(published))
    caplog.clear()
    run(tmp_path / "MRCONSO.RRF", "--folder", tmp_path, monkeypatch=monkeypatch)
    assert "1 codes in both, of whose 2 phrases 1 are here" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"C1|ENG|P\n", "is not MRCONSO.RRF of the UMLS"),
        (b"\xff" + b"|" * 18 + b"\n", "is not MRCONSO.RRF of the UMLS"),
        (b"C1|ENG" + b"|x" * 9 + b"|MSH|PT|1|name|0|N||\n", "has no code of ICD9CM, ICD10CM, ICD10PCS"),
        (None, "does not exist"),
    ],
)
def test_other_files_are_refused(tmp_path, monkeypatch, content, message):
    if content is not None:
        (tmp_path / "MRCONSO.RRF").write_bytes(content)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "MRCONSO.RRF", "--folder", tmp_path, monkeypatch=monkeypatch)
    assert not list(tmp_path.glob("*.json"))
