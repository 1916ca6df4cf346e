from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.open_codes.phrases import icd10cm_codes, open_pool, read_pool


def test_codes_of_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO", "stages")
    (tmp_path / "own.yaml").write_text('"X1": snake bite\n"X2": [bee sting, wasp sting]\n"X3": []\n"A1": known\n')
    assert open_pool(str(tmp_path / "own.yaml"), ["A1"], ()) == {
        "X1": ["snake bite"],
        "X2": ["bee sting", "wasp sting"],
    }
    assert "2 scored by their phrases, 1 without a phrase left out, 1 already trained" in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "should map codes to phrases"),
        ("[1, 2]", "should map codes to phrases"),
        ("1: fever", "entry 1: a code should be a text"),
        ("A: 3", "entry 1: should be a phrase or a list"),
        ("A: [x, 3]", "entry 1: should be a phrase or a list"),
        ("A: []", "none has a phrase"),
    ],
)
def test_files_that_are_none(tmp_path: Path, content: str, message: str):
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(InputError, match=message):
        open_pool(str(tmp_path / "own.yaml"), (), ())


def test_a_file_of_too_many_codes(tmp_path: Path):
    (tmp_path / "own.json").write_text("{" + ",".join(f'"{number}": "x"' for number in range(100_001)) + "}")
    with pytest.raises(InputError, match="100001 codes; at most 100000"):
        read_pool(tmp_path / "own.json")


def test_codes_of_the_corpus_have_icd10cms_words():
    pool = open_pool("corpus", ["I10"], ["I10", "A00.0", "0DB6"])
    assert list(pool) == ["A00.0"]
    assert pool["A00.0"][0] == "Cholera due to Vibrio cholerae 01 biovar cholerae"


def test_icd10cm_has_leaves_and_categories_and_no_chapter():
    codes = set(icd10cm_codes())
    assert {"A00", "A00.0", "J18.9"} <= codes
    assert not {"1", "A00-A09"} & codes
    assert 70_000 < len(codes) < 120_000
