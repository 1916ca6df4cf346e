"""No text of a note in an error: marker words stand in every column of every table that a reader takes."""

import itertools
import logging
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.common.io import InputError
from stages.corpus import codiesp, mimic, split_files
from stages.corpus.corpora import CORPORA
from stages.synonyms import pools

SUBSETS = CORPORA["mimic3"].subsets

MARKER = "zyxmarker"
TEXTS = [MARKER, f"{MARKER} was seen, and sent home", f'a "{MARKER}"\nb', f"{MARKER} {'x' * 300}", f"{MARKER}\t1"]
TABLES = {
    "NOTEEVENTS": pd.DataFrame(
        {
            "ROW_ID": ["1", "2"],
            "SUBJECT_ID": ["8", "9"],
            "HADM_ID": ["100", "200"],
            "CATEGORY": ["Discharge summary"] * 2,
            "TEXT": [f"{MARKER} one", f"{MARKER} two"],
        }
    ),
    "DIAGNOSES_ICD": pd.DataFrame(
        {"ROW_ID": ["1", "2"], "SUBJECT_ID": ["8", "9"], "HADM_ID": ["100", "200"], "ICD9_CODE": ["4019", "0389"]}
    ),
    "PROCEDURES_ICD": pd.DataFrame({"ROW_ID": ["1"], "SUBJECT_ID": ["8"], "HADM_ID": ["100"], "ICD9_CODE": ["3893"]}),
    "D_ICD_DIAGNOSES": pd.DataFrame(
        {"ROW_ID": ["1"], "ICD9_CODE": ["4019"], "SHORT_TITLE": ["Hypertension"], "LONG_TITLE": ["Hypertension"]}
    ),
    "D_ICD_PROCEDURES": pd.DataFrame(
        {"ROW_ID": ["1"], "ICD9_CODE": ["3893"], "SHORT_TITLE": ["Cath"], "LONG_TITLE": ["Cath"]}
    ),
}
CELLS = [(name, column) for name, table in TABLES.items() for column in table.columns]


def write(folder: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        table.to_csv(folder / f"{name}.csv", index=False)


def silent(function, *arguments, caplog: pytest.LogCaptureFixture) -> None:
    """Call a reader: whatever it says, the marker is not in it."""
    caplog.clear()
    try:
        with caplog.at_level(logging.INFO):
            function(*arguments)
    except InputError as error:
        assert MARKER not in str(error)
        assert "\n" not in str(error)
        assert error.__suppress_context__ or error.__context__ is None
    assert MARKER not in caplog.text


@pytest.mark.parametrize(("name", "column"), CELLS)
def test_a_text_in_any_column_of_mimic(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, column: str):
    for text in TEXTS:
        table = TABLES[name].copy()
        table.loc[len(table) - 1, column] = text
        write(tmp_path, TABLES | {name: table})
        silent(mimic.load, tmp_path, SUBSETS["full"], 1, caplog=caplog)


@pytest.mark.parametrize("name", TABLES)
def test_exchanged_names_in_the_header(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str):
    for first, second in itertools.combinations(TABLES[name].columns, 2):
        exchanged = TABLES[name].rename(columns={first: second, second: first})
        write(tmp_path, TABLES | {name: exchanged})
        silent(mimic.load, tmp_path, SUBSETS["full"], 1, caplog=caplog)


@pytest.mark.parametrize("name", TABLES)
def test_rows_that_are_shifted_or_a_header_that_is_a_note(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str):
    write(tmp_path, TABLES)
    header, *rows = (tmp_path / f"{name}.csv").read_text().splitlines()
    for damaged in (
        [header, f'"{MARKER} and more",{rows[0]}', *rows[1:]],
        [header, rows[0].partition(",")[2], *rows[1:]],
        [f'"{MARKER} came, was seen"', *rows],
        [header.replace(",", ";"), *rows],
    ):
        (tmp_path / f"{name}.csv").write_text("\n".join(damaged) + "\n")
        silent(mimic.load, tmp_path, SUBSETS["full"], 1, caplog=caplog)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cut=st.integers(0, 400), name=st.sampled_from(sorted(TABLES)), inserted=st.sampled_from(['"', ",", "\n", "\\", ""])
)
def test_a_table_that_is_cut_or_garbled_anywhere(tmp_path: Path, caplog, cut: int, name: str, inserted: str):
    write(tmp_path, TABLES)
    text = (tmp_path / f"{name}.csv").read_text()
    cut = min(cut, len(text))
    rest = text[cut:] if inserted else ""
    (tmp_path / f"{name}.csv").write_text(text[:cut] + inserted + rest)
    silent(mimic.load, tmp_path, SUBSETS["full"], 1, caplog=caplog)


@pytest.mark.parametrize(
    "line",
    [f"{MARKER} was seen\tn44.8", f"t1\t{MARKER} was seen", f"{MARKER}\n", f"t1\tr69\t{MARKER}"],
    ids=["text first", "text as a code", "no tab", "a third field"],
)
def test_codiesp(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str):
    for part in ("train", "dev", "test"):
        (tmp_path / part / "text_files_en").mkdir(parents=True)
        (tmp_path / part / "text_files_en" / f"{part}1.txt").write_text(f"{MARKER} a case")
        (tmp_path / part / f"{part}D.tsv").write_text(f"{part}1\tn44.8\n{line}\n")
    silent(codiesp.load, tmp_path, CORPORA["codiesp"].subsets["diagnoses"], 1, caplog=caplog)
    (tmp_path / "train" / "text_files_en" / "train1.txt").write_bytes(f"{MARKER} caf\xe9".encode("latin-1"))
    silent(codiesp.load, tmp_path, CORPORA["codiesp"].subsets["diagnoses"], 1, caplog=caplog)


def test_splits_and_pools(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for name in SUBSETS["top50"].split_files:
        (tmp_path / name).write_text(f"1\n{MARKER} was seen\n")
    silent(split_files.load, tmp_path, SUBSETS["top50"].split_files, caplog=caplog)
    pd.DataFrame({"_id": [1], "split": [f"{MARKER} was seen"]}).to_feather(tmp_path / SUBSETS["clean"].split_files[0])
    silent(split_files.load, tmp_path, SUBSETS["clean"].split_files, caplog=caplog)
    for content in (f'["{MARKER}"]', f'{{"{MARKER} was seen": "x"}}', f'{{"486": "{MARKER}"}}', f'{{"486": ["{MARKER}'):
        (tmp_path / pools.MSMN).write_text(content)
        silent(pools.read_pool, "umls", tmp_path, caplog=caplog)
