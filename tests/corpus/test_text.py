import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.corpus import text

# Letters that lower-case or count as digits or white space in unexpected ways are among them.
notes = st.lists(
    st.text(st.sampled_from("aB1 2-\n\x0b\x1c\u00a0\u00e9\u0663\u212a\u0130|"), max_size=12), min_size=1, max_size=4
)


def edin(raw: str) -> str:
    """The rule as its authors put it."""
    spaced = re.sub(r"[^A-Za-z0-9]+", " ", raw.lower())
    return re.sub(r"\s+", " ", re.sub(r"(\s\d+)+\s", " ", spaced)).strip()


@given(notes)
def test_cleaning_notes_as_they_come_is_cleaning_their_join(raw: list[str]):
    cleaned = [text.lower_alphanumeric(note) for note in raw]
    assert text.document(cleaned, text.lower_alphanumeric) == edin(" ".join(raw))
    folded = [text.fold_white_space(note) for note in raw]
    assert text.document(folded, text.fold_white_space) == re.sub(r"\s+", " ", " ".join(raw)).strip()


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Na 12, K+ 4.5 (low)", "na k low"),
        ("12 start", "12 start"),
        ("(12) start", "start"),
        ("1 2 3", "1 3"),
        (" 5 ", ""),
        ("x10mg 7 q6h", "x10mg q6h"),
        ("a|b", "a b"),
    ],
)
def test_numbers_go_but_at_the_very_ends(raw: str, clean: str):
    assert text.document([text.lower_alphanumeric(raw)], text.lower_alphanumeric) == clean


def test_count_words():
    assert [text.count_words(cleaned) for cleaned in ("", "one", "one two three")] == [0, 1, 3]
