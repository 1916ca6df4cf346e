"""Cleaning of document text.

A cleaner takes a note as it is read; `document` makes one text of the cleaned notes of an admission. What comes out is
what cleaning and trimming the joined raw notes would give, but reading and cleaning go hand in hand.
"""

from collections.abc import Callable
from itertools import filterfalse

Cleaner = Callable[[str], str]

LETTERS_AND_DIGITS = bytes(byte if chr(byte).isalnum() and byte < 128 else ord(" ") for byte in range(256))
EDGE = b"|"


def fold_white_space(text: str) -> str:
    """Runs of white space become one space; case and punctuation stay (Mullenbach et al. 2018)."""
    return " ".join(text.split())


def lower_alphanumeric(text: str) -> str:
    """Lower-case words of ASCII letters and digits, joined by one space, numbers left out (Edin et al. 2023).

    A number that is the very first or last of the text, nothing at all before or behind it, stays, as in the authors'
    program: `12 a (34)` becomes `12 a `. For this rule's sake a space remains at an end where something was cut off.
    """
    spaced = text.lower().encode().translate(LETTERS_AND_DIGITS)
    # The edges make the first and the last word something else than a number, unless something parts them from it.
    words = (EDGE + spaced + EDGE).split()
    return b" ".join(filterfalse(bytes.isdigit, words))[1:-1].decode()


def document(notes: list[str], clean: Cleaner) -> str:
    """The trimmed text of a document from its notes, each of them cleaned: joined by one space, in their order."""
    # What stands beside a note can only change what becomes of a number at its very start or end.
    if len(notes) > 1 and any(note[:1].isdigit() or note[-1:].isdigit() for note in notes):
        return clean(" ".join(notes)).strip()
    return " ".join(trimmed for note in notes if (trimmed := note.strip()))


def count_words(text: str) -> int:
    """Words of a cleaned text, which single spaces separate."""
    return text.count(" ") + 1 if text else 0
