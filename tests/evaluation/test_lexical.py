import numpy as np
import scipy.sparse as sp

from stages.evaluation.lexical import PhraseLookup, tfidf_probabilities

PHRASES = {"427.31": ["atrial fibrillation", "AF"], "428.0": ["heart failure", "CHF"], "401.9": []}
CODES = ["401.9", "427.31", "428.0"]


def test_lookup_finds_whole_words_in_any_case_and_through_punctuation():
    texts = ["Known Atrial\nFibrillation.", "chronic atrial flutter", "after CHF, af", "afterload", ""]
    decisions = PhraseLookup(PHRASES, CODES).predict(texts)
    assert decisions.toarray().astype(int).tolist() == [[0, 1, 0], [0, 0, 0], [0, 1, 1], [0, 0, 0], [0, 0, 0]]


def test_lookup_of_a_phrase_that_two_codes_share_and_of_one_within_another():
    lookup = PhraseLookup({"a": ["renal failure"], "b": ["renal failure", "acute renal failure"]}, ["a", "b"])
    assert lookup.predict(["acute renal failure"]).toarray().tolist() == [[True, True]]
    assert PhraseLookup({"a": ["--"]}, ["a"]).predict(["-- text"]).toarray().tolist() == [[False]]


def test_tfidf_learns_a_word_and_falls_back_to_the_share():
    texts = ["pneumonia treated", "pneumonia seen", "lung pneumonia", "ankle fracture", "fracture seen", "a fracture"]
    targets = sp.csr_array(np.array([[1, 1, 0]] * 3 + [[0, 1, 0]] * 3))
    first, probabilities = tfidf_probabilities(texts, targets, [["old pneumonia"], ["new pneumonia", "new fracture"]])
    assert first.shape == (1, 3)
    assert probabilities[0, 0] > 0.5 > probabilities[1, 0]
    assert probabilities[:, 1:].tolist() == [[1, 0], [1, 0]]
