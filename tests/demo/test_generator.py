"""The embedded corpus and the load data: MIMIC's form, the facts they are made to have, the same bytes every time."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest

from stages.common.io import InputError
from stages.corpus import mimic
from stages.corpus.corpora import CORPORA
from stages.corpus.icd import MIMIC_50
from stages.demo.generator import COLUMNS, read_phrases, write_corpus
from stages.demo.notes import TRAPS_A_SUMMARY, WORDING, Draft, Lexicon, draw_phrases, lay_out, write_phrases
from stages.demo.patients import OUTSIDE, admissions, is_procedure

SUBSETS = CORPORA["mimic3"].subsets

ROOT = Path(__file__).parents[2]
FIFTY = set(MIMIC_50)
SIZE = 500


@pytest.fixture(scope="module")
def phrases() -> dict[str, dict]:
    return read_phrases(ROOT / "data/pools/authored.yaml")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, phrases) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "mimic"
    write_corpus(folder, SIZE, 2024, phrases)
    return folder


@pytest.fixture(scope="module")
def tables(corpus) -> dict[str, pd.DataFrame]:
    return {name: pd.read_csv(corpus / f"{name}.csv.gz", dtype=str, keep_default_na=False) for name in COLUMNS}


def folded(text: str) -> str:
    """Lower case, words only, one blank between and around them."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.*"))}


def test_no_phrase_belongs_to_two_codes(phrases):
    owners = defaultdict(set)
    for code, entry in phrases.items():
        for phrase in entry["synonyms"] + entry["mentions"] + entry.get("medications", []):
            owners[folded(phrase)].add(code)
    assert {phrase: codes for phrase, codes in owners.items() if len(codes) > 1} == {}


def test_phrases_survive_the_normalisation_of_synonyms(phrases):
    """Normalising drops " and " and " or ", after which a phrase would be found in no text."""
    all_synonyms = [phrase for entry in phrases.values() for phrase in entry["synonyms"]]
    assert [phrase for phrase in all_synonyms if re.search(r" (and|or) |[^A-Za-z0-9/ ]", phrase)] == []


def test_a_missing_or_damaged_phrase_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"phrases\.yaml does not exist"):
        read_phrases(tmp_path / "phrases.yaml")
    (tmp_path / "phrases.yaml").write_text('"428.0": [unclosed')
    with pytest.raises(InputError, match=r"phrases\.yaml is not valid YAML"):
        read_phrases(tmp_path / "phrases.yaml")
    (tmp_path / "phrases.yaml").write_text('"428.0":\n  synonyms: []\n')
    with pytest.raises(InputError, match=r"428\.0 has no synonyms"):
        read_phrases(tmp_path / "phrases.yaml")


def test_a_larger_corpus_begins_with_the_smaller_one():
    small = [stay for patient, _ in admissions(150, 5) for stay in patient]
    large = [stay for patient, _ in admissions(300, 5) for stay in patient]
    assert (len(small), len(large)) == (150, 300)
    assert large[:150] == small


def test_every_code_is_mentioned_and_no_trap_is_coded(phrases):
    lexicon = Lexicon(phrases)
    for patient, rng in admissions(400, 11):
        for stay in patient:
            drawn = draw_phrases(rng, stay.codes, lexicon)
            asserted = [phrase for phrase in drawn if phrase.asserted]
            traps = [phrase for phrase in drawn if not phrase.asserted]
            assert {phrase.code for phrase in asserted} == set(stay.codes)
            assert max(Counter(phrase.code for phrase in asserted).values(), default=0) <= 2
            assert not {phrase.code for phrase in traps} & set(stay.codes)
            assert TRAPS_A_SUMMARY[0] <= len(traps) <= TRAPS_A_SUMMARY[1]
            draft = Draft(rng, stay)
            write_phrases(draft, drawn)
            text = folded(lay_out(draft).text)
            for phrase in drawn:
                assert folded(phrase.wording) in text


def test_filler_names_no_condition(phrases):
    filling = [folded(sentence) for sentences in WORDING["filler"].values() for sentence in sentences]
    for code, entry in phrases.items():
        for phrase in entry["synonyms"] + entry["mentions"] + entry.get("medications", []):
            assert not any(folded(phrase) in sentence for sentence in filling), code


def test_words_of_codes_outside_are_no_phrase_of_the_fifty(phrases):
    for code, _, _, wording in OUTSIDE:
        for entry in phrases.values():
            assert not any(folded(phrase) in folded(wording) for phrase in entry["synonyms"]), code


def test_columns_and_quoting_are_those_of_mimic(corpus):
    for name, columns in COLUMNS.items():
        content = gzip.decompress((corpus / f"{name}.csv.gz").read_bytes()).decode()
        header, first = content.split("\n", 2)[:2]
        assert header == ",".join(f'"{column}"' for column in columns)
        assert all(len(row) == len(columns) for row in csv.reader(io.StringIO(content)))
        patterns = {
            "NOTEEVENTS": r'1,\d+,\d*,2\d{3}-\d\d-\d\d(,(2[-\d]+ [\d:]+)?){2},"[^"]+","[^"]+",\d*,("1")?,".*',
            "DIAGNOSES_ICD": r'1,\d+,\d+,1,"[0-9VE]\d{2,4}"',
            "PROCEDURES_ICD": r'1,\d+,\d+,1,"\d{2,4}"',
            "D_ICD_DIAGNOSES": r'1,"00845","[^"]+","[^"]+"',
            "D_ICD_PROCEDURES": r'1,"0066","[^"]+","[^"]+"',
        }
        assert re.fullmatch(patterns[name], first), first


def test_codes_are_dotless_titled_and_of_their_kind(tables):
    everything = FIFTY | {code for code, *_ in OUTSIDE}
    for name, procedure in (("DIAGNOSES", False), ("PROCEDURES", True)):
        known = {code.replace(".", ""): code for code in everything if is_procedure(code) == procedure}
        codes = set(tables[f"{name}_ICD"].ICD9_CODE) - {""}
        titles = tables[f"D_ICD_{name}"]
        assert codes <= set(titles.ICD9_CODE)
        assert titles.ICD9_CODE.is_unique
        assert set(titles.ICD9_CODE) == set(known)
        assert {known[code] for code in codes} - FIFTY, "nothing for the subset to filter out"
    row = tables["D_ICD_DIAGNOSES"].set_index("ICD9_CODE").loc["0389"]
    assert (row.SHORT_TITLE, row.LONG_TITLE) == ("Septicemia NOS", "Unspecified septicemia")


def test_marks_say_where_each_phrase_stands(corpus, tables):
    """In the raw text, whatever line ends the layout put into a phrase; an addendum names no code."""
    texts = dict(zip(tables["NOTEEVENTS"].ROW_ID, tables["NOTEEVENTS"].TEXT, strict=True))
    wordings = defaultdict(set)
    for code, entry in read_phrases(ROOT / "data/pools/authored.yaml").items():
        wordings[code] |= {*entry["synonyms"], *entry["mentions"], *entry.get("medications", [])}
    wordings |= {code: {wording} for code, _, _, wording in OUTSIDE}
    n_documents_by_key: Counter = Counter()
    for path in (corpus / "evidence").iterdir():
        content = json.loads(path.read_text())
        for note in content["notes"]:
            for key in ("annotations", "traps"):
                for mark in note[key]:
                    result = texts[str(note["note_id"])][mark["begin"] : mark["end"]].replace("\n", " ")
                    assert result.lower() in {wording.lower() for wording in wordings[mark["code"]]}
                    n_documents_by_key[key] += 1
            annotated = {mark["code"] for mark in note["annotations"]}
            assert not annotated & {mark["code"] for mark in note["traps"]}
    assert min(n_documents_by_key.values()) > SIZE


@pytest.mark.parametrize("subset", ["top50", "full", "clean"])
def test_every_span_still_reads_as_its_phrase_when_it_is_cleaned(corpus, tables, subset):
    """Over the whole corpus and all cleaning rules, through the merging of reports and addenda."""
    prepared = mimic.load(corpus, SUBSETS[subset], 2, evidence_dir=corpus / "evidence")
    clean = SUBSETS[subset].clean
    texts = dict(zip(tables["NOTEEVENTS"].ROW_ID, tables["NOTEEVENTS"].TEXT, strict=True))
    expected = Counter()
    for document in prepared.documents:
        if (path := corpus / "evidence" / f"{document.document_id}-ICD-9.json").exists():
            for note in json.loads(path.read_text())["notes"]:
                for key in ("annotations", "traps"):
                    for mark in note[key]:
                        phrase = texts[str(note["note_id"])][mark["begin"] : mark["end"]]
                        phrase = clean(f" {phrase} ").strip()  # its words do not stand at a text's end
                        expected[document.document_id, mark["code"], phrase, key == "traps"] += 1
    text_of = {document.document_id: document.text for document in prepared.documents}
    result = Counter(
        (span.document_id, span.code, text_of[span.document_id][span.begin : span.end], span.trap)
        for span in prepared.evidence
    )
    assert result == expected
    assert prepared.counts["evidence_spans"] == sum(n for (*_, trap), n in expected.items() if not trap) > 2000


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_under_any_hash_seed(tmp_path):
    script = (
        "import sys; from pathlib import Path\n"
        "from stages.demo.generator import read_phrases, write_corpus\n"
        "write_corpus(Path(sys.argv[1]), 120, int(sys.argv[2]), read_phrases(Path('data/pools/authored.yaml')))\n"
    )
    for name, hash_seed, seed in (("one", "0", "4"), ("two", "1", "4"), ("other", "0", "5")):
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / name), seed],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
        )
    first, second, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert sorted(name for name in first if name.endswith(".gz")) == sorted(f"{name}.csv.gz" for name in COLUMNS)
    assert sum(name.endswith("-ICD-9.json") for name in first) > 100
    assert first == second
    assert all(first[f"{name}.csv.gz"] != other[f"{name}.csv.gz"] for name in ("NOTEEVENTS", "DIAGNOSES_ICD"))


def test_the_compressed_files_carry_no_time(corpus):
    for path in corpus.glob("*.gz"):
        header = path.read_bytes()[:10]
        assert header[3] == 0, "no name"
        assert header[4:8] == bytes(4), "no modification time"
