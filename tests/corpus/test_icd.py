import pytest

from stages.corpus import icd
from stages.corpus.icd import MIMIC_50, add_dot


@pytest.mark.parametrize(
    ("code", "diagnosis", "procedure"),
    [
        ("4019", "401.9", "40.19"),
        ("486", "486", "48.6"),
        ("0389", "038.9", "03.89"),
        ("V5861", "V58.61", "V5.861"),
        ("E8490", "E849.0", "E8.490"),
        ("E849", "E849", "E8.49"),
        ("45", "45", "45"),
        ("401.9", "401.9", "40.19"),
    ],
)
def test_dotted(code: str, diagnosis: str, procedure: str):
    assert add_dot(code, "diagnosis") == diagnosis
    assert add_dot(code, "procedure") == procedure


def test_the_fifty_codes_are_33_diagnoses_and_17_procedures():
    assert len(set(MIMIC_50)) == 50
    assert sum(code[:3].isdigit() or code.startswith("V") for code in MIMIC_50) == 33


@pytest.mark.parametrize(
    ("text", "kind", "revision", "code"),
    [
        ("4019", "diagnosis", 9, "401.9"),
        (" 401.9 ", "diagnosis", 9, "401.9"),
        ("v5861", "diagnosis", 9, "V58.61"),
        ("E8490", "diagnosis", 9, "E849.0"),
        ("E849.", "diagnosis", 9, "E849"),
        ('="0389"', "diagnosis", 9, "038.9"),
        ("'0389", "diagnosis", 9, "038.9"),
        ("3893", "procedure", 9, "38.93"),
        ("38.93", "procedure", 9, "38.93"),
        ("i10", "diagnosis", 10, "I10"),
        ("I10.", "diagnosis", 10, "I10"),
        ("s72.001a", "diagnosis", 10, "S72.001A"),
        ("C4A0", "diagnosis", 10, "C4A.0"),
        ("02hv33z", "procedure", 10, "02HV33Z"),
        *(
            (missing, "diagnosis", 9, None)
            for missing in ("", " ", "NA", "nan", "None", "NULL", "N/A", "-", "\\N", "#N/A")
        ),
    ],
)
def test_a_code_is_read_in_any_spelling(text, kind, revision, code):
    assert icd.read(text, kind, revision) == code


@pytest.mark.parametrize(
    ("text", "kind", "revision", "message"),
    [
        ("4019.0", "diagnosis", 9, "'4019.0' is no ICD-9-CM diagnosis code .*stored as a number"),
        ("3893.0", "procedure", 9, "'3893.0' is no ICD-9-CM procedure code .*stored as a number"),
        ("38.9", "diagnosis", 9, "stored as a number"),
        ("4.019E3", "diagnosis", 9, "stored as a number"),
        ("401.90123", "diagnosis", 9, "no ICD-9-CM diagnosis"),
        ("40.19", "diagnosis", 9, "no ICD-9-CM diagnosis"),
        ("V58.61", "procedure", 9, "no ICD-9-CM procedure"),
        ("10-Jan", "diagnosis", 9, "no ICD-9-CM diagnosis"),
        ("I1.0", "diagnosis", 10, "no ICD-10-CM"),
        ("4019", "diagnosis", 10, "no ICD-10-CM"),
        ("02HV33", "procedure", 10, "no ICD-10-PCS"),
        ("02HV33O", "procedure", 10, "no ICD-10-PCS"),
        ("chest pain", "diagnosis", 9, "a text of 10 characters is no"),
    ],
)
def test_what_no_code_can_be_is_refused(text, kind, revision, message):
    with pytest.raises(icd.NotACode, match=message):
        icd.read(text, kind, revision)


def test_short_codes_are_reported():
    assert icd.too_short("38", "diagnosis")
    assert not icd.too_short("038.9", "diagnosis")
    assert icd.too_short("7", "procedure")
    assert icd.compact(" v58.61") == "V5861"
