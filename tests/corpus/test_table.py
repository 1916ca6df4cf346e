"""A table of one's own, in each of its forms."""

import json
from pathlib import Path

import pandas as pd
import pytest

from stages.common.io import InputError
from stages.corpus import table
from stages.corpus.document import Document

ROWS = [
    {"document_id": "d2", "subject_id": "p1", "text": "Second  one", "codes": ["i10", "J18.9"], "part": "train"},
    {"document_id": "d1", "subject_id": "p1", "text": "First,\none", "codes": ["J18.9", "J18.9"], "part": "val"},
    {"document_id": "d3", "subject_id": "p2", "text": "Third", "codes": [], "part": "test"},
    {"document_id": "d4", "subject_id": "p2", "text": "Fourth", "codes": ["R50.9", "J18.9"], "part": "test"},
]


def write(folder: Path, form: str, rows: list[dict]) -> Path:
    if form.lower() == "parquet":
        pd.DataFrame(rows).to_parquet(folder / f"own.{form}")
    elif form.lower() in ("jsonl", "ndjson"):
        (folder / f"own.{form}").write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        joined = [{**row, "codes": "; ".join(row["codes"])} for row in rows]
        separator, zipped = "\t" if "tsv" in form else ",", "gzip" if form.endswith("gz") else None
        pd.DataFrame(joined).to_csv(folder / f"own.{form}", sep=separator, index=False, compression=zipped)
    return folder


@pytest.mark.parametrize("form", ["parquet", "PARQUET", "jsonl", "NdJson", "csv", "CSV", "csv.gz", "tsv", "tsv.gz"])
def test_every_form_gives_the_same(tmp_path: Path, form: str):
    corpus, parts = table.load(write(tmp_path, form, ROWS), 2)
    assert corpus.documents == [
        Document("d1", "p1", "First, one", ["J18.9"]),
        Document("d2", "p1", "Second one", ["J18.9"]),
        Document("d4", "p2", "Fourth", ["J18.9"]),
    ]
    assert set(corpus.codes) == {"J18.9"}
    assert parts == {"d1": "val", "d2": "train", "d3": "test", "d4": "test"}
    assert corpus.counts == {"documents": 4, "documents_without_codes": 1, "documents_without_kept_code": 0}


def test_a_code_in_two_spellings_is_warned_of(tmp_path: Path, caplog):
    table.load(write(tmp_path, "jsonl", [ROWS[0] | {"codes": ["J189", "I10"]}, *ROWS[1:]]), 1)
    assert "1 codes occur with and without their dot, as two codes: J189" in caplog.text


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_without_parts(tmp_path: Path, form: str):
    rows = [{key: value for key, value in row.items() if key != "part"} for row in ROWS]
    _, parts = table.load(write(tmp_path, form, rows), 1)
    assert parts is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"document_id": "d1"}, "the document_id d1 occurs twice"),
        ({"document_id": ""}, "record 1: the document_id is missing"),
        ({"subject_id": "zyxmarker was seen"}, "record 1: the subject_id is no id"),
        ({"text": " "}, "record 1: the text is missing"),
        ({"part": "dev"}, "record 1: the part should be train, val or test"),
        ({"part": ""}, "1 of 4 documents have no part"),
        ({"codes": [4019]}, "record 1: codes should be a list of texts"),
    ],
)
def test_bad_rows(tmp_path: Path, change: dict, message: str):
    with pytest.raises(InputError, match=message) as raised:
        table.load(write(tmp_path, "jsonl", [ROWS[0] | change, *ROWS[1:]]), 1)
    assert "zyxmarker" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.jsonl", '{"document_id": "zyxmarker', "line 1: should be an object with"),
        ("own.jsonl", "[1]", "line 1: should be an object"),
        ("own.jsonl", '{"document_id": "1"}', "lacks subject_id, text, codes"),
        ("own.parquet", "no parquet", "is not a parquet file"),
        ("own.csv", "a,b\n1,2\n", "has no column document_id"),
        ("own.txt", "x", "should have one table"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, message: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        table.load(tmp_path, 1)
    assert "zyxmarker" not in str(raised.value)


@pytest.mark.parametrize(
    ("written", "codes"),
    [
        ("['I10', 'J18.9']", ["I10", "J18.9"]),
        ("['I10' 'J18.9']", ["I10", "J18.9"]),
        ('["i10", "NA"]', ["I10"]),
        ("[]", []),
        ("nan", []),
        ("I10; J18.9", ["I10", "J18.9"]),
        ("5-470.11", ["5-470.11"]),
        (["I10", " nan "], ["I10"]),
        (float("nan"), []),
    ],
)
def test_a_list_of_codes_however_it_was_written(written, codes):
    assert table.read_codes(Path("t.csv"), 1, written) == codes


@pytest.mark.parametrize(
    "written",
    ["I10|J18.9", "[I10]", "I10 hypertension", "1950-01-02", "19500102", "\u0664\u0660\u0661", "4019.0", "TREATED"],
)
def test_what_no_code_can_be_is_refused_with_its_record(written):
    with pytest.raises(InputError, match=r"t\.csv, record 7: ") as error:
        table.read_codes(Path("t.csv"), 7, written)
    assert "hypertension" not in str(error.value) and "1950" not in str(error.value)


@pytest.mark.parametrize("value", [None, float("nan"), "NA", "", " null ", True])
def test_a_missing_id_is_missing(value):
    with pytest.raises(InputError, match="record 1: the subject_id is"):
        table.read_id(Path("t.csv"), 1, {"subject_id": value}, "subject_id")
