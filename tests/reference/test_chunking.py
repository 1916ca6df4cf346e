"""Rows of documents against the authors' datasets (buckets, chunks, closing slots, truncation)."""

from pathlib import Path

import numpy as np
import pytest

from stages.encoder.architecture import Architecture
from stages.encoder.chunking import bucket, document_rows
from stages.encoder.tokenizer import SpecialIds

# The program's own limits: below 7142 tokens for the fifty codes, 6122 for all, 8192 for one long row.
MAX_TOKENS = {"ce50": 7142, "ceclean": 6122}


def architecture(name: str) -> Architecture:
    if name in MAX_TOKENS:
        return Architecture(
            encoder="CE", head="plain", padding="original", dropout=0.1, chunk_length=512, max_tokens=MAX_TOKENS[name]
        )
    return Architecture(encoder="LE", head="plain", padding="original", dropout=0.1, window=512, max_positions=8192)


def special(folder: Path) -> SpecialIds:
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").split()
    return SpecialIds(*(vocabulary.index(token) for token in ("[CLS]", "[SEP]", "[PAD]")))


@pytest.mark.parametrize("name", ["ce50", "ceclean", "le50", "leclean"])
def test_rows_are_the_authors(reference, name):
    folder = reference / "chunking"
    cases = np.load(folder / f"{name}.npz")
    assert len(cases["names"]) > 0
    for case in cases["names"]:
        rows, mask = document_rows(cases[f"{case}/tokens"], architecture(name), special(folder))
        np.testing.assert_array_equal(rows, cases[f"{case}/input_ids"], err_msg=case)
        np.testing.assert_array_equal(mask, cases[f"{case}/attention_mask"], err_msg=case)


@pytest.mark.parametrize("name", ["ce50", "ceclean"])
def test_buckets_are_the_authors(reference, name):
    table = np.load(reference / "chunking" / f"{name}.npz")["maxlen_table"]
    ours = [bucket(tokens, 512, MAX_TOKENS[name]) for tokens in range(1, len(table) + 1)]
    np.testing.assert_array_equal(ours, table)
