"""The embedded corpus and the load data: MIMIC's form, the facts they are made to have, the same bytes every time."""

import csv
import gzip
import hashlib
import io
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.full_size import Load, tail_codes, tail_codes_of_icd10, write_load, write_load_of_mimic4
from stages import synthesize
from stages.common.io import InputError
from stages.corpus import icd, mimic
from stages.demo.conditions import OUTSIDE, is_procedure
from stages.demo.generator import COLUMNS, read_phrases, write_corpus
from stages.demo.notes import (
    TRAPS_A_SUMMARY,
    Draft,
    Lexicon,
    draw_phrases,
    laid_out,
    wrapped,
    write_phrases,
)
from stages.demo.patients import EXCLUSIVE, admissions, scattered
from stages.demo.wording import (
    ASSERTION_PLACES,
    ASSERTIONS,
    FILLER,
    FILLER_COUNTS,
    SECTIONS,
    TRAP_PLACES,
    TRAPS,
)

ROOT = Path(__file__).parents[2]
FIFTY = {
    "401.9", "38.93", "428.0", "427.31", "414.01", "96.04", "96.6", "584.9", "250.00", "96.71", "272.4", "518.81",
    "99.04", "39.61", "599.0", "530.81", "96.72", "272.0", "285.9", "88.56", "244.9", "486", "38.91", "285.1",
    "36.15", "276.2", "496", "99.15", "995.92", "V58.61", "507.0", "038.9", "88.72", "585.9", "403.90", "311",
    "305.1", "37.22", "412", "33.24", "39.95", "287.5", "410.71", "276.1", "V45.81", "424.0", "45.13", "V15.82",
    "511.9", "37.23",
}  # fmt: skip
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


@pytest.fixture(scope="module")
def stays() -> list:
    return [stay for patient, _ in admissions(4_000, 7) for stay in patient]


def folded(text: str) -> str:
    """Lower case, words only, one blank between and around them."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*.*"))}


# The authored phrases


def test_phrases_cover_the_fifty_codes_amply(phrases):
    assert set(phrases) == FIFTY
    assert list(phrases) == sorted(phrases)
    for code, entry in phrases.items():
        others = entry["mentions"] + entry.get("medications", [])
        assert len(entry["synonyms"]) >= 10, code
        assert 6 <= len(others) <= 10, code
        assert not {folded(phrase) for phrase in entry["synonyms"]} & {folded(phrase) for phrase in others}, code
        assert len(entry["short_title"]) <= 24, code


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


# Who is in the corpus


def test_prevalences_are_skewed(stays):
    counts = Counter(code for stay in stays for code in stay.codes)
    assert set(counts) == FIFTY
    shares = sorted(count / len(stays) for count in counts.values())
    assert counts.most_common(1)[0][0] == "401.9"
    assert 0.33 < shares[-1] < 0.45
    assert 0.015 < shares[0] < 0.04
    assert 4.5 < sum(shares) < 6.5


@pytest.mark.parametrize(
    ("given_code", "code", "times"),
    [
        ("428.0", "427.31", 1.7),
        ("36.15", "39.61", 5),
        ("038.9", "96.04", 1.5),
        ("995.92", "584.9", 2),
        ("272.4", "401.9", 1.02),
        ("45.13", "99.04", 3),
        ("39.95", "585.9", 2),
        ("427.31", "V58.61", 1.5),
        ("96.72", "96.6", 3),
    ],
)
def test_codes_occur_together(stays, given_code, code, times):
    holders = [stay for stay in stays if given_code in stay.codes]
    lift = (sum(code in stay.codes for stay in holders) / len(holders)) / (
        sum(code in stay.codes for stay in stays) / len(stays)
    )
    assert lift > times


def test_codes_exclude_and_imply_one_another(stays):
    for stay in stays:
        assert not any(set(pair) <= set(stay.codes) for pair in EXCLUSIVE)
        assert "995.92" not in stay.codes or "038.9" in stay.codes
        assert "36.15" not in stay.codes or "414.01" in stay.codes
        assert len(set(stay.codes)) == len(stay.codes)


def test_an_infarction_is_an_old_one_at_the_next_admission():
    followed = 0
    for patient, _ in admissions(4_000, 3):
        for earlier, later in itertools.pairwise(patient):
            assert later.admitted > earlier.discharged
            if "410.71" in earlier.codes and "410.71" not in later.codes:
                followed += 1
                assert "412" in later.codes
    assert followed > 10


def test_a_larger_corpus_begins_with_the_smaller_one():
    small = [stay for patient, _ in admissions(150, 5) for stay in patient]
    large = [stay for patient, _ in admissions(300, 5) for stay in patient]
    assert (len(small), len(large)) == (150, 300)
    assert large[:150] == small


@given(st.integers(0, 400_000), st.integers(0, 400_000))
def test_scattered_ids_are_unique(one, other):
    def hadm_id(index: int) -> int:
        return scattered(index, 100_001, 99_991, 61_813)

    assert (hadm_id(one) == hadm_id(other)) == (one == other)
    assert hadm_id(one % 90_000) < 200_000


# What the summaries say


def test_every_code_is_mentioned_and_no_trap_is_coded(phrases):
    lexicon = Lexicon(phrases)
    asserted_total = trap_total = 0
    for patient, rng in admissions(400, 11):
        for stay in patient:
            drawn = draw_phrases(rng, stay.codes, lexicon)
            asserted = [phrase for phrase in drawn if phrase.asserted]
            traps = [phrase for phrase in drawn if not phrase.asserted]
            assert {phrase.code for phrase in asserted} == set(stay.codes)
            assert max(Counter(phrase.code for phrase in asserted).values(), default=0) <= 2
            assert not {phrase.code for phrase in traps} & set(stay.codes)
            assert TRAPS_A_SUMMARY[0] <= len(traps) <= TRAPS_A_SUMMARY[1]
            asserted_total += len(asserted)
            trap_total += len(traps)
            draft = Draft(rng, stay)
            write_phrases(draft, drawn)
            text = folded(laid_out(draft).text)
            for phrase in drawn:
                assert folded(phrase.wording) in text
    assert 0.55 < trap_total / asserted_total < 1.1


def test_a_share_of_the_mentions_is_not_in_the_pool(phrases):
    lexicon = Lexicon(phrases)
    rng = random.Random(1)
    for code, entry in phrases.items():
        drawn = Counter(lexicon.assertion(rng, code).wording for _ in range(1_000))
        outside = sum(count for wording, count in drawn.items() if wording not in entry["synonyms"])
        assert 0.12 < outside / 1_000 < 0.30
        assert len(drawn) >= 16
        assert drawn.most_common(1)[0][1] > 2 * 1_000 / len(drawn), "no wording prevails"


def test_a_trap_is_told_by_its_sentence():
    asserting = {sentence for bank in ASSERTIONS.values() for sentences in bank.values() for sentence in sentences}
    denying = {sentence for bank in TRAPS.values() for sentences in bank.values() for sentence in sentences}
    filling = {sentence for sentences in FILLER.values() for sentence in sentences}
    assert not asserting & denying
    assert len(asserting) > 60
    assert len(denying) > 60
    assert all(re.search(r"\{[xX]\}", sentence) for sentence in asserting | denying)
    assert not any(re.search(r"\{[xX]\}", sentence) for sentence in filling)


def test_every_place_has_sentences():
    names = {name for name, _, _ in SECTIONS}
    for banks, places in ((ASSERTIONS, ASSERTION_PLACES), (TRAPS, TRAP_PLACES)):
        assert banks.keys() == places.keys()
        for kind, sections in places.items():
            assert sections.keys() <= banks[kind].keys() & names
    assert all(most <= len(FILLER[section]) and section in names for section, (_, most) in FILLER_COUNTS.items())


def test_filler_names_no_condition(phrases):
    filling = [folded(sentence) for sentences in FILLER.values() for sentence in sentences]
    for code, entry in phrases.items():
        for phrase in entry["synonyms"] + entry["mentions"] + entry.get("medications", []):
            assert not any(folded(phrase) in sentence for sentence in filling), code


def test_words_of_codes_outside_are_no_phrase_of_the_fifty(phrases):
    for code, _, _, wording in OUTSIDE:
        for entry in phrases.values():
            assert not any(folded(phrase) in folded(wording) for phrase in entry["synonyms"]), code


@given(st.lists(st.text("abc.", min_size=1, max_size=20), min_size=1, max_size=60))
def test_wrapping_loses_nothing(words):
    lines = wrapped(" ".join(words))
    assert " ".join(lines) == " ".join(words)
    assert all(len(line) <= 72 for line in lines)


# MIMIC's files


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


def test_ids_and_dates(tables):
    notes = tables["NOTEEVENTS"]
    assert notes.ROW_ID.astype(int).tolist() == list(range(1, len(notes) + 1))
    assert notes.CHARTDATE.str.fullmatch(r"2[12]\d\d-[01]\d-[0-3]\d").all()
    summaries = notes[notes.CATEGORY == "Discharge summary"]
    assert (summaries.HADM_ID != "").all()
    assert (summaries.CHARTTIME == "").all()
    assert set(summaries.DESCRIPTION) == {"Report", "Addendum"}
    others = notes[notes.CATEGORY != "Discharge summary"]
    assert 0.01 < (others.HADM_ID == "").mean() < 0.2
    assert {"Nursing", "Nursing/other", "Physician ", "Radiology", "ECG", "Echo"} == set(others.CATEGORY)
    assert set(notes.ISERROR) == {"", "1"}
    assert (notes[notes.HADM_ID != ""].groupby("HADM_ID").SUBJECT_ID.nunique() == 1).all()


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


def test_real_datas_untidiness_is_there(tables):
    notes = tables["NOTEEVENTS"]
    summaries = notes[notes.CATEGORY == "Discharge summary"]
    per_admission = summaries.groupby("HADM_ID").size()
    assert 0.05 < (per_admission > 1).mean() < 0.25
    first = summaries[summaries.HADM_ID.isin(per_admission[per_admission > 1].index)].drop_duplicates("HADM_ID")
    assert set(first.DESCRIPTION) == {"Report", "Addendum"}, "an addendum sometimes stands before its report"
    codes = pd.concat([tables["DIAGNOSES_ICD"], tables["PROCEDURES_ICD"]])
    assert (codes.ICD9_CODE == "").any()
    assert codes[codes.ICD9_CODE != ""].duplicated(["HADM_ID", "ICD9_CODE"]).any()
    assert (codes[codes.ICD9_CODE == ""].SEQ_NUM == "").all()
    with_summary, with_codes = set(summaries.HADM_ID), set(codes[codes.ICD9_CODE != ""].HADM_ID)
    assert with_summary - with_codes
    assert with_codes - with_summary
    assert len(with_summary | with_codes) == SIZE
    admissions_of = codes.groupby("SUBJECT_ID").HADM_ID.nunique()
    assert 0.1 < (admissions_of > 1).mean() < 0.4
    assert not notes.HADM_ID.is_monotonic_increasing


def test_summaries_have_sections_and_vary_in_length(tables):
    notes = tables["NOTEEVENTS"]
    reports = notes[(notes.CATEGORY == "Discharge summary") & (notes.DESCRIPTION == "Report")].TEXT
    words = reports.str.split().str.len()
    assert words.quantile(0.02) > 120
    assert words.quantile(0.98) < 300
    assert words.quantile(0.95) > 1.4 * words.quantile(0.05)
    for heading in ("History of Present Illness:", "Brief Hospital Course:", "Pertinent Results:"):
        assert reports.str.contains(heading, regex=False).mean() > 0.95
    assert reports.str.contains("Family History:", regex=False).mean() > 0.3


def test_a_lexical_lookup_is_fooled(tables, phrases):
    """The pool's phrases find most codes and about as many traps; wordings outside the pool escape them."""
    notes = tables["NOTEEVENTS"]
    texts = notes[notes.CATEGORY == "Discharge summary"].groupby("HADM_ID").TEXT.agg(" ".join).map(folded)
    truth = defaultdict(set)
    for name, procedure in (("DIAGNOSES_ICD", False), ("PROCEDURES_ICD", True)):
        dotted = {code.replace(".", ""): code for code in FIFTY if is_procedure(code) == procedure}
        for row in tables[name].itertuples():
            if row.ICD9_CODE in dotted:
                truth[row.HADM_ID].add(dotted[row.ICD9_CODE])
    pool = {code: [folded(phrase) for phrase in entry["synonyms"]] for code, entry in phrases.items()}
    right = found = wanted = 0
    for hadm_id, text in texts.items():
        if truth[hadm_id]:
            predicted = {code for code, synonyms in pool.items() if any(phrase in text for phrase in synonyms)}
            right += len(predicted & truth[hadm_id])
            found += len(predicted)
            wanted += len(truth[hadm_id])
    assert 0.55 < 2 * right / (found + wanted) < 0.70
    assert 0.40 < right / found < 0.62
    assert 0.70 < right / wanted < 0.90


# Where the codes are named


def test_marks_say_where_each_phrase_stands(corpus, tables):
    """In the raw text, whatever line ends the layout put into a phrase; an addendum names no code."""
    texts = dict(zip(tables["NOTEEVENTS"].ROW_ID, tables["NOTEEVENTS"].TEXT, strict=True))
    wordings = defaultdict(set)
    for code, entry in read_phrases(ROOT / "data/pools/authored.yaml").items():
        wordings[code] |= {*entry["synonyms"], *entry["mentions"], *entry.get("medications", [])}
    wordings |= {code: {wording} for code, _, _, wording in OUTSIDE}
    n_told: Counter = Counter()
    for path in (corpus / "evidence").iterdir():
        content = json.loads(path.read_text())
        for note in content["notes"]:
            for key in ("annotations", "traps"):
                for one in note[key]:
                    found = texts[str(note["note_id"])][one["begin"] : one["end"]].replace("\n", " ")
                    assert found.lower() in {wording.lower() for wording in wordings[one["code"]]}
                    n_told[key] += 1
            own = {one["code"] for one in note["annotations"]}
            assert not own & {one["code"] for one in note["traps"]}
    assert n_told["annotations"] > 5 * SIZE
    assert 0.5 < n_told["traps"] / n_told["annotations"] < 1.1


@pytest.mark.parametrize("subset", ["top50", "full", "clean"])
def test_every_span_still_reads_as_its_phrase_when_it_is_cleaned(corpus, tables, subset):
    """Over the whole corpus and all cleaning rules, through the merging of reports and addenda."""
    prepared = mimic.load(corpus, subset, 2, evidence_dir=corpus / "evidence")
    clean = mimic.SUBSETS[subset].clean
    texts = dict(zip(tables["NOTEEVENTS"].ROW_ID, tables["NOTEEVENTS"].TEXT, strict=True))
    expected = Counter()
    for document in prepared.documents:
        if (path := corpus / "evidence" / f"{document.document_id}-ICD-9.json").exists():
            for note in json.loads(path.read_text())["notes"]:
                for key in ("annotations", "traps"):
                    for one in note[key]:
                        phrase = texts[str(note["note_id"])][one["begin"] : one["end"]]
                        phrase = clean(f" {phrase} ").strip()  # its words do not stand at a text's end
                        expected[document.document_id, one["code"], phrase, key == "traps"] += 1
    text_of = {document.document_id: document.text for document in prepared.documents}
    found = Counter(
        (span.document_id, span.code, text_of[span.document_id][span.begin : span.end], span.trap)
        for span in prepared.evidence
    )
    assert found == expected
    assert prepared.counts["evidence_spans"] == sum(n for (*_, trap), n in expected.items() if not trap) > 2000


# The same bytes, whole or not at all


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
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert sorted(name for name in one if name.endswith(".gz")) == sorted(f"{name}.csv.gz" for name in COLUMNS)
    assert sum(name.endswith("-ICD-9.json") for name in one) > 100
    assert one == two
    assert all(one[f"{name}.csv.gz"] != other[f"{name}.csv.gz"] for name in ("NOTEEVENTS", "DIAGNOSES_ICD"))


def test_the_compressed_files_carry_no_time(corpus):
    for path in corpus.glob("*.gz"):
        header = path.read_bytes()[:10]
        assert header[3] == 0, "no name"
        assert header[4:8] == bytes(4), "no modification time"


def test_memory_does_not_grow_with_the_corpus(tmp_path, phrases):
    peaks = []
    for size in (100, 400):
        tracemalloc.start()
        write_corpus(tmp_path / str(size), size, 1, phrases)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_failure_leaves_the_earlier_corpus(tmp_path, phrases):
    folder = tmp_path / "mimic"
    write_corpus(folder, 100, 1, phrases)
    before = digests(folder)
    without = {code: entry for code, entry in phrases.items() if code != "401.9"}
    with pytest.raises(KeyError):
        write_corpus(folder, 100, 2, without)
    assert digests(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["mimic"]


# The script


def test_the_script_writes_what_params_ask_for(tmp_path, monkeypatch):
    settings = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(re.sub(r"admissions: \d+", "admissions: 100", settings))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pools").symlink_to(ROOT / "data/pools")
    monkeypatch.chdir(tmp_path)
    synthesize.main()
    notes = pd.read_csv("data/demo/mimic/NOTEEVENTS.csv.gz")
    codes = pd.read_csv("data/demo/mimic/DIAGNOSES_ICD.csv.gz")
    assert len(set(notes.HADM_ID.dropna()) | set(codes.HADM_ID)) in range(98, 101)


@pytest.mark.parametrize("arguments", [["--load"], ["--out", "x"], ["--load", "--out", "x", "--admissions", "0"]])
def test_the_script_refuses_half_a_command(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        synthesize.main(arguments)
    assert list(tmp_path.iterdir()) == []


# Load data


def test_load_data_have_mimics_shape(tmp_path, phrases):
    write_load(tmp_path / "load", Load(admissions=150), 1, phrases)
    tables = {name: pd.read_csv(tmp_path / f"load/{name}.csv.gz", dtype=str, keep_default_na=False) for name in COLUMNS}
    notes = tables["NOTEEVENTS"]
    summaries = notes.CATEGORY == "Discharge summary"
    words = notes.TEXT.str.split().str.len()
    assert 28 < len(notes) / 150 < 43
    assert 0.8 < summaries.sum() / 150 < 1.15
    assert 1_350 < words[summaries & (notes.DESCRIPTION == "Report")].mean() < 1_850
    assert 200 < words[~summaries].mean() < 300
    assert 9 < len(tables["DIAGNOSES_ICD"]) / 150 < 13
    assert 3 < len(tables["PROCEDURES_ICD"]) / 150 < 5
    assert len(tables["D_ICD_DIAGNOSES"]) > 6_000
    assert set(tables["DIAGNOSES_ICD"].ICD9_CODE) - set(tables["D_ICD_DIAGNOSES"].ICD9_CODE), "MIMIC lacks titles, too"
    counts = tables["DIAGNOSES_ICD"].ICD9_CODE.value_counts()
    assert (counts == 1).sum() > 0.4 * len(counts), "no long tail"


def test_load_data_of_few_long_notes(tmp_path, phrases):
    rows = write_load(tmp_path / "load", Load(admissions=300, other_notes=0.8, other_words=1_400), 1, phrases)
    assert 1.5 < rows["NOTEEVENTS"] / 300 < 2.1
    again = write_load(tmp_path / "again", Load(admissions=300, other_notes=0.8, other_words=1_400), 1, phrases)
    assert again == rows
    assert digests(tmp_path / "load") == digests(tmp_path / "again")


def test_load_data_of_mimic4_go_through_its_preparation(tmp_path, phrases):
    rows = write_load_of_mimic4(tmp_path / "load", 400, 1, phrases)
    assert 0.55 < rows["note/discharge"] / 400 < 0.68
    notes = pd.read_csv(tmp_path / "load/note/discharge.csv.gz", dtype=str, keep_default_na=False)
    assert notes.note_id.is_unique
    assert 1_350 < notes.text.str.split().str.len().mean() < 2_000
    assert notes.text.str.contains("___").mean() > 0.9
    seen = {}
    for subset in ("icd9", "icd10"):
        corpus = mimic.load(tmp_path / "load/hosp", subset, 10, mimic.MIMIC_IV, tmp_path / "load/note")
        seen[subset] = {document.document_id for document in corpus.documents}
    assert not seen["icd9"] & seen["icd10"]
    assert 0.5 < len(seen["icd9"]) / len(seen["icd9"] | seen["icd10"]) < 0.75
    assert write_load_of_mimic4(tmp_path / "again", 400, 1, phrases) == rows
    for name in rows:
        assert (tmp_path / f"again/{name}.csv.gz").read_bytes() == (tmp_path / f"load/{name}.csv.gz").read_bytes()


def test_codes_of_icd10_are_distinct_and_have_its_form():
    for codes, kind in zip(tail_codes_of_icd10(), ("diagnosis", "procedure"), strict=True):
        assert len(set(codes)) == len(codes)
        assert all(icd.read(code, kind, 10) == code for code in codes)


def test_codes_of_the_tail_are_new_and_distinct():
    known = FIFTY | {code for code, *_ in OUTSIDE}
    diagnoses, procedures = tail_codes(known)
    stored = [code.replace(".", "") for code in diagnoses + [code for code in known if not is_procedure(code)]]
    assert not any(is_procedure(code) for code in diagnoses)
    assert all(is_procedure(code) for code in procedures)
    assert len(stored) == len(set(stored))
    assert len(procedures) == len(set(procedures)) > 1_900
    assert not set(procedures) & known
    assert any("." not in code for code in diagnoses)
    assert any(code.startswith("E") for code in diagnoses)
