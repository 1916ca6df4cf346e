"""Documents, codes and parts against the authors' program, on whatever corpus the folder holds."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.corpus import mimic, split_files, text
from stages.corpus.corpora import CORPORA
from stages.corpus.document import Corpus
from stages.corpus.icd import MIMIC_50, add_dot

SUBSETS = CORPORA["mimic3"].subsets
TABLES = {"top50": "mullenbach_50", "full": "mullenbach_full", "clean": "edin_clean"}
LEAST = 10  # documents of a code of `clean`, in the authors' program


@pytest.fixture(scope="module")
def folder(reference: Path) -> Path:
    return reference / "preprocess"


@pytest.fixture(scope="module")
def corpora(folder: Path) -> dict[str, Corpus]:
    return {subset: mimic.load(folder / "mimic_synthetic", SUBSETS[subset], LEAST) for subset in TABLES}


@pytest.fixture(scope="module")
def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {subset: pd.read_parquet(folder / f"{name}.parquet") for subset, name in TABLES.items()}


@pytest.mark.parametrize("subset", TABLES)
def test_documents_stand_in_the_same_order(corpora: dict, tables: dict, subset: str):
    ours = [(document.document_id, document.subject_id) for document in corpora[subset].documents]
    table = tables[subset]
    assert ours == list(zip(table["_id"].astype(str), table["subject_id"].astype(str), strict=True))


@pytest.mark.parametrize("subset", TABLES)
def test_codes(corpora: dict, tables: dict, subset: str):
    ours = [Counter(document.codes) for document in corpora[subset].documents]
    assert ours == [Counter(codes) for codes in tables[subset]["target"]]


@pytest.mark.parametrize("subset", ["full", "clean"])
def test_texts(corpora: dict, tables: dict, subset: str):
    assert [document.text for document in corpora[subset].documents] == tables[subset]["text"].tolist()


def test_top50_has_the_texts_of_full(corpora: dict):
    full = {document.document_id: document.text for document in corpora["full"].documents}
    assert all(document.text == full[document.document_id] for document in corpora["top50"].documents)


@pytest.mark.parametrize("subset", ["top50", "full"])
def test_published_parts(folder: Path, tables: dict, subset: str):
    part_of = split_files.load(folder / "mimic_synthetic", SUBSETS[subset].split_files)
    for admission, part in zip(tables[subset]["_id"].astype(str), tables[subset]["split"], strict=True):
        assert part_of.get(admission) == (None if pd.isna(part) else part)


@pytest.mark.parametrize(("subset", "name"), [("top50", "50"), ("clean", "clean")])
def test_targets(folder: Path, corpora: dict, subset: str, name: str):
    columns = json.loads((folder / "label_columns.json").read_text())[subset]
    codes_of = {document.document_id: set(document.codes) for document in corpora[subset].documents}
    assert set().union(*codes_of.values()) <= set(columns)
    with np.load(folder / "onehot.npz") as arrays:
        for part in ("train", "val", "test"):
            targets, admissions = arrays[f"{part}{name}_1hot"], arrays[f"{part}{name}_hadm"]
            assert len(targets) > 0
            for row, admission in zip(targets, admissions, strict=True):
                assert {columns[column] for column in np.flatnonzero(row)} == codes_of[str(admission)]


def test_the_fifty_codes(folder: Path):
    assert sorted(MIMIC_50) == sorted(json.loads((folder / "label_columns.json").read_text())["top50"])


def test_single_texts_and_codes(folder: Path):
    cases = json.loads((folder / "unit_cases.json").read_text())
    for case in cases["text"]:
        assert text.document([text.fold_white_space(case["in"])], text.fold_white_space) == case["mullenbach"]
        assert text.document([text.lower_alphanumeric(case["in"])], text.lower_alphanumeric) == case["edin"]
    for case in cases["codes"]:
        assert add_dot(case["code"], "diagnosis" if case["is_diag"] else "procedure") == case["out"]
