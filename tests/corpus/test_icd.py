import pytest

from stages.corpus.icd import MIMIC_50, dotted


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
    assert dotted(code, "diagnosis") == diagnosis
    assert dotted(code, "procedure") == procedure


def test_the_fifty_codes_are_33_diagnoses_and_17_procedures():
    assert len(set(MIMIC_50)) == 50
    assert sum(code[:3].isdigit() or code.startswith("V") for code in MIMIC_50) == 33
