import pytest

from stages.synonyms.pools import normalise, normalise_all


@pytest.mark.parametrize(
    "phrase,expected",
    [
        ("Heart failure, unspecified", "Heart failure unspecified"),
        ("[x]depressive disorder", "[x] depressive disorder"),
        ("fluid or electrolyte and acid-base", "fluid electrolyte acid base"),
        ("or stenosis and", "or stenosis and"),  # only with a space on either side
        ("organ and organ system", "organ organ system"),
        ("diabetes (mellitus) [DM]", "diabetes (mellitus) [DM]"),
        ("  two   spaces\tand a tab ", "two spaces and a tab"),
        ("Menière's", "Meni re s"),
        ("--;--", ""),
        ("salt and or and water", "salt and water"),  # one pass for each word, as the authors' program makes
    ],
)
def test_normalise(phrase, expected):
    assert normalise(phrase) == expected


def test_what_is_the_same_afterwards_counts_once():
    assert normalise_all(["renal failure", "renal-failure", "Renal failure", "", "?!", "renal  failure"], 512) == [
        "renal failure",
        "Renal failure",
    ]


def test_long_phrases_are_left_out_by_their_length_as_given():
    assert normalise_all(["a" * 511, "b" * 512, " " + "c" * 511 + " ", "d." * 256], 512) == ["a" * 511, "c" * 511]
