"""One form for every phrase, whatever pool it comes from."""

import re

_BOX = re.compile(r"\[x\]")
_OTHER = re.compile(r"[^A-Za-z0-9()\[\] ]+")
_SPACES = re.compile(r" {2,}")


def normalise(phrase: str) -> str:
    """The phrase with ` or ` and ` and ` dropped, and only letters, digits, brackets and single spaces left.

    Case is kept. As in the authors' program, where `[x]` marks terms of one UMLS source and gets a space behind it.
    """
    phrase = _BOX.sub("[x] ", phrase).replace(" or ", " ").replace(" and ", " ")
    return _SPACES.sub(" ", _OTHER.sub(" ", phrase)).strip()


def normalise_all(phrases: list[str], max_characters: int) -> list[str]:
    """Normalised phrases in their order of first appearance, each once.

    Left out are empty ones and those that have `max_characters` characters or more before they are normalised.
    """
    short = (phrase.strip() for phrase in phrases if len(phrase.strip()) < max_characters)
    return [phrase for phrase in dict.fromkeys(map(normalise, short)) if phrase]
