from pathlib import Path

import pytest

from stages.common.io import InputError
from stages.corpus import codiesp
from stages.corpus.corpora import CORPORA
from stages.corpus.document import Code, Document

SUBSETS = CORPORA["codiesp"].subsets

TEXTS = {
    "train": {"t1": "A case.\n\nOf  fever", "t2": "Another", "t3": "Nothing coded"},
    "dev": {"d1": "Dev"},
    "test": {"e1": "Held out", "e2": "Rare"},
}
DIAGNOSES = {
    "train": "t1\tn44.8\nt1\tr69\nt1\tn44.8\nt2\tn44.8\n",
    "dev": "d1\tn44.8\nd1\tr69\n",
    "test": "e1\tn44.8\ne2\tr69\n",
}
PROCEDURES = {"train": "t1\tbw03zzz\nt2\tbw03zzz\n", "dev": "d1\tbw03zzz\n", "test": "e1\t0tb13zx\n"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part, texts in TEXTS.items():
        (tmp_path / part / "text_files_en").mkdir(parents=True)
        for name, content in texts.items():
            (tmp_path / part / "text_files_en" / f"{name}.txt").write_text(content)
        (tmp_path / part / f"{part}D.tsv").write_text(DIAGNOSES[part])
        (tmp_path / part / f"{part}P.tsv").write_text(PROCEDURES[part])
    return tmp_path


def test_diagnoses_of_two_training_documents(folder: Path):
    corpus, part_of = codiesp.load(folder, SUBSETS["diagnoses"], 2)
    assert corpus.documents == [
        Document("t1", "t1", "A case. Of fever", ["N44.8"]),
        Document("t2", "t2", "Another", ["N44.8"]),
        Document("d1", "d1", "Dev", ["N44.8"]),
        Document("e1", "e1", "Held out", ["N44.8"]),
    ]
    assert part_of == {"t1": "train", "t2": "train", "d1": "val", "e1": "test"}
    assert corpus.codes == {"N44.8": Code("diagnosis", [])}
    assert corpus.counts == {"texts": 6, "texts_without_codes": 1, "documents_without_kept_code": 1}


def test_procedures_and_both(folder: Path):
    procedures, part_of = codiesp.load(folder, SUBSETS["procedures"], 1)
    assert procedures.codes == {"BW03ZZZ": Code("procedure", [])}
    assert "e1" not in part_of
    both, _ = codiesp.load(folder, SUBSETS["both"], 1)
    assert both.documents[0].codes == ["BW03ZZZ", "N44.8", "R69"]
    assert {code: known.kind for code, known in both.codes.items()} == {
        "BW03ZZZ": "procedure",
        "N44.8": "diagnosis",
        "R69": "diagnosis",
    }


def test_a_test_part_without_gold_codes(folder: Path):
    (folder / "test" / "testD.tsv").unlink()
    with pytest.raises(InputError, match=r"testD\.tsv does not exist, so this part has no gold codes"):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)


@pytest.mark.parametrize(
    ("line", "message"), [("t1 n44.8", "line 5"), ("t1\t", "line 5"), ("t9\tn44.8", "the first is t9")]
)
def test_bad_code_files(folder: Path, line: str, message: str):
    with (folder / "train" / "trainD.tsv").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=message):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)


def test_missing_and_broken_texts(folder: Path):
    (folder / "train" / "text_files_en" / "t2.txt").write_bytes(b"SECRET \xff")
    with pytest.raises(InputError, match=r"t2\.txt.*UTF-8") as raised:
        codiesp.load(folder, SUBSETS["diagnoses"], 1)
    assert "SECRET" not in str(raised.value)
    (folder / "dev" / "text_files_en").rename(folder / "dev" / "text_files")
    (folder / "train" / "text_files_en" / "t2.txt").write_text("Another")
    with pytest.raises(InputError, match="text_files_en does not exist"):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)


def test_a_case_in_two_parts_is_refused(folder: Path):
    (folder / "test" / "text_files_en" / "t1.txt").write_text("A case.")
    with (folder / "test" / "testD.tsv").open("a") as file:
        file.write("t1\tn44.8\n")
    with pytest.raises(InputError, match="the case t1 is in two parts, train and test"):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)


def test_what_other_systems_add_is_passed_over(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    expected = codiesp.load(folder, SUBSETS["diagnoses"], 2)
    (folder / "train" / "text_files_en" / "._t1.txt").write_bytes(b"\x00\xff")
    path = folder / "train" / "trainD.tsv"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert codiesp.load(folder, SUBSETS["diagnoses"], 2) == expected
    outer = tmp_path_factory.mktemp("outer")
    (outer / "__MACOSX").mkdir()
    folder.rename(outer / "codiesp")
    assert codiesp.load(outer, SUBSETS["diagnoses"], 2) == expected


def test_a_file_that_is_cut_in_its_last_code(folder: Path):
    path = folder / "train" / "trainD.tsv"
    path.write_text(path.read_text()[:-3])
    with pytest.raises(InputError, match=r"trainD\.tsv is cut short"):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)


def test_what_no_code_can_be(folder: Path):
    with (folder / "train" / "trainD.tsv").open("a") as file:
        file.write("t2\t44.8\n")
    with pytest.raises(InputError, match=r"trainD\.tsv, line 5: '44\.8' is no ICD-10-CM code"):
        codiesp.load(folder, SUBSETS["diagnoses"], 1)
