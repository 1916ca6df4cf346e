import gzip
from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.corpus import delimited

HEADER = "ROW_ID,SUBJECT_ID,TEXT\n"
ROWS = "".join(f'{row},{row % 7},"SECRET {row}, ""said""\nover two lines"\n' for row in range(3000))


def content(path: Path, columns: tuple[str, ...]) -> list[tuple]:
    return [
        row
        for batch in delimited.read(path, columns)
        for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
    ]


def write(path: Path, text: str) -> Path:
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
@pytest.mark.parametrize(
    "header",
    [HEADER, HEADER.lower(), "\ufeff" + HEADER, '"ROW_ID","SUBJECT_ID","TEXT"\n', HEADER.replace("\n", "\r\n")],
)
def test_quoted_text_over_lines_and_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, header: str):
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 1 << 14)
    rows = content(write(tmp_path / name, header + ROWS), ("TEXT", "ROW_ID"))
    assert rows == [(f'SECRET {row}, "said"\nover two lines', str(row)) for row in range(3000)]


def test_a_missing_value_is_an_empty_string(tmp_path: Path):
    assert content(write(tmp_path / "a.csv", HEADER + '1,,NA\n2,"",nan\n'), ("SUBJECT_ID", "TEXT")) == [
        ("", "NA"),
        ("", "nan"),
    ]


def test_find_takes_either_form_and_names_what_it_looked_for(tmp_path: Path, caplog):
    with pytest.raises(InputError, match=r"neither NOTES\.csv\.gz nor NOTES\.csv"):
        delimited.find(tmp_path, "NOTES")
    plain = write(tmp_path / "NOTES.csv", HEADER)
    assert delimited.find(tmp_path, "NOTES") == plain
    zipped = write(tmp_path / "NOTES.csv.gz", HEADER)
    assert delimited.find(tmp_path, "NOTES") == zipped
    assert "reading NOTES.csv.gz, ignoring NOTES.csv" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER.replace("TEXT", "BODY") + ROWS, "has no column TEXT in its first line"),
        ("", "has no column SUBJECT_ID, TEXT"),
        (HEADER + ROWS + "5,SECRET\n" + ROWS, "too few or too many fields"),
        (HEADER + ROWS + "5,6,SECRET,8\n", "too few or too many fields"),
        (HEADER + '5,6,"SECRET never closed\n' + ROWS, "too few or too many fields"),
    ],
)
def test_broken_tables_are_reported_without_their_text(tmp_path: Path, text: str, message: str):
    with pytest.raises(InputError, match=message) as raised:
        content(write(tmp_path / "notes.csv.gz", text), ("SUBJECT_ID", "TEXT"))
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("kept", [1, 12, 0.5, 0.99, -4])
def test_a_cut_file(tmp_path: Path, kept: float):
    path = write(tmp_path / "notes.csv.gz", HEADER + ROWS)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(InputError, match="damaged or cut short") as raised:
        content(path, ("SUBJECT_ID", "TEXT"))
    assert "SECRET" not in str(raised.value)


def test_a_file_that_is_no_gzip_and_one_that_is_no_text(tmp_path: Path):
    (tmp_path / "notes.csv.gz").write_text(HEADER + ROWS)
    with pytest.raises(InputError, match="damaged"):
        content(tmp_path / "notes.csv.gz", ("TEXT",))
    (tmp_path / "notes.csv").write_bytes(HEADER.encode() + b"1,2,SECRET \xff\n")
    with pytest.raises(InputError, match=r"not UTF-8 text \(Latin-1, perhaps\)") as raised:
        content(tmp_path / "notes.csv", ("TEXT",))
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "SUBJECT_ID is missing"),
        ("7.5", "not a whole number"),
        ("x", "not a whole number"),
        ("9" * 30, "not a whole number"),
    ],
)
def test_integers(tmp_path: Path, value: str, message: str):
    columns = ("ROW_ID", "SUBJECT_ID")
    (good,) = delimited.read(write(tmp_path / "good.csv", HEADER + "1,7,a\n2,8.0,b\n"), columns)
    assert delimited.integers(tmp_path, good, "SUBJECT_ID") == [7, 8]
    (bad,) = delimited.read(write(tmp_path / "bad.csv", HEADER + f"1,7,a\n2,{value},b\n"), columns)
    with pytest.raises(InputError, match=f"{message} in the row with ROW_ID 2"):
        delimited.integers(tmp_path, bad, "SUBJECT_ID")


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_header_shows_another_separator(tmp_path: Path, name: str, separator: str):
    text = HEADER.replace(",", separator) + f'1{separator}7{separator}"a, b; c"\n'
    assert content(write(tmp_path / name, text), ("TEXT", "SUBJECT_ID")) == [("a, b; c", "7")]


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
def test_quotes_that_a_backslash_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    """As Spark and MySQL write them: \\" for a quotation mark, \\\\ for a backslash."""
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64)
    rows = "".join(f'{row},7,"said \\"no\\", C:\\\\"\n' for row in range(50))
    assert content(write(tmp_path / name, HEADER + rows), ("ROW_ID", "TEXT")) == [
        (str(row), 'said "no", C:\\') for row in range(50)
    ]
    with pytest.raises(InputError, match="is cut short"):
        content(write(tmp_path / name, HEADER + rows + '50,7,"said \\"no'), ("TEXT",))


def test_a_backslash_before_the_closing_quote_is_a_backslash(tmp_path: Path):
    assert content(write(tmp_path / "a.csv", HEADER + '1,7,"C:\\"\n2,8,"x"\n'), ("TEXT",)) == [("C:\\",), ("x",)]


def test_another_dialect_that_shows_late_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delimited, "SNIFFED_BYTES", 100)
    path = write(tmp_path / "a.csv", HEADER + '1,7,"plain"\n' * 50 + '2,8,"SECRET \\"no\\" end"\n')
    with pytest.raises(InputError, match="escaped by a backslash, while the beginning") as raised:
        content(path, ("TEXT",))
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("name", ["notes.csv", "notes.csv.gz"])
@pytest.mark.parametrize("cut", [1, 2, 10, 25, 200])
def test_a_table_cut_in_its_last_record(tmp_path: Path, name: str, cut: int):
    text = (HEADER + ROWS)[:-cut]
    with pytest.raises(InputError, match=r"cut short|too few or too many fields") as raised:
        content(write(tmp_path / name, text), ("SUBJECT_ID", "TEXT"))
    assert "SECRET" not in str(raised.value)


def test_a_table_cut_in_a_field_without_quotes(tmp_path: Path):
    with pytest.raises(InputError, match="its last record has no line end"):
        content(write(tmp_path / "codes.csv", "ROW_ID,CODE\n1,4019\n2,40"), ("CODE",))
    assert content(write(tmp_path / "codes.csv", "ROW_ID,CODE\r1,4019\r"), ("CODE",)) == [("4019",)]


def test_utf16_is_reported(tmp_path: Path):
    (tmp_path / "a.csv").write_bytes((HEADER + ROWS).encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16 or no text at all"):
        content(tmp_path / "a.csv", ("TEXT",))


def test_the_columns_that_were_found_are_named_unless_they_may_be_text(tmp_path: Path):
    with pytest.raises(InputError, match="it should have TEXT, and has ROW_ID, BODY"):
        content(write(tmp_path / "a.csv", "ROW_ID,BODY\n1,x\n"), ("TEXT",))
    with pytest.raises(InputError, match="2 fields that are no columns' names") as raised:
        content(write(tmp_path / "a.csv", '"SECRET, was seen. And",more\n1,x\n'), ("TEXT",))
    assert "SECRET" not in str(raised.value)


def test_a_row_whose_id_may_be_a_text_is_named_by_its_number(tmp_path: Path):
    (batch,) = delimited.read(write(tmp_path / "a.csv", HEADER + "1,7,a\nSECRET text,x,b\n"), ("ROW_ID", "SUBJECT_ID"))
    with pytest.raises(InputError, match="not a whole number in record 2") as raised:
        delimited.integers(tmp_path, batch, "SUBJECT_ID")
    assert "SECRET" not in str(raised.value)
