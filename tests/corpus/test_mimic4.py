"""A hand-made MIMIC-IV that hits every filter, and what METHOD.md, section 11, makes of it, worked out by hand."""

import json
from pathlib import Path

import pytest

from stages import prepare_splits
from stages.common import params
from stages.common.io import InputError
from stages.corpus import corpora, mimic
from stages.corpus.corpora import CORPORA
from stages.corpus.document import Code, Document

SUBSETS = CORPORA["mimic4"].subsets
TABLES = {
    "hosp/diagnoses_icd": """subject_id,hadm_id,seq_num,icd_code,icd_version
1,10,1,4019,9
1,10,2,4019,9
1,10,3,0389 ,9
2,20,1,4019,9
3,30,1,I10,10
3,30,2,S72001A,10
4,40,1,I10,10
4,40,2,,10
5,50,1,4019,9
5,50,2,I10,10
6,60,1,4019,9
7,70,1,4280,9
""",
    "hosp/procedures_icd": """subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version
1,10,1,2150-01-01,3893,9
2,20,1,2150-01-01,3893,9
3,30,1,2150-01-01,02HV33Z,10
4,40,1,2150-01-01,02hv33z,10
""",
    "hosp/d_icd_diagnoses": """icd_code,icd_version,long_title
4019,9,Unspecified essential hypertension
I10,10,Essential (primary) hypertension
I10,9,of another revision
""",
    "hosp/d_icd_procedures": """icd_code,icd_version,long_title
3893,9,Venous catheterization
02HV33Z,10,Insertion of Infusion Device into Superior Vena Cava
""",
    "note/discharge": """note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text
2-DS-1,2,20,DS,1,,,"Name: ___  Second, 12 mg"
1-DS-1,1,10,DS,1,,,First note
1-DS-2,1,10,DS,2,,,First note
1-AD-3,1,10,AD,3,,,An addendum
3-DS-1,3,30,DS,1,,,Third
4-DS-1,4,40,DS,1,,,Fourth
5-DS-1,5,50,DS,1,,,Both revisions
6-DS-1,6,60,DS,1,,,
8-DS-1,8,80,DS,1,,,never coded
7-DS-1,7,70,DS,1,,,rare
""",
}


def folder(at: Path, **changed: str) -> Path:
    for name, content in TABLES.items():
        path = at / f"{name}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(changed.get(path.stem, content))
    return at


def load(at: Path, subset: str, least: int = 2, **changed: str):
    folder(at, **changed)
    return mimic.load(at, SUBSETS[subset], least, mimic.MIMIC_IV, at)


def test_icd9(tmp_path: Path):
    """Admission 10 has two different notes, so its codes count twice; 60 has no text, 70 only a rare code."""
    corpus = load(tmp_path, "icd9")
    assert corpus.documents == [
        Document("1-DS-1", "1", "first note", ["038.9", "38.93", "401.9"]),
        Document("1-AD-3", "1", "an addendum", ["038.9", "38.93", "401.9"]),
        Document("20", "2", "name second mg", ["38.93", "401.9"]),
        Document("50", "5", "both revisions", ["401.9"]),
    ]
    assert corpus.admission_of == {"1-DS-1": "10", "1-AD-3": "10"}
    assert corpus.codes == {
        "038.9": Code("diagnosis", []),
        "38.93": Code("procedure", ["Venous catheterization"]),
        "401.9": Code("diagnosis", ["Unspecified essential hypertension"]),
    }
    assert corpus.counts == {
        "notes": 10,
        "discharge_summaries": 10,
        "notes_without_text": 1,
        "repeated_notes": 1,
        "admissions_with_notes": 7,
        "admissions_without_codes": 3,
        "documents_without_kept_code": 1,
    }


def test_icd10(tmp_path: Path):
    corpus = load(tmp_path, "icd10")
    assert [(document.document_id, document.codes) for document in corpus.documents] == [
        ("30", ["02HV33Z", "I10"]),
        ("40", ["02HV33Z", "I10"]),
        ("50", ["I10"]),
    ]
    assert corpus.codes["I10"] == Code("diagnosis", ["Essential (primary) hypertension"])
    assert corpus.codes["02HV33Z"].kind == "procedure"
    assert "S72.001A" in load(tmp_path, "icd10", 1).codes


def test_both_spellings_of_a_short_code_are_one(tmp_path: Path):
    changed = TABLES["hosp/diagnoses_icd"].replace("4,40,1,I10,10", "4,40,1,i10.,10")
    assert load(tmp_path, "icd10", diagnoses_icd=changed).documents == load(tmp_path, "icd10").documents


def test_order_of_rows_and_the_folders_form_change_nothing(tmp_path: Path):
    expected = load(tmp_path, "icd9")
    for name in ("hosp/diagnoses_icd", "hosp/procedures_icd"):
        header, *rows = TABLES[name].splitlines()
        (tmp_path / f"{name}.csv").write_text("\n".join([header.upper(), *reversed(rows)]) + "\n")
    again = mimic.load(tmp_path / "hosp", SUBSETS["icd9"], 2, mimic.MIMIC_IV, tmp_path / "note")
    assert (again.documents, again.codes) == (expected.documents, expected.codes)


def test_the_most_frequent_codes_of_the_training_part():
    def parts(*codes: list[str]) -> dict[str, list[Document]]:
        return {"train": [Document(str(i), "1", "", row) for i, row in enumerate(codes)], "val": [], "test": []}

    assert mimic.most_frequent(parts(["b", "a"], ["b", "c"], ["a"], ["c", "c"]), 2) == {"a", "b"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (("diagnoses_icd", "icd_version", "version"), "has no column icd_version in its first line"),
        (("diagnoses_icd", "1,10,1,4019,9", "1,10,1,4019,11"), r"icd_version is neither 9 nor 10 in record 1"),
        (("diagnoses_icd", "0389 ,9", "38,9"), "1 codes are shorter than any real one: 38; they were stored"),
        (("diagnoses_icd", "1,10,1,4019,9", "1,10,1,4019.0,9"), "'4019.0' is no ICD-9-CM diagnosis code"),
        (("diagnoses_icd", "3,30,1,I10,10", "3,30,1,4019,10"), None),
        (("discharge", ",DS,", ",RR,"), "10 notes, but none of the note_type 'AD' or 'DS'|none of the"),
        (("discharge", "2-DS-1,2,20", "2-DS-1,9,20"), "belongs to subject 9 in discharge, but to 2"),
    ],
)
def test_bad_input(tmp_path: Path, changed: tuple[str, str, str], message: str | None):
    name, old, new = changed
    content = next(text for table, text in TABLES.items() if table.endswith(f"/{name}")).replace(old, new)
    if name == "discharge" and new == ",RR,":
        content = content.replace(",AD,", ",RR,")
    if message is None:  # a code of the other revision among those asked for
        with pytest.raises(InputError, match="'4019' is no ICD-10-CM code"):
            load(tmp_path, "icd10", **{name: content})
        return
    with pytest.raises(InputError, match=message) as raised:
        load(tmp_path, "icd9", **{name: content})
    assert "First note" not in str(raised.value)


def test_mdaces_charts_are_texts_of_mimic3_with_codes_of_icd10(tmp_path: Path):
    """Offsets lead into MIMIC-III's raw notes; a chart without a summary is counted; the lists deal the others."""
    charts = tmp_path / "mdace"
    charts.mkdir()
    (charts / "NOTEEVENTS.csv").write_text(
        "ROW_ID,SUBJECT_ID,HADM_ID,CATEGORY,TEXT\n7,9,100,Discharge summary,Has 12 SEPSIS.\n8,9,101,Nursing,none\n"
    )
    place = {"begin": 7, "end": 14}
    annotations = [
        place | {"code": "I10", "code_system": "ICD-10-CM"},
        place | {"code": "02HV.33Z", "code_system": "CPT"},
        place | {"code": "S72.001A", "code_system": "ICD-10-CM"},
    ]
    for admission in (100, 101):
        content = {"notes": [{"note_id": 7, "annotations": annotations}]}
        (charts / f"{admission}-ICD-10.json").write_text(json.dumps(content))
    folder(tmp_path)
    data = params.load(Path(__file__).parents[2] / "params.yaml").data
    settings = {"format": "mimic4", "subset": "icd10", "split": "stratified", "min_documents": 2}
    places = {"raw_dir": str(tmp_path), "notes_dir": str(tmp_path), "evidence_dir": str(charts)}
    data = data.model_copy(update=settings | places)
    for form, subset, code in (("mimic4", "icd10", "S72.001A"), ("mimic4_icd", "icd10", "S72001A")):
        corpus, _ = corpora.CORPORA[form].load(data, corpora.CORPORA[form].subsets[subset])
        [chart] = corpus.charts
        assert chart == Document("MIMIC-III-100", "MIMIC-III-9", "has sepsis", ["I10", code])
        assert [chart.text[span.begin : span.end] for span in corpus.evidence] == ["sepsis"] * 2
        assert (corpus.counts["charts"], corpus.counts["charts_without_summary"]) == (1, 1)
        table = prepare_splits.evidence_table(corpus, {"train": corpus.documents, "val": [], "test": []})
        rows = table[["part", "document_id", "code"]].to_numpy().tolist()
        assert rows == [["test", "MIMIC-III-100", listed] for listed in ("I10", code) if listed in corpus.codes]
    for part, listed in (("train", ""), ("val", "100"), ("test", "")):
        (charts / f"MDace-ev-{part}.csv").write_text(listed)
    corpus, _ = corpora.CORPORA["mimic4"].load(data, SUBSETS["icd10"])
    assert prepare_splits.evidence_table(corpus, {})["part"].tolist() == ["val"]
    with pytest.raises(InputError, match=r"only mimic3 \(ICD-9\), mimic4 \(ICD-10\), mimic4_icd \(ICD-10\) takes"):
        corpora.describe(data.model_copy(update={"subset": "icd9"}))
    (charts / "NOTEEVENTS.csv").unlink()
    with pytest.raises(InputError, match=r"neither NOTEEVENTS\.csv\.gz nor NOTEEVENTS\.csv"):
        corpora.CORPORA["mimic4"].load(data, SUBSETS["icd10"])


def test_a_missing_module_is_named(tmp_path: Path):
    folder(tmp_path)
    (tmp_path / "note" / "discharge.csv").rename(tmp_path / "note" / "radiology.csv")
    with pytest.raises(InputError, match=r"neither discharge\.csv\.gz nor discharge\.csv; .*MIMIC-IV's notes"):
        mimic.load(tmp_path, SUBSETS["icd9"], 2, mimic.MIMIC_IV, tmp_path)
