"""Any text, file name and id goes through the table, the pipeline, the report and the tools."""

import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.common import paths
from stages.common.parts import PARTS
from tests.project import Project

MARKER = "geheimniskrämer"
FOLDER = "Akten – 病历 \u202e\u0301🩺 'a\"b"


def any_text(rng: np.random.Generator, length: int) -> str:
    """Characters of all kinds: other scripts, marks, controls, private and unassigned ones; those that UTF-8 has."""
    ranges = ((0x20, 0x7F), (0x80, 0x250), (0x300, 0x700), (0x2000, 0x2070), (0x4E00, 0x4E80), (0xE000, 0xE010))
    ranges += ((0x1F600, 0x1F640), (0x10FFF0, 0x110000), (0x1, 0x20))
    points = [int(rng.integers(*ranges[rng.integers(len(ranges))])) for _ in range(length)]
    return "".join(map(chr, points))


@pytest.mark.slow
def test_unicode_goes_through_everything(tmp_path: Path):
    (tmp_path / "demo").mkdir()
    demo = Project(tmp_path / "demo")
    demo.repro("prepare_splits")
    rng = np.random.default_rng(0)
    raw = tmp_path / FOLDER
    raw.mkdir()
    documents = pd.concat(pd.read_parquet(demo.root / paths.split(part)).assign(part=part) for part in PARTS)
    rows = documents.to_dict("records")
    for number, row in enumerate(rows):
        row["codes"] = list(row["codes"])
        row["text"] += f" {any_text(rng, 60)} {MARKER} {unicodedata.normalize('NFD', 'über Ärzte')}"
        row["text"] = f"\ufeff{row['text']}" if number == 0 else row["text"]
    codes = {code for row in rows for code in row["codes"]}
    (raw / f"{FOLDER}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    (tmp_path / "project").mkdir()
    other = Project(tmp_path / "project")
    other.configure(
        *("data.format=table", f"data.raw_dir={raw}", "data.min_documents=1", "data.subset=all", "data.split=given"),
        "synonyms.pools=[authored]",
    )
    ran = other.run("dvc", "repro")
    assert ran.returncode == 0, ran.stderr[-2000:]
    notes = tmp_path / "notes"
    notes.mkdir()
    for number in range(3):
        (notes / f"{FOLDER}{number}.txt").write_text(f"Atrial fibrillation. {MARKER} {any_text(rng, 200)}")
    exported, counted, coded = (tmp_path / f"{name}{FOLDER}" for name in ("out", "counted", "coded"))
    python = sys.executable
    runs = [ran]
    for command in (
        ("tools.report",),
        ("tools.export", str(exported)),
        ("tools.code_notes", str(notes), "--json", f"{coded}.json", "--html", f"{coded}.html", "--csv", f"{coded}.csv"),
        ("tools.code_notes", str(notes), "--model", str(exported), "--json", f"{coded}2.json"),
        ("tools.count_codes", str(notes), "--json", f"{counted}.json", "--html", f"{counted}.html"),
    ):
        runs.append(other.run(python, "-m", *command))
        assert runs[-1].returncode == 0, (command, runs[-1].stderr[-2000:])
    for run in runs:
        assert "Traceback" not in run.stdout + run.stderr
        assert MARKER not in run.stdout + run.stderr
    written = [*(other.root / "report").rglob("*"), *(other.root / "metrics").rglob("*"), *tmp_path.glob("counted*")]
    assert not [path for path in written if path.is_file() and MARKER.encode() in path.read_bytes()]
    one, two = (json.loads(Path(f"{coded}{again}.json").read_text()) for again in ("", "2"))
    assert one == two
    assert {row["code"] for row in one} <= codes
    assert {row["note"] for row in one} <= {path.name for path in notes.iterdir()}
