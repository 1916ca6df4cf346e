import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stages.common.io import InputError
from stages.encoder.builtin import (
    Chunks,
    Recipe,
    SynonymPairs,
    bag_of_words_loss,
    build_tokenizer,
    build_vocabulary,
    count_words,
    mask_words,
    masked_word_loss,
    synonym_contrast_loss,
    train_builtin_encoder,
    word_tokens,
)

ROOT = Path(__file__).parents[2]
SIZES = {"layers": 1, "hidden": 16, "heads": 2, "vocabulary": 400, "positions": 32, "chunk_length": 16, "seed": 3}
TINY = Recipe(**SIZES, steps=5, batch_size=4, learning_rate=1e-2)
SYNONYMS = {
    "428.0": ["heart failure", "cardiac decompensation", "weak heart", "CHF"],
    "486": ["pneumonia", "lung infection", "infiltrate in the lung"],
    "599.0": ["urinary infection", "UTI", "pyuria with fever"],
    "285.9": ["anemia", "low hemoglobin", "low blood count"],
    "311": ["depression", "low mood", "depressive disorder"],
    "V58.61": ["anticoagulation"],
}


def some_documents() -> list[str]:
    """Notes that name two codes each by one of their synonyms, between other words."""
    rng = np.random.default_rng(0)
    notes = []
    for _ in range(80):
        first, second = (rng.choice(SYNONYMS[code]) for code in rng.permutation(sorted(SYNONYMS))[:2])
        notes.append(f"Admitted on {rng.integers(1, 30)} May with {first}. Course: {second}, treated; went home.")
    return notes


def test_words_are_counted_in_the_asked_case():
    texts = ["Heart failure, no FAILURE.", "heart-rate"]
    assert count_words(texts, lowercase=True) == {"heart": 2, "failure": 2, ",": 1, "no": 1, ".": 1, "-": 1, "rate": 1}
    assert count_words(texts, lowercase=False)["FAILURE"] == 1


def test_the_vocabulary_takes_the_most_frequent_words():
    counts = {"fever": 9, "cough": 9, "dysuria": 3, "hematuria": 2, "a": 50}
    fixed = 5 + 2 * 94
    assert build_vocabulary(counts, fixed + 4)[fixed:] == ["cough", "fever", "dysuria", "hematuria"]
    assert build_vocabulary(counts, fixed + 50)[fixed:] == ["cough", "fever", "dysuria", "hematuria"]
    assert build_vocabulary(counts, fixed + 3)[fixed:] == ["cough", "fever", "dysuria"]
    assert len(build_vocabulary(counts, 0)) == fixed


VOCABULARY = build_vocabulary(count_words(some_documents(), lowercase=True), 230)


@pytest.mark.parametrize("lowercase", [True, False])
@hypothesis_settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(min_codepoint=9, max_codepoint=126), max_size=60))
def test_no_ascii_text_is_unknown(lowercase, text):
    tokenizer = build_tokenizer(VOCABULARY, 32, lowercase)
    tokens = tokenizer.tokenize(text.replace("[UNK]", ""))
    assert "[UNK]" not in tokens


def test_the_bag_of_words_loss_by_hand():
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))
    tokens = torch.tensor([[0, 1, 3, 3]])  # a word counts once, and token 0 has no weight
    loss = bag_of_words_loss(logits, tokens, torch.tensor([0.0, 1.0, 5.0, 3.0]))
    assert loss.item() == pytest.approx(-(math.log(0.2) + 3 * math.log(0.4)) / 4, rel=1e-6)


def test_a_text_without_weighted_words_costs_nothing():
    assert bag_of_words_loss(torch.randn(2, 4), torch.zeros(2, 3, dtype=torch.long), torch.zeros(4)).item() == 0


def test_the_contrast_by_hand():
    first = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    aligned = synonym_contrast_loss(first, torch.tensor([[3.0, 0.0], [0.0, 1.0]]))
    assert aligned.item() == pytest.approx(math.log(1 + math.exp(-10)), rel=1e-3)
    crossed = synonym_contrast_loss(first, torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert crossed.item() == pytest.approx(10 + math.log(1 + math.exp(-10)), rel=1e-5)


def test_no_masked_word_costs_nothing():
    assert masked_word_loss(torch.randn(0, 7), torch.zeros(0, dtype=torch.long)).item() == 0
    logits = torch.zeros(2, 7)
    assert masked_word_loss(logits, torch.tensor([1, 4])).item() == pytest.approx(math.log(7))


def test_masking_spares_all_but_words():
    tokenizer = build_tokenizer(VOCABULARY, 32)
    words = word_tokens(tokenizer)
    ids = tokenizer("Fever on 12 May, 2020: 38.5 and cough", return_tensors="pt")["input_ids"].repeat(400, 1)
    masked, chosen = mask_words(ids, words, tokenizer.mask_token_id, np.random.default_rng(1))
    assert not chosen[~words[ids]].any()
    assert torch.equal(masked[~chosen], ids[~chosen])
    assert chosen.sum() / words[ids].sum() == pytest.approx(0.15, abs=0.02)
    changed = masked[chosen]
    assert (changed == tokenizer.mask_token_id).float().mean() == pytest.approx(0.8, abs=0.05)
    assert words[changed[changed != tokenizer.mask_token_id]].all()
    kept = (changed == ids[chosen]).float().mean()
    assert kept == pytest.approx(0.1, abs=0.04)


def test_chunks_are_windows_of_documents():
    tokenizer = build_tokenizer(VOCABULARY, 32)
    documents = [list(range(100, 103)), list(range(110, 140))]
    for row in Chunks(documents, 10, tokenizer).sample(50, np.random.default_rng(2)).tolist():
        window = row[1 : row.index(tokenizer.sep_token_id)]
        assert row[0] == tokenizer.cls_token_id
        assert row[len(window) + 2 :] == [tokenizer.pad_token_id] * (8 - len(window))
        assert window == documents[0] or (len(window) == 8 and window == list(range(window[0], window[0] + 8)))
        assert set(window) <= set(documents[0]) or set(window) <= set(documents[1])


def test_inverse_document_frequencies_by_hand():
    chunks = Chunks([[5, 5, 6], [5, 7], [5, 6], [5]], 8, build_tokenizer(VOCABULARY, 32))
    expected = [0, 0, 0, 0, 0, math.log(4 / 4), math.log(4 / 2), math.log(4 / 1), 0]
    assert chunks.inverse_document_frequencies(9).tolist() == pytest.approx(expected)


def test_pairs_are_two_phrases_of_one_code():
    tokenizer = build_tokenizer(VOCABULARY, 32)
    pairs = SynonymPairs(SYNONYMS, 32, tokenizer)
    assert len(pairs) == 5  # one code has a single phrase
    code_of = {tokenizer.decode(tokenizer(phrase)["input_ids"]): code for code in SYNONYMS for phrase in SYNONYMS[code]}
    rng = np.random.default_rng(4)
    for _ in range(20):
        phrases = tokenizer.batch_decode(pairs.sample(3, rng))
        first, second = (
            [phrase.replace(" [PAD]", "").replace("[PAD]", "") for phrase in half]
            for half in (phrases[:3], phrases[3:])
        )
        assert [code_of[phrase] for phrase in first] == [code_of[phrase] for phrase in second]
        assert len({code_of[phrase] for phrase in first}) == 3
        assert all(one != other for one, other in zip(first, second, strict=True))


def test_pretraining_tells_codes_apart():
    recipe = Recipe(**{**SIZES, "hidden": 32}, steps=120, batch_size=16, learning_rate=1e-2)

    def cosines(steps: int) -> tuple[float, float]:
        """The mean cosine of two phrases of one code, and of two codes."""
        settings = Recipe(**{**vars(recipe), "steps": steps})
        encoder, tokenizer = train_builtin_encoder(some_documents(), SYNONYMS, settings, lowercase_documents=True)
        codes = [code for code in SYNONYMS for _ in SYNONYMS[code]]
        phrases = tokenizer(
            [phrase for code in SYNONYMS for phrase in SYNONYMS[code]], padding=True, return_tensors="pt"
        )
        with torch.no_grad():
            vectors = F.normalize(encoder(**phrases).last_hidden_state[:, 0], dim=1)
        same = torch.tensor([[one == other for other in codes] for one in codes])
        others = ~torch.eye(len(codes), dtype=torch.bool)
        similarity = vectors @ vectors.T
        return similarity[same & others].mean().item(), similarity[~same].mean().item()

    same, different = cosines(recipe.steps)
    assert same > 0.5
    assert different < 0.1
    assert cosines(1)[1] > 0.9  # where it comes from


def test_synonyms_are_not_needed():
    encoder, _ = train_builtin_encoder(some_documents(), {"486": ["pneumonia"]}, TINY, lowercase_documents=True)
    assert all(weight.isfinite().all() for weight in encoder.parameters())


def test_cased_documents_get_a_cased_vocabulary():
    _, tokenizer = train_builtin_encoder(some_documents(), SYNONYMS, TINY, lowercase_documents=False)
    assert {"Admitted", "pneumonia", "chf"} <= set(tokenizer.get_vocab())
    assert tokenizer.tokenize("PNEUMONIA") == ["pneumonia"]


def test_the_random_generator_of_torch_is_left_alone():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    train_builtin_encoder(some_documents(), SYNONYMS, TINY, lowercase_documents=True)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("documents", [[], ["", "  "], ["12 5 -", "2020"]])
def test_documents_without_a_word(documents):
    with pytest.raises(InputError, match="no training document has a word"):
        train_builtin_encoder(documents, {"486": []}, TINY, lowercase_documents=True)
