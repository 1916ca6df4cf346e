"""The page of coded notes: escaped, lit without JavaScript, readable without colour."""

import re

import numpy as np

from tools.notes.note_page import Coded, CodedNote, page, strength

EVIL = "<script>alert('x')</script> & \"fever\""


def note(name: str = "a.txt", evidence: tuple[float, ...] = (0.0, 1.0, 0.3)) -> CodedNote:
    text = f"was {EVIL} end"
    spans = np.array([[0, 3], [4, 4 + len(EVIL)], [5 + len(EVIL), 8 + len(EVIL)]])
    codes = (
        Coded("401.9", EVIL, "diagnosis", 0.9, 0.8, True, "accepted", False, ("was",), np.array(evidence)),
        Coded("486", "Pneumonia", "diagnosis", 0.2, 0.1, False, "to review", False, (), np.array([1.0, 0.0, 0.0])),
    )
    return CodedNote(name, text, spans, codes, 10, 10)


def test_everything_is_escaped():
    html = page([note(name=EVIL)], EVIL)
    assert EVIL not in html
    assert html.count("alert(") == html.count("&lt;script&gt;alert(")
    assert html.count("<script>") == 1


def test_the_first_code_is_lit_without_a_script():
    html = page([note()], "")
    lit = re.findall(r'<span class="w l(\d)" data-l="([^"]*)">', html)
    assert lit == [("4", "0:4"), ("2", "0:2")]
    assert '<span class="w" data-l="1:4">was</span>' in html
    assert html.count('data-c="0" aria-pressed="true"') == 1
    assert html.count('data-c="1" aria-pressed="false"') == 1
    assert "http" not in html.replace("http-equiv", "")


def test_levels_by_hand():
    assert strength(np.array([0.0, 0.1, 0.125, 0.26, 0.6, 1.0, -3.0])).tolist() == [0, 0, 1, 2, 3, 4, 0]
    assert strength(np.array([-1.0, 0.0])).tolist() == [0, 0]
    assert strength(np.zeros(0)).tolist() == []


def test_a_cut_text_says_how_much_was_read():
    short = note()
    cut = CodedNote(short.name, short.text, short.spans, short.codes, 100, 10)
    assert "read: the first 10 of 100 tokens" in page([cut], "")
