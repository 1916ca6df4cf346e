"""Cleaning of document text.

A cleaner takes a note as it is read; `document` makes one text of the cleaned notes of an admission. What comes out is
what cleaning and trimming the joined raw notes would give, but reading and cleaning go hand in hand.
"""

import re
from collections.abc import Callable
from itertools import filterfalse

Cleaner = Callable[[str], str]

LETTERS_AND_DIGITS = bytes(byte if chr(byte).isalnum() and byte < 128 else ord(" ") for byte in range(256))
EDGE = b"|"


def as_it_is(text: str) -> str:
    """The note as it was written, as the label-attention models of Edin et al. (2024) read it."""
    return text


def fold_white_space(text: str) -> str:
    """Runs of white space become one space; case and punctuation stay (Mullenbach et al. 2018)."""
    return " ".join(text.split())


def lower_alphanumeric(text: str) -> str:
    """Lower-case words of ASCII letters and digits, joined by one space, numbers left out (Edin et al. 2023).

    A number that is the very first or last of the text, nothing at all before or after it, stays, as in the authors'
    program: `12 a (34)` becomes `12 a `. For this rule's sake a space remains at an end where something was cut off.
    """
    spaced = text.lower().encode().translate(LETTERS_AND_DIGITS)
    # The edges make the first and the last word something else than a number, unless something parts them from it.
    words = (EDGE + spaced + EDGE).split()
    return b" ".join(filterfalse(bytes.isdigit, words))[1:-1].decode()  # type: ignore[arg-type]


def lower_words(text: str) -> str:
    """Words of letters, digits and underscores in lower case, joined by one space, numbers left out.

    The rule of Nguyen et al. (2023). A number is a word that is numeric as a whole (`str.isnumeric`), also ½ and 10²;
    words are cut before they are made small.
    """
    return " ".join(word.lower() for word in re.findall(r"\w+", text) if not word.isnumeric())


def words(raw: str, clean: Cleaner, cleaned: str) -> list[tuple[int, int, int, int]]:
    """The words that a document consists of: the characters [first, last) of each in `raw`, and [begin, end) there.

    `raw`: its notes, joined by one space; `cleaned`: the document. A cleaner changes letters of a word to small ones,
    and leaves out words and what stands between them; so words keep their order.
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
    if len(lowered) != len(raw):  # a letter that becomes two when it is made small
        source = [at for at, letter in enumerate(raw) for _ in letter.lower()]  # type: ignore[assignment]
        lowered = "".join(letter.lower() for letter in raw)
    return [
        (source[match.start()], source[match.end() - 1] + 1)
        for match in re.finditer("[a-z0-9]+", lowered)
        if not match[0].isdigit() or match.start() == 0 or match.end() == len(lowered)
    ]


def document(notes: list[str], clean: Cleaner) -> str:
    """The trimmed text of a document from its notes, each of them cleaned: joined by one space, in their order."""
    # What stands beside a note can only change what becomes of a number at its very start or end, by one rule alone.
    if (
        clean is lower_alphanumeric
        and len(notes) > 1
        and any(note[:1].isdigit() or note[-1:].isdigit() for note in notes)
    ):
        return clean(" ".join(notes)).strip()
    return " ".join(trimmed for note in notes if (trimmed := note.strip()))


def count_words(text: str) -> int:
    """Words of a cleaned text, which single spaces separate."""
    return text.count(" ") + 1 if text else 0
