"""How the stage `explain` puts its parts together. The parts have tests in tests/explanation, all in the pipeline's."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.common import devices, params
from stages.encoder.tokenizer import special_ids
from stages.explain import RANDOM, Explainer, collect_cases, measure_faithfulness, measure_plausibility
from stages.explanation import faithfulness
from stages.explanation.attribution import Words
from tests.explanation.test_attribution import TEXT, build
from tests.project import CPU

METHODS = ("contribution", "attention")
TEXTS = pd.Series({"a": TEXT, "b": " ".join(reversed(TEXT.split()))})
BOTH = pd.DataFrame({"text": TEXTS, "subject_id": [1, 2]})
SETTINGS = params.load(Path(__file__).parents[1] / "params.yaml")


@pytest.fixture
def explainer(bert_folder) -> Explainer:
    model = build(bert_folder, "CE_MSAM")
    rng = np.random.default_rng(0)
    return Explainer(model, model.tokenizer, special_ids(model.tokenizer), METHODS, rng)


@pytest.fixture
def accelerator():
    return devices.start(CPU)


def test_all_methods_at_once_measure_what_each_would_alone(explainer, accelerator, caplog: pytest.LogCaptureFixture):
    predicted = {"a": np.array([1, 3]), "b": np.array([0])}
    with caplog.at_level(logging.INFO):
        measured, n_documents = measure_faithfulness(explainer, BOTH, predicted, SETTINGS, accelerator)
    assert n_documents == 2
    assert list(measured) == [*METHODS, RANDOM]
    n_texts, n_different = (int(word.strip(",")) for word in caplog.messages[-1].split() if word.strip(",").isdigit())
    assert n_texts == 3 * 3 * 11
    assert 2 + 3 * 10 <= n_different <= 2 + 3 * 3 * 10  # the whole texts and those of one method at least
    again = Explainer(explainer.model, explainer.tokenizer, explainer.special, METHODS, np.random.default_rng(0))
    mask = explainer.tokenizer.mask_token_id
    for method, numbered in collect_cases(again, TEXTS.to_dict(), predicted).items():
        cases = [case for _, case in numbered]
        alone = faithfulness.drops(explainer.model, cases, mask, explainer.special, 8, accelerator)
        for name, (first, second, third) in zip(("comprehensiveness", "sufficiency"), alone, strict=True):
            assert measured[method][name] == pytest.approx((first + second + third) / 3, abs=1e-5)


def test_nothing_predicted(explainer, accelerator):
    nothing = {document_id: np.array([], dtype=int) for document_id in TEXTS.index}
    assert measure_faithfulness(explainer, BOTH, nothing, SETTINGS, accelerator) == ({}, 2)


def test_the_random_floor_draws_once_a_word(explainer):
    """However many pieces a word is cut into, its tokens share one draw, and its sum is not larger for them."""
    words = Words.from_text(TEXT, explainer.tokenizer)
    *_, (name, scores) = explainer.token_scores(words, [0])
    assert name == RANDOM
    for word in range(len(words.spans)):
        assert len(set(scores[0, words.word == word])) == 1
    cases = collect_cases(explainer, {"a": TEXT}, {"a": np.array([0])})
    [(_, case)] = cases[RANDOM]
    assert (case.scores < 1).all() and len(set(case.scores)) == len(words.spans)


def test_without_annotated_validation_documents_there_is_no_cutoff(explainer):
    spans = pd.DataFrame({"part": ["test"], "document_id": ["a"], "code": ["0"], "begin": [0], "end": [4]})
    measured, details, n_documents = measure_plausibility(explainer, BOTH, spans, ["0", "1", "2", "3"], SETTINGS)
    assert n_documents == 1
    assert all(figures.keys() == {"auprc", "iou", "top_token", "intervals"} for figures in measured.values())
    assert not {"f1", "precision", "recall", "cutoff"} & {name for figures in details.values() for name in figures}
