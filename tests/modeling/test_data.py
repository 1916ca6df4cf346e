"""Steps, passes and batches: every document once, in rows that fit the budget."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.encoder.architecture import Architecture
from stages.encoder.tokenizer import SpecialIds
from stages.modeling import data
from stages.modeling.data import Documents, epoch_steps, pack, row_groups, tokenise

CE = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=8, max_tokens=64)
LE = Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=64)
SPECIAL = SpecialIds(cls=1, sep=2, pad=0)

shapes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 40)), min_size=1, max_size=60).map(np.array)


def documents_of(lengths: list[int], architecture: Architecture = CE) -> Documents:
    """Documents of so many words each, all different."""
    words = iter(range(3, 10_000))
    tokens = [[1, *(next(words) for _ in range(length)), 2] for length in lengths]
    offsets = np.cumsum([0, *map(len, tokens)])
    targets = sp.csr_array(np.eye(len(lengths), 4, dtype=np.uint8))
    ids = [str(number) for number in range(len(lengths))]
    return Documents(ids, np.concatenate(tokens).astype(np.int32), offsets, targets, architecture, SPECIAL)


@given(shapes, st.integers(1, 20), st.integers(0, 5))
def test_an_epoch_has_every_document_once(shapes, batch_documents, epoch):
    steps = epoch_steps(shapes.prod(axis=1), batch_documents, seed=3, epoch=epoch)
    assert sorted(np.concatenate(steps)) == list(range(len(shapes)))
    whole, rest = divmod(len(shapes), batch_documents)
    assert sorted(map(len, steps)) == ([rest] if rest else []) + [batch_documents] * whole
    assert shapes.prod(axis=1).max() in shapes[steps[0]].prod(axis=1)


def test_an_epoch_depends_on_seed_and_number_alone():
    some = np.random.default_rng(0).integers(1, 81, 50)
    first = [list(step) for step in epoch_steps(some, 4, seed=1, epoch=2)]
    assert first == [list(step) for step in epoch_steps(some, 4, seed=1, epoch=2)]
    assert first != [list(step) for step in epoch_steps(some, 4, seed=1, epoch=3)]
    assert first != [list(step) for step in epoch_steps(some, 4, seed=2, epoch=2)]


def test_documents_of_like_length_share_a_step():
    """Padded to the longest of each step, far less is padding than in random steps."""
    lengths = np.random.default_rng(0).integers(1, 500, 800)
    padded = sum(16 * lengths[step].max() for step in epoch_steps(lengths, 16, seed=0, epoch=0))
    assert padded < 1.05 * lengths.sum()


@given(shapes, st.integers(1, 30))
def test_passes_keep_order_and_budget(shapes, budget):
    passes = pack(range(len(shapes)), shapes, budget, CE)
    assert list(np.concatenate(passes)) == list(range(len(shapes)))
    for number, part in enumerate(passes):
        cells = shapes[part, 0].sum() * shapes[part, 1].max()
        assert cells <= budget * CE.chunk_length or len(part) == 1
        if number + 1 < len(passes):
            more = np.append(part, passes[number + 1][0])
            assert shapes[more, 0].sum() * shapes[more, 1].max() > budget * CE.chunk_length


def test_budget_of_le_counts_windows():
    """Rows of 16, 16 and 24 tokens in windows of 8: six windows hold two rows of 24."""
    some = np.array([[1, 16], [1, 16], [1, 24], [1, 24]])
    assert [list(part) for part in pack(range(4), some, 6, LE)] == [[0, 1], [2, 3]]


def test_batch_by_hand():
    """A text of 4 words is one row; one of 7 words has three chunks of 6 tokens, each sharing 3 with the next."""
    documents = documents_of([4, 7])
    assert documents.shapes.tolist() == [[1, 6], [3, 8]]
    batch = documents.batch([1, 0])
    assert batch.input_ids.tolist() == [
        [1, 7, 8, 9, 10, 11, 12, 2],
        [1, 10, 11, 12, 13, 2, 0, 0],
        [1, 13, 2, 0, 0, 0, 0, 0],
        [1, 3, 4, 5, 6, 2, 0, 0],
    ]
    assert batch.attention_mask.tolist() == [[1] * real + [0] * (8 - real) for real in (8, 6, 3, 6)]
    assert batch.document.tolist() == [0, 0, 0, 1]
    assert batch.n_documents == 2
    assert batch.input_ids.dtype == batch.document.dtype == torch.int64
    assert documents.dense_targets([1, 0]).tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def cuts_of(n_rows: int):
    """Every way to cut so many rows into groups, as the numbers of rows."""
    for inside in itertools.product([False, True], repeat=n_rows - 1):
        ends = [*(i + 1 for i, cut in enumerate(inside) if cut), n_rows]
        yield [end - start for start, end in itertools.pairwise([0, *ends])]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(0, 60))
def test_no_other_grouping_is_cheaper(lengths, cost):
    lengths = np.array(sorted(lengths, reverse=True))

    def price(numbers):
        firsts = np.cumsum([0, *numbers[:-1]])
        return sum(number * lengths[first] + cost for number, first in zip(numbers, firsts, strict=True))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "GROUP_COST", cost)
        groups = row_groups(lengths)
    numbers = [number for number, _ in groups] or [len(lengths)]
    assert price(numbers) == min(map(price, cuts_of(len(lengths))))
    assert [length for _, length in groups] == lengths[np.cumsum([0, *numbers[:-1]])].tolist()[: len(groups)]


def test_a_batch_in_groups_has_the_same_rows_the_longest_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(data, "GROUP_COST", 1)
    documents = documents_of([4, 7])
    batch = documents.batch([1, 0])
    assert batch.groups == ((1, 8), (2, 6), (1, 3))
    assert batch.input_ids[0].tolist() == [1, 7, 8, 9, 10, 11, 12, 2]
    assert batch.input_ids[3].tolist() == [1, 13, 2, 0, 0, 0, 0, 0]
    assert batch.attention_mask.sum(dim=1).tolist() == [8, 6, 6, 3]
    assert batch.document.tolist() == [0, 0, 1, 0]
    original = CE.model_copy(update={"padding": "original"})  # there padding is attended to
    assert documents_of([4, 7], original).batch([1, 0]).groups == ()


@given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(1, 5), st.integers(1, 60))
def test_parts_have_the_rows_of_the_whole(lengths, n_parts, cost):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "GROUP_COST", cost)
        whole = documents_of(lengths).batch(range(len(lengths)))
    parts = whole.parts(n_parts)
    assert len(parts) <= n_parts
    torch.testing.assert_close(torch.cat([part.document for part in parts]), whole.document)
    rows = [row[mask > 0].tolist() for part in (whole, *parts) for row, mask in zip(*part[:2], strict=True)]
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]
    computed = []
    for part in parts:
        groups = part.groups or (tuple(part.input_ids.shape),)
        assert part.n_documents == len(lengths)
        assert sum(count for count, _ in groups) == len(part.input_ids)
        assert max(length for _, length in groups) == part.input_ids.shape[1]
        read = torch.tensor([length for count, length in groups for _ in range(count)])
        assert (part.attention_mask.sum(dim=1) <= read).all()
        computed.append(read.sum().item())
    assert sum(computed) == sum(n * length for n, length in whole.groups or (whole.input_ids.shape,))


def test_tokenise():
    def tokenizer(texts, **_):
        return {"input_ids": [[1, *(len(word) for word in text.split()), 2] for text in texts]}

    tokens, offsets = tokenise(["a bb", "", "ccc"], tokenizer)
    assert tokens.tolist() == [1, 1, 2, 2, 1, 2, 1, 3, 2]
    assert offsets.tolist() == [0, 4, 6, 9]
    assert tokens.dtype == np.int32
