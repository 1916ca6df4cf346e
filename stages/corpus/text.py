"""Cleaning of document text."""

import re

NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")
NUMBERS = re.compile(r"(?: [0-9]+)+ ")


def fold_white_space(text: str) -> str:
    """Runs of white space become one space, none at the ends; case and punctuation stay (Mullenbach et al. 2018)."""
    return " ".join(text.split())


def lower_alphanumeric(text: str) -> str:
    """Lower-case letters and digits only, words joined by one space, numbers left out (Edin et al. 2023).

    A number that the text starts or ends with, with nothing before or behind it, stays, as in the authors' program.
    The rule sees the text untrimmed: behind leading punctuation a number does go.
    """
    return NUMBERS.sub(" ", NOT_ALPHANUMERIC.sub(" ", text.lower())).strip()


def count_words(text: str) -> int:
    """Words of a cleaned text, in which single spaces part them."""
    return text.count(" ") + 1 if text else 0
