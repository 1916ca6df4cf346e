"""Coded notes as a self-contained page: the note on one side, its codes with their words on the other.

Selecting a code highlights its words. Strength is shown by colour (blue, which everyone can tell from white) and by the
thickness of an underline, so that colour is not needed; the first code is highlighted without JavaScript.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader

from stages.common.outside import printable

LEVELS = 4
TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


@dataclass(frozen=True)
class Coded:
    """One code of a note.

    state: accepted, to review or left out. open: whether training has not seen the code. scores (W,): of the note's
    words, None if not requested.
    """

    code: str
    title: str
    kind: str
    probability: float
    calibrated: float
    assigned: bool
    state: str
    open: bool
    snippets: tuple[str, ...]
    scores: np.ndarray | None


@dataclass(frozen=True)
class CodedNote:
    """A note with its codes, most probable first; `spans` (W, 2): the words' characters in `text`."""

    name: str
    text: str
    spans: np.ndarray
    codes: tuple[Coded, ...]
    n_tokens: int
    n_read: int


def page(notes: Sequence[CodedNote], about: str) -> str:
    """The page. Everything from notes, titles and file names is escaped."""
    rows = []
    for note in notes:
        # One character stands for another, so spans still fit.
        note = replace(note, name=printable(note.name), text=printable(note.text))
        levels = {i: strength(code.scores) for i, code in enumerate(note.codes) if code.scores is not None}
        rows.append((note, list(_words(note, levels)), next(iter(levels), None)))
    return TEMPLATES.get_template("note_page.html").render(notes=rows, about=about)


def _words(note: CodedNote, levels: dict[int, np.ndarray]) -> Iterator[tuple[str, str, dict[int, int]]]:
    """Each word with the text before it and its strength by code; finally the text after the last word."""
    end = 0
    for word, (first, last) in enumerate(note.spans):
        strong = {code: int(by_word[word]) for code, by_word in levels.items() if by_word[word]}
        yield note.text[end:first], note.text[first:last], strong
        end = int(last)
    yield note.text[end:], "", {}


def strength(scores: np.ndarray) -> np.ndarray:
    """The strength of each word (W,), 0 to 4, relative to the strongest; 0 below an eighth of it."""
    highest = scores.max(initial=0.0)
    if highest <= 0:
        return np.zeros(len(scores), dtype=int)
    share = np.clip(scores / highest, 0, 1)
    return np.where(share < 1 / 8, 0, np.ceil(share * LEVELS)).astype(int)
