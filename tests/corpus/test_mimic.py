from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.corpus import mimic
from stages.corpus.corpora import CORPORA
from stages.corpus.document import Code, Document

SUBSETS = CORPORA["mimic3"].subsets

NOTES = """ROW_ID,SUBJECT_ID,HADM_ID,CATEGORY,TEXT
1,9,100,Discharge summary,"Report  of
100"
2,8,200.0,Discharge summary,Only 200
3,9,100,Discharge summary,addendum 12
4,9,,Radiology,chest
5,9,100,Discharge summary ,a trailing blank is another category
6,7,300,Discharge summary,never coded
7,8,150,Discharge summary,rare
"""
DIAGNOSES = """ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
1,9,100,1,4019
2,9,100,2, 4019
3,9,100,3,
4,8,200,1,0389
5,8,150,1,E8490
6,6,999,1,4019
"""
PROCEDURES = """ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
1,9,100,1,3893
2,8,200,1,3893
"""
TABLES = {
    "NOTEEVENTS": NOTES,
    "DIAGNOSES_ICD": DIAGNOSES,
    "PROCEDURES_ICD": PROCEDURES,
    "D_ICD_DIAGNOSES": "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,4019,Hypertension NOS,Unspecified hypertension\n",
    "D_ICD_PROCEDURES": "ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,3893,Venous cath NEC,Venous cath NEC\n",
}


def folder(path: Path, **changed: str) -> Path:
    for name, content in (TABLES | changed).items():
        (path / f"{name}.csv").write_text(content)
    return path


def test_full(tmp_path: Path):
    corpus = mimic.load(folder(tmp_path), SUBSETS["full"], 10)
    assert corpus.documents == [
        Document("150", "8", "rare", ["E849.0"]),
        Document("200", "8", "Only 200", ["038.9", "38.93"]),
        Document("100", "9", "Report of 100 addendum 12", ["38.93", "401.9"]),
    ]
    assert corpus.codes == {
        "038.9": Code("diagnosis", []),
        "38.93": Code("procedure", ["Venous cath NEC"]),
        "401.9": Code("diagnosis", ["Unspecified hypertension", "Hypertension NOS"]),
        "E849.0": Code("diagnosis", []),
    }
    assert corpus.counts == {
        "notes": 7,
        "discharge_summaries": 5,
        "admissions_with_notes": 4,
        "admissions_without_codes": 1,
        "documents_without_kept_code": 0,
    }


def test_top50(tmp_path: Path):
    corpus = mimic.load(folder(tmp_path), SUBSETS["top50"], 10)
    assert [document.codes for document in corpus.documents] == [["038.9", "38.93"], ["38.93", "401.9"]]
    assert corpus.counts["documents_without_kept_code"] == 1


def test_clean_counts_documents_with_a_note(tmp_path: Path):
    corpus = mimic.load(folder(tmp_path), SUBSETS["clean"], 2)
    assert [(document.text, document.codes) for document in corpus.documents] == [
        ("only 200", ["38.93"]),
        ("report of addendum 12", ["38.93"]),
    ]
    assert set(corpus.codes) == {"38.93"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"NOTEEVENTS": NOTES.replace("7,8,150,", "7,8,,")},
            "NOTEEVENTS.csv: the HADM_ID is missing in the row with ROW_ID 7",
        ),
        (
            {"NOTEEVENTS": NOTES.replace("7,8,150,", "7,8,200,").replace("2,8,", "2,3,")},
            "admission 200 belongs to two subjects, 3 and 8",
        ),
        ({"NOTEEVENTS": NOTES + "7,8,150,Discharge summary,again\n"}, "the row with ROW_ID 7 twice"),
        (
            {"NOTEEVENTS": NOTES.replace("Discharge summary", "Nursing")},
            "7 notes, but none of the category 'Discharge summary'",
        ),
        (
            {"DIAGNOSES_ICD": DIAGNOSES.replace("4,8,200", "4,4,200")},
            "admission 200 belongs to subject 8 in NOTEEVENTS, but to 4",
        ),
        (
            {"DIAGNOSES_ICD": DIAGNOSES.replace("4,8,200", "4,8,")},
            "DIAGNOSES_ICD.csv: the HADM_ID is missing in the row with ROW_ID 4",
        ),
        ({"DIAGNOSES_ICD": DIAGNOSES.split("1,9")[0]}, "DIAGNOSES_ICD.csv has no code at all"),
        ({"DIAGNOSES_ICD": DIAGNOSES.replace("ICD9", "ICD10")}, "no column ICD9_CODE"),
        (
            {
                name: TABLES[name].replace("100,", "901,").replace("200,", "902,").replace("150,", "903,")
                for name in ("DIAGNOSES_ICD", "PROCEDURES_ICD")
            },
            "none of the 4 admissions with a discharge summary",
        ),
    ],
)
def test_bad_input(tmp_path: Path, changed: dict[str, str], message: str):
    with pytest.raises(InputError, match=message) as raised:
        mimic.load(folder(tmp_path, **changed), SUBSETS["full"], 10)
    assert not any(word in str(raised.value) for word in ("Report", "addendum", "Only", "rare", "again"))


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_is_named(tmp_path: Path, name: str):
    (folder(tmp_path) / f"{name}.csv").unlink()
    with pytest.raises(InputError, match=f"neither {name}.csv.gz nor {name}.csv"):
        mimic.load(tmp_path, SUBSETS["full"], 10)


def test_codes_that_went_through_a_column_of_numbers(tmp_path: Path):
    with pytest.raises(InputError, match=r"DIAGNOSES_ICD\.csv: '4019\.0' is no .*in the row with ROW_ID 1"):
        mimic.load(folder(tmp_path, DIAGNOSES_ICD=DIAGNOSES.replace("4019", "4019.0")), SUBSETS["full"], 10)


def test_rows_without_a_code_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    corpus = mimic.load(folder(tmp_path, DIAGNOSES_ICD=DIAGNOSES.replace("2, 4019", "2,NaN")), SUBSETS["full"], 10)
    assert set(corpus.codes) == {"038.9", "38.93", "401.9", "E849.0"}
    assert "DIAGNOSES_ICD.csv: 2 rows without a code are left out" in caplog.text


def test_a_code_of_the_fifty_without_a_document_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    mimic.load(folder(tmp_path), SUBSETS["top50"], 10)
    assert "47 of the 50 codes have no document" in caplog.text


def test_lost_zeros_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    rows = "".join(f"{row},9,100,{row},{1000 + row}\n" for row in range(150))
    mimic.load(folder(tmp_path, DIAGNOSES_ICD=DIAGNOSES.split("\n")[0] + "\n" + rows), SUBSETS["full"], 10)
    assert "DIAGNOSES_ICD: none of its 150 different codes begins with 0" in caplog.text
