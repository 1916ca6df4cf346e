import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.encoder.architecture import Architecture
from stages.encoder.chunking import bucket, document_rows, document_shape
from stages.encoder.tokenizer import SpecialIds

SPECIAL = SpecialIds(cls=7, sep=8, pad=9)
CLS, SEP, PAD = 7, 8, 9


def chunks_of_8(padding: str, max_tokens: int = 26) -> Architecture:
    """Windows of 6 tokens, stride 3; buckets of 8, 13, 19, 25 tokens."""
    return Architecture(encoder="CE", head="plain", padding=padding, chunk_length=8, max_tokens=max_tokens)


def windows_of_4(padding: str) -> Architecture:
    return Architecture(encoder="LE", head="plain", padding=padding, window=4, max_positions=12)


def text(words: int) -> list[int]:
    """[CLS], the tokens 101, 102, ..., [SEP]."""
    return [CLS, *range(101, 101 + words), SEP]


def test_short_text_is_one_row():
    rows, mask = document_rows(text(3), chunks_of_8("original"), SPECIAL)
    assert rows.tolist() == [[CLS, 101, 102, 103, SEP, PAD, PAD, PAD]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 0, 0, 0]]
    rows, mask = document_rows(text(3), chunks_of_8("masked"), SPECIAL)
    assert rows.tolist() == [[CLS, 101, 102, 103, SEP]]
    assert mask.tolist() == [[1, 1, 1, 1, 1]]


def test_chunks_overlap_by_half_and_close_with_sep_only_when_open():
    rows, mask = document_rows(text(9), chunks_of_8("original"), SPECIAL)
    assert rows.tolist() == [
        [CLS, 101, 102, 103, 104, 105, 106, SEP],
        [CLS, 104, 105, 106, 107, 108, 109, SEP],
        [CLS, 107, 108, 109, SEP, PAD, PAD, PAD],
    ]
    assert mask.tolist() == [[1] * 8, [1] * 8, [1, 1, 1, 1, 1, 0, 0, 0]]


def test_masked_leaves_out_the_chunk_that_holds_only_the_closing_sep():
    original, _ = document_rows(text(12), chunks_of_8("original"), SPECIAL)
    assert original[:, 1].tolist() == [101, 104, 107, 110, SEP]
    assert original[4].tolist() == [CLS, SEP, PAD, PAD, PAD, PAD, PAD, PAD]
    masked, _ = document_rows(text(12), chunks_of_8("masked"), SPECIAL)
    assert masked.tolist() == original[:4].tolist()


def test_too_long_text_is_cut_at_the_largest_bucket_and_closed():
    rows, mask = document_rows(text(100), chunks_of_8("original", max_tokens=19), SPECIAL)
    assert rows.tolist() == [
        [CLS, 101, 102, 103, 104, 105, 106, SEP],
        [CLS, 104, 105, 106, 107, 108, 109, SEP],
        [CLS, 107, 108, 109, 110, 111, SEP, PAD],
    ]
    assert mask[2].tolist() == [1] * 7 + [0]


def test_one_long_row():
    rows, mask = document_rows(text(4), windows_of_4("original"), SPECIAL)
    assert rows.tolist() == [[CLS, 101, 102, 103, 104, SEP, PAD, PAD]]
    assert mask.tolist() == [[1, 1, 1, 1, 1, 1, 0, 0]]
    rows, mask = document_rows(text(4), windows_of_4("masked"), SPECIAL)
    assert rows.tolist() == [[CLS, 101, 102, 103, 104, SEP]]
    rows, _ = document_rows(text(30), windows_of_4("masked"), SPECIAL)
    assert rows.tolist() == [[CLS, *range(101, 111), SEP]]


@pytest.mark.parametrize(
    "tokens, length", [(2, 8), (8, 8), (9, 13), (13, 13), (14, 19), (19, 19), (20, 25), (25, 25), (99, 25)]
)
def test_buckets(tokens, length):
    assert bucket(tokens, 8, 26) == length


def test_the_limit_itself_is_no_bucket():
    assert bucket(99, 8, 25) == 19
    assert bucket(99, 8, 13) == 8
    assert [bucket(10**6, 512, limit) for limit in (7142, 6122)] == [7141, 6121]


@given(words=st.integers(0, 40), half=st.integers(4, 8), max_tokens=st.integers(20, 60))
def test_masked_rows_hold_the_whole_text_and_each_some_of_it(words, half, max_tokens):
    sizes = {"chunk_length": 2 * half, "max_tokens": max(max_tokens, 2 * half + 1)}
    masked, mask = document_rows(
        text(words), Architecture(encoder="CE", head="plain", padding="masked", **sizes), SPECIAL
    )
    original, original_mask = document_rows(
        text(words), Architecture(encoder="CE", head="plain", padding="original", **sizes), SPECIAL
    )
    kept = bucket(words + 2, **sizes) - 2
    for rows, padding in ((masked, "masked"), (original, "original")):
        architecture = Architecture(encoder="CE", head="plain", padding=padding, **sizes)
        assert document_shape(words + 2, architecture) == rows.shape
    assert set(masked[mask == 1]) - {CLS, SEP} == set(range(101, 101 + min(words, kept)))
    assert ((masked > 100).any(1) | (words == 0)).all()
    assert (masked[:, 0] == CLS).all()
    length = masked.shape[1]
    np.testing.assert_array_equal(masked, original[: len(masked), :length])
    np.testing.assert_array_equal(mask, original_mask[: len(masked), :length])
    assert not (original[len(masked) :] > 100).any()
    assert (masked[mask == 0] == PAD).all()
