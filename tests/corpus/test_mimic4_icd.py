"""A hand-made MIMIC-IV that hits every rule of METHOD.md, section 16, and what the stages make of it, by hand."""

import json
from pathlib import Path

import pandas as pd
import pytest

from stages import collect_synonyms, fetch_splits, prepare_splits
from stages.common import paths
from stages.common.io import InputError
from stages.corpus import text
from tests.corpus.test_mimic4 import TABLES
from tools.preset import apply, settings_of

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text()
CHANGED = {
    "hosp/diagnoses_icd": """subject_id,hadm_id,seq_num,icd_code,icd_version
1,10,1, J189 ,10
1,10,2,J189,10
1,10,3,4280,9
2,20,1,I10,10
2,20,2,,10
3,30,1,J189,10
4,40,1,I10,10
5,50,1,I10,10
6,60,1,S72001A,10
7,70,1,I10,10
8,80,1,4280,9
9,90,1,401.9,9
""",
    "hosp/procedures_icd": """subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version
1,10,1,2150-01-01,02HV33Z,10
8,80,1,2150-01-01,4280,9
9,90,1,2150-01-01,37,9
""",
    "hosp/d_icd_diagnoses": """icd_code,icd_version,long_title
I10,10,Essential (primary) hypertension
N179,10,Acute kidney failure
""",
    "note/discharge": """note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text
a,1,10,DS,1,,,"Fever 250mg 12 ½ 10² 5_6 ___ Ⅳ T-max; CAFÉ"
b,1,10,DS,2,,,"Fever 250mg 12 ½ 10² 5_6 ___ Ⅳ T-max; CAFÉ"
c,1,10,AD,1,,,not this one
d,2,20,DS,1,,,"12 34 -- ."
e,3,30,DS,1,,,third
f,3,,DS,1,,,no admission
g,4,40,DS,1,,,"7"
h,4,40,DS,2,,,Fourth
i,5,50,DS,1,,,in no list
j,6,60,DS,1,,,rare
k,7,70,DS,1,,,seventh
l,8,80,DS,1,,,eighth
m,9,90,DS,1,,,ninth
""",
}
LISTS = {
    "mimic4_icd10": {"train": "10\n20\n30\n", "dev": "40\n60\n", "test": "70\n999\n"},
    "mimic4_icd9": {"train": "10\n", "dev": "80\n", "test": "90\n"},
}


@pytest.fixture
def prepare(tmp_path, monkeypatch):
    """Run the stages up to prepare_splits on the tables, with lists of one's own."""
    monkeypatch.chdir(tmp_path)
    for name, content in (TABLES | CHANGED).items():
        path = tmp_path / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def run(preset: str, subset: str, lists: dict, flat: bool = False) -> dict[str, list]:
        folder = tmp_path / "lists"
        for name, parts in lists.items():
            inner = folder if flat else folder / name
            inner.mkdir(parents=True, exist_ok=True)
            for part, content in parts.items():
                number = "50" if subset.startswith("top50") else "full"
                file = part if part.endswith(".csv") else f"{part}_{number}_hadm_ids.csv"
                (inner / file).write_bytes(content.encode())
        places = {"raw_dir": str(tmp_path), "notes_dir": str(tmp_path), "published_dir": str(folder), "subset": subset}
        with monkeypatch.context() as inside:
            inside.chdir(Path(__file__).parents[2])
            settings = settings_of(preset)
        changes = [*settings.items(), *((("data", key), value) for key, value in places.items())]
        paths.PARAMS.write_text(apply(PARAMS, changes))
        fetch_splits.main()
        prepare_splits.main()
        parts = {part: pd.read_parquet(paths.split(part)) for part in ("train", "val", "test")}
        return {part: table[["document_id", "text", "codes"]].values.tolist() for part, table in parts.items()}

    return run


@pytest.mark.parametrize("flat", [False, True])
def test_icd10(prepare, flat):
    """20 has no word, 50 is in no list, 999 is not in the data; codes keep their spelling without a dot."""
    result = prepare("mimic4_icd-icd10", "icd10", {"mimic4_icd10": LISTS["mimic4_icd10"]}, flat)
    note = "fever 250mg 5_6 ___ t max café"
    assert [[document_id, words, list(codes)] for document_id, words, codes in result["train"]] == [
        ["10", f"{note} {note}", ["02HV33Z", "J189"]],
        ["30", "third", ["J189"]],
    ]
    assert [(document_id, words, list(codes)) for document_id, words, codes in result["val"]] == [
        ("40", "fourth", ["I10"]),
        ("60", "rare", ["S72001A"]),
    ]
    assert [document_id for document_id, *_ in result["test"]] == ["70"]
    assert set(json.loads(paths.CODES.read_text())) == {"02HV33Z", "I10", "J189", "S72001A"}
    counts = json.loads(paths.SPLIT_STATISTICS.read_text())["counts"]
    assert counts["notes_without_text"] == 2 and counts["notes_without_admission"] == 1
    assert counts["documents_in_no_part"] == 1
    assert counts["split_ids_not_in_data"] == 2  # 20 and 999


def test_icd9(prepare):
    """The same digits are two codes; a dot that is there is set again, and `37` stays as it is."""
    result = prepare("mimic4_icd-icd9", "icd9", {"mimic4_icd9": LISTS["mimic4_icd9"]})
    assert [list(codes) for part in result.values() for *_, codes in part] == [
        ["428.0"],
        ["42.80", "428.0"],
        ["37", "401.9"],
    ]


@pytest.mark.slow
def test_the_fifty_all_count(prepare):
    """Also one without a document, whose title is known; 30 and 60 have none of them left."""
    lists = LISTS["mimic4_icd10"] | {"train": "10\n30\n", "TOP_50_CODES.csv": "I10\r\n02HV33Z\r\nN179\r\n"}
    result = prepare("mimic4_icd-icd10", "top50_icd10", {"mimic4_icd10": lists})
    assert {part: [(document_id, list(codes)) for document_id, _, codes in rows] for part, rows in result.items()} == {
        "train": [("10", ["02HV33Z"])],
        "val": [("40", ["I10"])],
        "test": [("70", ["I10"])],
    }
    codes = json.loads(paths.CODES.read_text())
    assert codes["N179"] == {"kind": "diagnosis", "titles": ["Acute kidney failure"]} and len(codes) == 3
    assert json.loads(paths.SPLIT_STATISTICS.read_text())["codes"] == 3
    settings = paths.PARAMS.read_text()
    paths.PARAMS.write_text(settings.replace("pool_dir: data/pools", "pool_dir: ."))
    collect_synonyms.main()
    candidates = json.loads(paths.CANDIDATES.read_text())
    assert "acute kidney failure" in candidates["N179"] and candidates["I10"]


def test_a_list_of_codes_with_another_line_is_named(prepare):
    lists = LISTS["mimic4_icd10"] | {"TOP_50_CODES.csv": "I10\ncode of fever\n"}
    with pytest.raises(InputError, match=r"TOP_50_CODES.csv, line 2: a text of 13 characters is no code"):
        prepare("mimic4_icd-icd10", "top50_icd10", {"mimic4_icd10": lists})


def test_words_by_hand():
    assert text.lower_words("A-1b, 12 İz ½x") == "a 1b i̇z ½x"
