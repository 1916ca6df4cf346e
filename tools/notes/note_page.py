"""Coded notes as one page that stands alone: the note on one side, its codes on the other, and what made each code.

Choosing a code lights up its words. The strength is shown by colour (blue, which all eyes tell from white) and by a
thicker line under the word, so that it can be read without colour; the first code is lit without JavaScript.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader

from stages.common.outside import shown

LEVELS = 4
TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


@dataclass(frozen=True)
class Coded:
    """One code of a note.

    state: accepted, to review or left out. open: training has not seen it, and it is scored by its words. scores (W,):
    of the note's words, None where none were asked for.
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
    """A note with its codes, the most probable first; `spans` (W, 2) are the words' characters in `text`."""

    name: str
    text: str
    spans: np.ndarray
    codes: tuple[Coded, ...]
    n_tokens: int
    n_read: int


def page(notes: Sequence[CodedNote], about: str) -> str:
    """The page. Everything that came from a note, a title or a file's name is escaped."""
    rows = []
    for note in notes:
        note = replace(note, name=shown(note.name), text=shown(note.text))  # a sign for a sign, so spans still fit
        levels = {i: strength(code.scores) for i, code in enumerate(note.codes) if code.scores is not None}
        rows.append((note, list(_words(note, levels)), next(iter(levels), None)))
    return TEMPLATES.get_template("note_page.html").render(notes=rows, about=about)


def _words(note: CodedNote, levels: dict[int, np.ndarray]) -> Iterator[tuple[str, str, dict[int, int]]]:
    """Each word with what stands before it, and how strong it is for which codes; at the end what comes after all."""
    end = 0
    for word, (first, last) in enumerate(note.spans):
        strong = {code: int(by_word[word]) for code, by_word in levels.items() if by_word[word]}
        yield note.text[end:first], note.text[first:last], strong
        end = int(last)
    yield note.text[end:], "", {}


def strength(scores: np.ndarray) -> np.ndarray:
    """The strength of each word (W,), 0 to 4, as a share of the strongest; what is below an eighth of it is 0."""
    highest = scores.max(initial=0.0)
    if highest <= 0:
        return np.zeros(len(scores), dtype=int)
    share = np.clip(scores / highest, 0, 1)
    return np.where(share < 1 / 8, 0, np.ceil(share * LEVELS)).astype(int)
