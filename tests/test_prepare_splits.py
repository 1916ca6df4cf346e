"""prepare_splits on the reference corpus, with a marker word planted in every note."""

import errno
import gzip
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stages import prepare_splits
from stages.common import io, paths
from stages.common.io import InputError
from stages.common.parts import PARTS, UNCODED
from stages.corpus import split_files
from stages.corpus.corpora import CORPORA
from stages.corpus.document import Document
from tests.project import ROOT, set_params

SUBSETS = CORPORA["mimic3"].subsets

MARKER = "zyxmarker"
NOTES = "NOTEEVENTS.csv.gz"


@pytest.fixture(scope="session")
def planted(reference: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planted") / "mimic"
    shutil.copytree(reference / "preprocess" / "mimic_synthetic", folder)
    notes = pd.read_csv(folder / NOTES, dtype=str, keep_default_na=False)
    notes["TEXT"] = [f"{text} {MARKER}{row} end" for row, text in enumerate(notes["TEXT"])]
    notes.to_csv(folder / NOTES, index=False)
    clean = pd.read_parquet(reference / "preprocess" / "edin_clean.parquet")[["_id", "split"]]
    clean.to_feather(folder / SUBSETS["clean"].split_files[0])
    return folder


@pytest.fixture
def raw(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The corpus in a working folder of its own."""
    shutil.copytree(planted, tmp_path / "raw")
    monkeypatch.chdir(tmp_path)
    paths.SPLIT_FILES.parent.mkdir()
    paths.SPLIT_FILES.symlink_to(tmp_path / "raw")
    return tmp_path / "raw"


def configure(**data: Any) -> None:
    """Settings of the corpus in ./raw, split by subjects unless `data` says otherwise."""
    data = {"raw_dir": "raw", "published_dir": "raw", "split": "stratified"} | data
    set_params(**{f"data__{key}": value for key, value in data.items()})


def outputs() -> dict[str, str]:
    """Output -> hash of its content."""
    result = [*paths.SPLITS.rglob("*"), *paths.SPLIT_STATISTICS.parent.rglob("*")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in result if path.is_file()}


@pytest.mark.parametrize("subset", ["top50", "full", "clean"])
@pytest.mark.parametrize("split", ["stratified", "published"])
def test_parts(raw: Path, subset: str, split: str):
    configure(subset=subset, split=split)
    prepare_splits.main()
    tables = {part: pd.read_parquet(paths.split(part)) for part in PARTS}
    metrics = io.read_json(paths.SPLIT_STATISTICS)
    codes = io.read_json(paths.CODES)
    carried = set()
    for part, table in tables.items():
        assert list(table) == ["document_id", "subject_id", "text", "codes"]
        assert metrics[part]["documents"] == len(table) > 0
        assert all(list(row) == sorted(set(row)) for row in table["codes"])
        carried |= {code for row in table["codes"] for code in row}
        assert table["text"].str.contains(MARKER).all()
    assert set(codes) == carried
    assert metrics["codes"] == len(codes)
    assert codes["401.9"] == {"kind": "diagnosis", "titles": ["Long title 4019", "Short 4019"]}
    documents = pd.concat(tables.values())
    assert documents["document_id"].is_unique
    if split == "stratified":
        assert metrics["counts"]["documents_in_no_part"] == 0
        assert documents["subject_id"].nunique() == sum(table["subject_id"].nunique() for table in tables.values())


def test_a_published_split_of_other_admissions_is_reported(raw: Path):
    path = raw / SUBSETS["clean"].split_files[0]
    split = pd.read_feather(path)
    split["_id"] += 10**6
    split.to_feather(path)
    configure(subset="clean", split="published")
    with pytest.raises(InputError, match=r"none of the \d+ admissions of the corpus is among the \d+ of the published"):
        prepare_splits.main()


def test_published_sizes_stand_beside_the_measured(raw: Path, caplog: pytest.LogCaptureFixture):
    configure(subset="clean", split="published")
    prepare_splits.main()
    metrics = io.read_json(paths.SPLIT_STATISTICS)
    assert (metrics["codes_published"], metrics["test"]["documents_published"]) == (3681, 8734)
    warned = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any(f"test documents: {metrics['test']['documents']}, but 8734 were published" in line for line in warned)


def test_what_no_part_lists_is_dropped_and_counted(raw: Path):
    for name in SUBSETS["full"].split_files:
        lines = (raw / name).read_text().split()
        (raw / name).write_text("\n".join([*lines[2:], f"99{len(lines)}"]))
    configure(subset="full", split="published")
    prepare_splits.main()
    metrics = io.read_json(paths.SPLIT_STATISTICS)
    listed = split_files.load(raw, SUBSETS["full"].split_files)
    documents = [document_id for part in PARTS for document_id in pd.read_parquet(paths.split(part))["document_id"]]
    assert set(documents) <= set(listed)
    assert metrics["counts"]["split_ids_not_in_data"] == len(listed) - len(documents) >= 3
    assert metrics["counts"]["documents_in_no_part"] > 0


@pytest.mark.slow
def test_same_bytes_for_any_hash_seed_and_plain_or_gzipped_tables(raw: Path):
    configure(subset="clean")
    seen = []
    for seed in ("0", "1", "2"):
        if seed == "2":
            for path in raw.glob("*.csv.gz"):
                path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
                path.unlink()
        environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "stages.prepare_splits"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert MARKER not in done.stdout + done.stderr
        seen.append(outputs())
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 10


def cut(raw: Path) -> None:
    content = (raw / NOTES).read_bytes()
    (raw / NOTES).write_bytes(content[: len(content) // 2])


def rewrite(change: Callable[[str], str]) -> Callable[[Path], None]:
    def damage(raw: Path) -> None:
        (raw / NOTES).write_bytes(gzip.compress(change(gzip.decompress((raw / NOTES).read_bytes()).decode()).encode()))

    return damage


BAD = {
    "cut": (cut, "damaged or cut short"),
    "column": (rewrite(lambda text: text.replace("CATEGORY", "KIND", 1)), "no column CATEGORY"),
    "open quote": (rewrite(lambda text: f'{text}1,2,"{MARKER}\n'), "NOTEEVENTS"),
    "table": (lambda raw: (raw / "PROCEDURES_ICD.csv.gz").unlink(), "neither PROCEDURES_ICD.csv.gz nor"),
    "folder": (lambda raw: shutil.rmtree(raw), "data.raw_dir: raw is not a folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_leaves_the_outputs_and_tells_no_text(raw: Path, caplog: pytest.LogCaptureFixture, case: str):
    caplog.set_level(logging.DEBUG)
    configure(subset="clean")
    prepare_splits.main()
    before = outputs()
    damage, message = BAD[case]
    damage(raw)
    with pytest.raises(InputError) as raised:
        prepare_splits.main()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert MARKER not in str(raised.value) + caplog.text + paths.SPLIT_STATISTICS.read_text()
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert outputs() == before


def test_an_empty_part(raw: Path):
    configure(subset="top50", split="published")
    (raw / SUBSETS["top50"].split_files[1]).write_text("")
    with pytest.raises(InputError, match="no document is left for the val part"):
        prepare_splits.main()
    configure(subset="clean", min_documents=10_000)
    with pytest.raises(InputError, match=r"no document is left for the train part.*data\.min_documents"):
        prepare_splits.main()
    assert outputs() == {}


def test_a_full_disk_leaves_the_outputs(raw: Path, monkeypatch: pytest.MonkeyPatch):
    configure(subset="top50")
    prepare_splits.main()
    before = outputs()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    configure(subset="full")
    with pytest.raises(OSError, match="No space"):
        prepare_splits.main()
    assert outputs() == before


def test_codiesp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for part, name in (("train", "a"), ("train", "b"), ("dev", "c"), ("test", "d"), ("test", "e")):
        (Path("raw") / part / "text_files_en").mkdir(parents=True, exist_ok=True)
        (Path("raw") / part / "text_files_en" / f"{name}.txt").write_text(f"case {name}")
        with (Path("raw") / part / f"{part}D.tsv").open("a") as file:
            file.write(f"{name}\t{'r69' if name == 'e' else 'n44.8'}\n")
    configure(format="codiesp", subset="diagnoses", split="official", min_documents=2)
    prepare_splits.main()
    rows = {part: pd.read_parquet(paths.split(part)).to_dict("list") for part in PARTS}
    assert {part: row["document_id"] for part, row in rows.items()} == {
        "train": ["a", "b"],
        "val": ["c"],
        "test": ["d"],
    }
    uncoded = pd.read_parquet(paths.split(UNCODED)).to_dict("list")
    assert (uncoded["document_id"], uncoded["text"], list(uncoded["codes"][0])) == (["e"], ["case e"], [])
    assert io.read_json(paths.CODES) == {"N44.8": {"kind": "diagnosis", "titles": []}}
    metrics = io.read_json(paths.SPLIT_STATISTICS)
    assert metrics["counts"]["documents_without_kept_code"] == 1
    assert "documents_published" not in metrics["test"]


def test_subjects_in_two_parts_are_counted():
    parts = {
        part: [Document(part, subject, "", []) for subject in subjects]
        for part, subjects in {"train": "aab", "val": "bc", "test": "ad"}.items()
    }
    assert prepare_splits.n_subjects_in_two_parts(parts) == 2


def test_texts_of_hardly_any_words_are_reported_or_refused(caplog: pytest.LogCaptureFixture):
    long, short = (
        Document("1", "1", text, []) for text in ("one two three four five six seven eight nine ten", "4019")
    )
    prepare_splits.check_words([long] * 27 + [short] * 3, "mimic3")
    assert "3 of 30 documents have fewer than 10 words" in caplog.text
    with pytest.raises(InputError, match="4 of 30 documents have fewer than 10 words"):
        prepare_splits.check_words([long] * 26 + [short] * 4, "mimic3")
