"""Agreement of attributions with marked tokens, by hand; and faithfulness on a model whose needs are known."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.common import devices
from stages.encoder.tokenizer import special_ids
from stages.explanation import faithfulness, plausibility
from stages.explanation.attribution import Words
from stages.explanation.faithfulness import SHARES, Case, mask_words
from stages.explanation.plausibility import CUTOFFS, Pair, area, best_cutoff, normalise
from tests.explanation.test_attribution import TEXT, build, logits_of
from tests.project import CPU

# Two documents, three pairs. Of the first pair's tokens two are marked, its scores are clear; of the second's none of
# the three highest is; of the third's all scores are 0.
PAIRS = [
    Pair(0, np.array([0.0, 0.6, 0.36, 0.04]), np.array([False, True, True, False])),
    Pair(0, np.array([0.02, 0.49, 0.0, 0.49]), np.array([True, False, False, False])),
    Pair(1, np.zeros(4), np.array([False, False, True, False])),
]


def figure(name: str, cutoff: float, documents=(1.0, 1.0)) -> float:
    place = int(np.argmin(abs(CUTOFFS - cutoff)))
    statistic = plausibility.statistics(PAIRS, 2, place)[name]
    return float(statistic.at(np.array([documents]))[0])


def test_by_hand():
    # Above 0.05 lie two of two marked tokens of the first pair, two wrong ones of the second, none of the third.
    assert figure("precision", 0.05) == pytest.approx(2 / 4)
    assert figure("recall", 0.05) == pytest.approx(2 / 4)
    assert figure("f1", 0.05) == pytest.approx(2 * 2 / (2 * 2 + 2 + 2))
    assert figure("no_token", 0.05) == pytest.approx(1 / 3)
    # At 0.01 the first pair's fourth token is wrong too, and the second's first is found.
    assert figure("precision", 0.01) == pytest.approx(3 / 6)
    assert figure("recall", 0.01) == pytest.approx(3 / 4)
    # The top tokens: right, wrong, wrong (of equal scores the first token).
    assert figure("top_token", 0.05) == pytest.approx(1 / 3)
    # As many as are marked: both of two; none of one; of the third, all 0, the first token.
    assert figure("iou", 0.05) == pytest.approx((2 / 2 + 0 + 0) / 3)
    assert figure("recall_at_1", 0.05) == pytest.approx((1 / 2 + 0 + 0) / 3)
    assert figure("recall_at_5", 0.05) == pytest.approx(1)
    # A resample of the first document alone.
    assert figure("recall", 0.05, (2.0, 0.0)) == pytest.approx(2 / 3)
    assert figure("top_token", 0.05, (2.0, 0.0)) == pytest.approx(1 / 2)


def test_the_cutoff_is_the_best_and_the_lowest_of_equal_ones():
    """Token F1 is 2 * 3 / (2 * 3 + 3 + 1) below 0.02 and 1/2 from there on."""
    assert CUTOFFS[best_cutoff(PAIRS)] == 0
    result = [Pair(0, np.array([0.0, 0.945, 0.055]), np.array([False, True, False]))]
    assert CUTOFFS[best_cutoff(result)] == pytest.approx(0.055)


def test_the_area_by_hand():
    """Recall 0.5 at precision 1, then 1 at precision 0.5: 0.5 x 1 + 0.5 x 0.75; no token at all leaves no area."""
    counts = np.zeros((2, 3, len(CUTOFFS)))
    counts[0, :, :50] = np.array([2, 2, 0])[:, None]
    counts[0, :, 50:80] = np.array([1, 0, 1])[:, None]
    counts[0, 2, 80:] = 2
    counts[1, 2] = 2
    np.testing.assert_allclose(area(counts), [0.5 + 0.5 * 0.75, 0])


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=20))
def test_normalised_scores_are_shares(values):
    shares = normalise(np.array(values))
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1) or not shares.any()
    assert (shares[np.array(values) <= 0] == 0).all()


def test_which_words_are_masked():
    """Of 40 words 1, 2, 4, 8, 20 (round_to_quanta up), the highest first; then all but these."""
    scores = np.random.default_rng(0).permutation(40).astype(float)
    masks = mask_words(scores)
    assert [mask.sum() for mask in masks] == [1, 2, 4, 8, 20, 39, 38, 36, 32, 20]
    for share, highest, others in zip(SHARES, masks, masks[len(SHARES) :], strict=False):
        assert (highest ^ others).all()
        assert scores[highest].min() > scores[~highest].max() or share == 1


@pytest.mark.parametrize("name", ["CE_MSAM", "LE"])
def test_what_is_needed_is_measured(bert_folder, name):
    """Against probabilities of texts in which the words stand replaced; special tokens stay."""
    model = build(bert_folder, name)
    model.tokenizer.split_special_tokens = False  # `[UNK]` stands for a hidden word below
    words = Words.from_text(TEXT, model.tokenizer)
    mask = model.tokenizer.unk_token_id
    scores = np.random.default_rng(1).random((2, len(words.spans)))
    cases = [Case(words, code, row) for code, row in zip((3, 1), scores, strict=True)]
    accelerator = devices.start(CPU)
    result = faithfulness.drops(model, cases, mask, special_ids(model.tokenizer), 8, accelerator)

    def probability(case: Case, masked: np.ndarray) -> float:
        shown = ["[UNK]" if hidden else TEXT[slice(*span)] for span, hidden in zip(words.spans, masked, strict=True)]
        other = Words.from_text(" ".join(shown), model.tokenizer)
        return float(torch.sigmoid(torch.tensor(logits_of(model, other)[case.code])))

    for i, case in enumerate(cases):
        whole = probability(case, np.zeros(len(words.spans), dtype=bool))
        fallen = [1 - probability(case, masked) / whole for masked in mask_words(case.scores)]
        assert result[0][i] == pytest.approx(np.mean(fallen[:5]), abs=1e-4)
        assert result[1][i] == pytest.approx(np.mean(fallen[5:]), abs=1e-4)
