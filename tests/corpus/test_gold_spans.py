"""Spans of raw notes, map_spans to the cleaned document."""

import hashlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.common.io import InputError
from stages.corpus import text
from stages.corpus.corpora import CORPORA
from stages.corpus.gold_spans import LISTED, Evidence, RawSpan, map_spans

SUBSETS = CORPORA["mimic3"].subsets

CLEANERS = [text.fold_white_space, text.lower_alphanumeric, text.lower_words, text.as_it_is]
# Letters, digits, blanks and marks; letters that become two, or ASCII, when they are made small; a final sigma.
RAW = st.text("abXY019 \n\t.,()-é\u0130\u212aΣ\u00a0", max_size=60)


def annotation(begin=0, end=5, code="401.9", code_system="ICD-9-CM", **more):
    return {"begin": begin, "end": end, "code": code, "code_system": code_system, "type": "Human", **more}


def written(folder, admission, annotations, note_id=7, **more):
    folder.mkdir(parents=True, exist_ok=True)
    note = {"note_id": note_id, "category": "Discharge summary", "annotations": annotations, **more}
    (folder / f"{admission}-ICD-9.json").write_text(json.dumps({"hadm_id": admission, "notes": [note]}))
    return folder


@pytest.mark.parametrize("clean", CLEANERS)
@given(raw=RAW)
def test_the_words_are_those_of_the_cleaned_text(clean, raw):
    cleaned = clean(raw).strip()
    words = text.words(raw, clean, cleaned)
    assert [cleaned[begin:end] for *_, begin, end in words] == cleaned.split()
    for first, last, begin, end in words:
        assert clean(f" {raw[first:last]} ").strip() in ("", cleaned[begin:end])


@pytest.mark.parametrize("clean", CLEANERS)
@given(notes=st.lists(RAW, min_size=1, max_size=3), data=st.data())
def test_a_span_reads_as_what_it_was_made_of(clean, notes, data):
    """Whatever the notes, the cleaning, and where the span lies."""
    document = text.document([clean(note) for note in notes], clean)
    i = data.draw(st.integers(0, len(notes) - 1))
    if not notes[i]:
        return
    begin = data.draw(st.integers(0, len(notes[i]) - 1))
    end = data.draw(st.integers(begin + 1, len(notes[i])))
    counts: Counter = Counter()
    named = [(str(number), note) for number, note in enumerate(notes)]
    spans = list(map_spans([RawSpan(str(i), begin, end, "401.9", False)], named, clean, "1", counts))
    assert sum(counts.values()) == 1
    for span in spans:
        result = document[span.begin : span.end]
        assert result
        assert result == result.strip()
        span_text = notes[i][begin:end]
        if clean is text.lower_words and "İ" in "".join(notes):  # becomes two letters: the whole word is taken
            continue
        small = {form for letter in span_text for form in letter + letter.lower() + "ς" * (letter == "Σ")}
        assert set("".join(result.split())) <= small


def test_carried_by_hand():
    """Two notes; a line end within a phrase, a number that the cleaning drops, a mark at an end, and what is lost."""
    notes = [("11", "Pt with CHF,\n12 (acute\n renal  failure)."), ("12", "Addendum: ___ none")]
    spans = [
        RawSpan("11", 8, 12, "428.0", False),  # CHF,
        RawSpan("11", 8, 40, "584.9", False),  # CHF,\n12 (acute\n renal  failure).
        RawSpan("11", 13, 15, "401.9", False),  # 12
        RawSpan("12", 14, 18, "486", True),  # none
        RawSpan("11", 11, 12, "401.9", False),  # the comma alone
        RawSpan("13", 0, 1, "486", False),
        RawSpan("12", 14, 99, "486", False),
    ]
    counts: Counter = Counter()
    result = list(map_spans(spans, notes, text.lower_alphanumeric, "9", counts))
    document = "pt with chf acute renal failure addendum none"
    assert text.document([text.lower_alphanumeric(note) for _, note in notes], text.lower_alphanumeric) == document
    assert [(span.code, document[span.begin : span.end], span.trap) for span in result] == [
        ("428.0", "chf", False),
        ("584.9", "chf acute renal failure", False),
        ("486", "none", True),
    ]
    assert counts == {
        "evidence_spans": 2,
        "evidence_lost_in_cleaning": 2,
        "evidence_of_other_notes": 1,
        "evidence_beyond_its_note": 1,
    }
    [kept] = map_spans(spans[1:2], notes, text.fold_white_space, "9", counts)
    assert "Pt with CHF, 12 (acute renal failure). Addendum: ___ none"[kept.begin : kept.end] == (
        "CHF, 12 (acute renal failure)"
    )


def test_files_in_mdaces_form(tmp_path):
    folder = written(
        tmp_path / "data/Inpatient/ICD-9/1.0", 100, [annotation(), annotation(9, 12, "39.61", "ICD-9-PCS")]
    )
    written(tmp_path / "data/Profee/ICD-9/1.0", 200, [annotation()])
    written(folder, 101, [annotation(code_system="CPT", code="99232")])
    evidence = Evidence.of(tmp_path, SUBSETS["full"])
    assert sorted(evidence.files) == [100, 101]
    assert evidence.part_of is None
    assert list(evidence.spans(100)) == [RawSpan("7", 0, 5, "401.9", False), RawSpan("7", 9, 12, "39.61", False)]
    assert list(evidence.spans(101)) == []


def test_mdaces_lists_deal_and_bar_the_clean_subset(tmp_path, caplog, monkeypatch):
    written(tmp_path / "data", 100, [annotation()])
    sizes = {part: n_admissions for part, (_, n_admissions) in LISTED.items()}
    assert sizes == {"train": 181, "val": 60, "test": 61}
    numbers = iter(range(100, 1000))
    for part, n_admissions in sizes.items():
        lines = "".join(f"{next(numbers)}\n" for _ in range(n_admissions))
        (tmp_path / f"MDace-ev-{part}.csv").write_bytes(lines.replace("\n", "\r\n").encode())
        md5 = hashlib.md5(lines.encode()).hexdigest()
        monkeypatch.setitem(LISTED, part, (md5, n_admissions))
    evidence = Evidence.of(tmp_path, SUBSETS["full"])
    assert Counter(evidence.part_of.values()) == sizes
    assert not caplog.records
    with pytest.raises(InputError, match="42 of its 61 test admissions are training admissions there"):
        Evidence.of(tmp_path, SUBSETS["clean"])
    (tmp_path / "MDace-ev-val.csv").write_text("5\n")
    Evidence.of(tmp_path, SUBSETS["top50"])
    assert "MDace-ev-val.csv is not MDACE's own list: 1 admissions, MDACE's has 60" in caplog.text
    (tmp_path / "MDace-ev-val.csv").write_text("hadm_id\n")
    with pytest.raises(InputError, match=r"MDace-ev-val\.csv should have the number of an admission in each line"):
        Evidence.of(tmp_path, SUBSETS["top50"])


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([annotation(begin=5, end=5)], "is not in MDACE's format"),
        ([annotation(begin=-1)], "is not in MDACE's format"),
        ([annotation(end="x")], "is not in MDACE's format"),
        ([{"begin": 1, "end": 2}], "is not in MDACE's format"),
        (["401.9"], "is not in MDACE's format"),
        ([annotation(code="pneumonia")], "no ICD-9-CM diagnosis"),
        ([annotation(code="389.0")], None),
    ],
)
def test_a_malformed_annotation_is_reported(tmp_path, annotations, message):
    evidence = Evidence.of(written(tmp_path, 100, annotations), SUBSETS["full"])
    if message is None:
        assert len(list(evidence.spans(100))) == 1
        return
    with pytest.raises(InputError, match=rf"100-ICD-9\.json.*{message}"):
        list(evidence.spans(100))


def test_a_folder_without_files_and_a_file_that_is_cut(tmp_path):
    with pytest.raises(InputError, match=r"has no file <admission>-ICD-9\.json"):
        Evidence.of(tmp_path, SUBSETS["full"])
    (tmp_path / "5-ICD-9.json").write_text('{"hadm_id": 5, "notes": [')
    with pytest.raises(InputError, match="is not in MDACE's format"):
        list(Evidence.of(tmp_path, SUBSETS["full"]).spans(5))
