"""What each token gave a code: exact for MSAM, whatever the chunks, and carried to characters of the text."""

import numpy as np
import pytest
import torch

from stages.encoder.architecture import Architecture
from stages.encoder.chunking import document_rows
from stages.encoder.encoder import mask_for, token_states
from stages.encoder.tokenizer import special_ids
from stages.explanation import attribution
from stages.explanation.attribution import MSAM_METHODS, Words, attribute, methods_for, snippets
from stages.modeling.data import Documents
from stages.modeling.model import build_model
from tests.encoder.test_families import FAMILIES

N_CODES = 4
SYNONYMS = [[f"w{code} w{code + 20}", f"w{code + 40}"] for code in range(N_CODES)]
TYPES = {
    "CE_MSAM": Architecture(encoder="CE", head="msam", padding="masked", chunk_length=12, max_tokens=200),
    "CE_MSAM original": Architecture(encoder="CE", head="msam", padding="original", chunk_length=12, max_tokens=200),
    "LE_MSAM": Architecture(encoder="LE", head="msam", padding="masked", window=8, max_positions=64),
    "CE": Architecture(encoder="CE", head="plain", padding="masked", chunk_length=12, max_tokens=200),
    "LE": Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=64),
}
TEXT = " ".join(f"w{number}" for number in np.random.default_rng(3).integers(0, 60, 45))


def build(folder, name: str):
    torch.manual_seed(1)
    synonyms = SYNONYMS if "MSAM" in name else None
    return build_model(folder, TYPES[name], N_CODES, synonyms).eval()


def logits_of(model, words: Words) -> np.ndarray:
    offsets = np.array([0, len(words.ids)])
    documents = Documents(["a"], words.ids, offsets, None, model.architecture, special_ids(model.tokenizer))
    with torch.no_grad():
        return model(documents.batch([0]))[0].numpy()


@pytest.mark.parametrize("name", TYPES)
def test_logits_and_places(bert_folder, name):
    model = build(bert_folder, name)
    words = Words.from_text(TEXT, model.tokenizer)
    for method in methods_for(model):
        result = attribute(model, words.ids, special_ids(model.tokenizer), range(N_CODES), method)
        assert result.scores.shape == (N_CODES, len(words.ids))
        np.testing.assert_allclose(result.logits, logits_of(model, words), atol=1e-5)
        assert not result.scores[:, [0, -1]].any()  # [CLS] and [SEP]
        assert np.isfinite(result.scores).all()


@pytest.mark.parametrize("name", ["CE_MSAM", "LE_MSAM", "CE_MSAM original"])
def test_contributions_of_all_tokens_sum_to_the_logit(bert_folder, name, monkeypatch):
    """With those of the special tokens and of padding, which a text's words leave out."""
    model = build(bert_folder, name)
    words = Words.from_text(TEXT, model.tokenizer)
    whole = {}
    inner = attribution.msam_scores

    def noted(*arguments):
        whole["contribution"], whole["attention"] = inner(*arguments)
        return whole["contribution"], whole["attention"]

    monkeypatch.setattr(attribution, "msam_scores", noted)
    result = attribute(model, words.ids, special_ids(model.tokenizer), range(N_CODES), "contribution")
    np.testing.assert_allclose(whole["contribution"].sum(1).numpy(), result.logits, atol=1e-4)
    np.testing.assert_allclose(whole["attention"].sum(1).numpy(), 1.0, atol=1e-5)


def test_a_token_outside_of_the_winning_chunk_has_no_score(bert_folder):
    model = build(bert_folder, "CE_MSAM")
    words = Words.from_text(TEXT, model.tokenizer)
    result = attribute(model, words.ids, special_ids(model.tokenizer), range(N_CODES), "attention")
    for scores, row in zip(result.scores, result.rows, strict=True):
        inside = np.arange(row * 5 + 1, min(row * 5 + 11, len(words.ids) - 1))  # 10 tokens per chunk, one every 5
        assert set(np.flatnonzero(scores)) <= set(inside)
        assert scores[inside].all()


def test_the_choice_of_codes_changes_nothing(bert_folder):
    model = build(bert_folder, "CE_MSAM")
    words = Words.from_text(TEXT, model.tokenizer)
    for method in MSAM_METHODS:
        together = attribute(model, words.ids, special_ids(model.tokenizer), range(N_CODES), method)
        alone = attribute(model, words.ids, special_ids(model.tokenizer), [2], method)
        np.testing.assert_allclose(alone.scores[0], together.scores[2], atol=1e-6)


def test_words_point_at_what_they_say(bert_folder):
    model = build(bert_folder, "CE_MSAM")
    text = "  w1, Fever   w3 (w4)"
    words = Words.from_text(text, model.tokenizer)
    assert [text[first:last] for first, last in words.spans] == ["w1", ",", "Fever", "w3", "(", "w4", ")"]
    sums = words.sums(np.arange(len(words.ids))[None].astype(float))
    assert sums.sum() == sum(range(1, len(words.ids) - 1))


def test_snippets_do_not_overlap_and_need_a_score(bert_folder):
    model = build(bert_folder, "CE_MSAM")
    words = Words.from_text(" ".join(f"w{number}" for number in range(12)), model.tokenizer)
    scores = np.zeros(12)
    scores[[2, 3, 9]] = [0.5, 0.4, 0.3]
    assert snippets(words, scores, context=1) == ["w1 w2 w3", "w8 w9 w10"]
    assert snippets(words, np.zeros(12)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gradient_of_the_embeddings_is_that_of_the_logit_that_is_explained(family, request):
    """Embeddings that are handed in give the logits that token ids give, in every family and padded rows as well."""
    folder = request.getfixturevalue(f"{family}_folder")
    torch.manual_seed(1)
    model = build_model(folder, TYPES["CE_MSAM"], N_CODES, SYNONYMS).eval()
    words = Words.from_text(TEXT, model.tokenizer)
    special = special_ids(model.tokenizer)
    ids, mask = (torch.from_numpy(part) for part in document_rows(words.ids, model.architecture, special))
    with torch.no_grad():
        expected = token_states(model.encoder, ids, mask)
        inputs = model.encoder.get_input_embeddings()(ids)
        result = model.encoder(inputs_embeds=inputs, attention_mask=mask_for(model.encoder, mask)).last_hidden_state
    torch.testing.assert_close(result[mask.bool()], expected[mask.bool()], rtol=0, atol=1e-5)
    scores = attribute(model, words.ids, special, range(N_CODES), "input_x_gradient").scores
    assert (scores >= 0).all()
    assert scores.any(axis=1).all()
