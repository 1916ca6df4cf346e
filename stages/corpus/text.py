"""Cleaning of document text.

A cleaner is applied to each note as it is read, and `document` joins an admission's cleaned notes. The result equals
cleaning and trimming the joined raw notes.
"""

import re
from collections.abc import Callable
from itertools import filterfalse

Cleaner = Callable[[str], str]

LETTERS_AND_DIGITS = bytes(byte if chr(byte).isalnum() and byte < 128 else ord(" ") for byte in range(256))
EDGE = b"|"


def as_it_is(text: str) -> str:
    """The unchanged note, as in the label-attention models of Edin et al. (2024)."""
    return text


def fold_white_space(text: str) -> str:
    """Collapse runs of whitespace to one space; keep case and punctuation (Mullenbach et al. 2018)."""
    return " ".join(text.split())


def lower_alphanumeric(text: str) -> str:
    """Lower-case words of ASCII letters and digits joined by single spaces, without numbers (Edin et al. 2023).

    As in the authors' program, a number at the very start or end of the text stays: `12 a (34)` becomes `12 a `. For
    that reason a space remains at an end where something was removed.
    """
    spaced = text.lower().encode().translate(LETTERS_AND_DIGITS)
    # The edge markers keep a first or last word from counting as a number unless something separates them.
    words = (EDGE + spaced + EDGE).split()
    return b" ".join(filterfalse(bytes.isdigit, words))[1:-1].decode()  # type: ignore[arg-type]


def lower_words(text: str) -> str:
    """Lower-case words of letters, digits and underscores joined by single spaces, without numbers.

    The rule of Nguyen et al. (2023). A number is a word for which `str.isnumeric` holds, including ½ and 10²; words are
    split before lower-casing.
    """
    return " ".join(word.lower() for word in re.findall(r"\w+", text) if not word.isnumeric())


def words(raw: str, clean: Cleaner, cleaned: str) -> list[tuple[int, int, int, int]]:
    """The words of a document: each one's characters [first, last) in `raw` and [begin, end) in `cleaned`.

    `raw`: the notes joined by single spaces; `cleaned`: the document. Cleaners lower-case words and remove words and
    the text between them, so the order of words is kept.
    """
    if clean is lower_alphanumeric:
        spans = _alphanumeric_words(raw)
    elif clean is lower_words:
        spans = [match.span() for match in re.finditer(r"\w+", raw) if not match[0].isnumeric()]
    else:
        spans = [match.span() for match in re.finditer(r"\S+", raw)]
    places = (match.span() for match in re.finditer(r"\S+", cleaned))
    return [(*span, *place) for span, place in zip(spans, places, strict=True)]


def _alphanumeric_words(raw: str) -> list[tuple[int, int]]:
    """The words of `lower_alphanumeric(raw)` in `raw`."""
    lowered = raw.lower()
    source = range(len(raw))
    if len(lowered) != len(raw):  # a letter whose lower case is two letters
        source = [i for i, letter in enumerate(raw) for _ in letter.lower()]  # type: ignore[assignment]
        lowered = "".join(letter.lower() for letter in raw)
    return [
        (source[match.start()], source[match.end() - 1] + 1)
        for match in re.finditer("[a-z0-9]+", lowered)
        if not match[0].isdigit() or match.start() == 0 or match.end() == len(lowered)
    ]


def document(notes: list[str], clean: Cleaner) -> str:
    """The trimmed text of a document: its cleaned notes, in order, joined by single spaces."""
    # A note's neighbours only matter for a number at its very start or end, and only under one rule.
    if (
        clean is lower_alphanumeric
        and len(notes) > 1
        and any(note[:1].isdigit() or note[-1:].isdigit() for note in notes)
    ):
        return clean(" ".join(notes)).strip()
    return " ".join(trimmed for note in notes if (trimmed := note.strip()))


def count_words(text: str) -> int:
    """The number of words of a cleaned text, which single spaces separate."""
    return text.count(" ") + 1 if text else 0
