"""Code notes with a model, and find the words behind each code."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from scipy.special import expit

from stages.common import devices, outside, params
from stages.common.io import InputError
from stages.encoder.tokenizer import SpecialIds, special_ids
from stages.explanation.attribution import Words, attribute, methods_for, snippets
from stages.modeling.data import Documents, tokenise
from stages.modeling.heads import MsamHead
from stages.modeling.inference import predict
from stages.modeling.model import CodingModel
from stages.open_codes.phrases import open_pool
from stages.open_codes.scoring import Pairs, Scorer, scorer_of
from tools.notes import kit as kits
from tools.notes.kit import Kit
from tools.notes.note_page import Coded, CodedNote

CHUNK_BUDGET = 256
Notes = Sequence[tuple[str, str]]  # name and text


def code_notes(
    notes: Notes, n_codes: int, folder: Path | None, revision: str | None, also: str | None = None
) -> tuple[list[CodedNote], str]:
    """Code notes with an exported folder's model, a revision's, or the pipeline's latest.

    `also`: a file of codes and phrases, or `icd10cm`, to score too. Also returns a sentence about the model. Raises
    InputError if there is no such model.
    """
    kit, accelerator = start(folder, revision)
    about = (
        f"{kit.type} model of {kit.corpus}, {len(kit.codes)} codes; "
        f"assigned above {kit.threshold:.2f}. Texts as the model reads them. Not for clinical use."
    )
    scorer = None if also is None else open_scorer(kit, also)
    if scorer is not None:
        n_open = len(scorer.index.codes) - scorer.n_trained
        about += f" {n_open} open codes, which training has not seen, by their words."
    return code(kit, notes, accelerator, n_codes, scorer), about


def start(folder: Path | None, revision: str | None) -> tuple[Kit, Accelerator]:
    """The model of an exported folder, of a revision, or the pipeline's latest, on its device."""
    n_threads = torch.get_num_threads()
    compute = params.Compute(device="auto", precision="float32", threads=n_threads, portable=False, launch="python")
    accelerator = devices.start(compute if folder is not None else params.load().compute, "float32")
    if revision is not None:
        kit = kits.from_revision(revision)
    else:
        kit = kits.from_pipeline() if folder is None else kits.from_folder(folder)
    kit.model.to(accelerator.device)
    return kit, accelerator


def read_documents(kit: Kit, notes: Notes) -> tuple[list[str], Documents]:
    """The notes' cleaned texts, and as the model reads them. Raises InputError for a note of which nothing remains."""
    texts = [kit.clean(note) for _, note in notes]
    for (name, _), text in zip(notes, texts, strict=True):
        if not text:
            raise InputError(f"{outside.printable(name)} is empty, or nothing remains after the model's cleaning")
    names, read = [name for name, _ in notes], tokenise(texts, kit.tokenizer)
    return texts, Documents(names, *read, None, kit.model.architecture, special_ids(kit.tokenizer))


def open_scorer(kit: Kit, also: str) -> Scorer:
    """The scorer of open codes. Raises InputError if the model has none, or codes have no phrases."""
    if kit.open is None or not kit.encoder.is_dir():
        raise InputError(
            "this model does not score codes that training has not seen: set open.codes or data.withheld in "
            "params.yaml, then `dvc repro`; an exported folder has it unless it was left out, `--revision` never"
        )
    if not isinstance(kit.model.head, MsamHead):
        raise InputError(f"a {kit.type} model does not score codes that training has not seen: it needs an MSAM head")
    pool = open_pool(also, kit.codes, ())
    return scorer_of(kit.model, kit.open.trained, pool, kit.open.counts, kit.open.choice, kit.encoder)


def code(
    kit: Kit, notes: Notes, accelerator: Accelerator, number: int, scorer: Scorer | None = None
) -> list[CodedNote]:
    """Each note with its assigned codes, the most probable others (at least `number` in all), and their words.

    With a scorer, open codes are included.
    """
    texts, documents = read_documents(kit, notes)
    logits = predict(kit.model, documents, CHUNK_BUDGET, accelerator, name="coding").numpy()
    coded = []
    for i, ((name, _), text, row) in enumerate(zip(notes, texts, logits, strict=True)):
        words = Words.from_text(text, kit.tokenizer)
        codes = code_trained(kit, row, words, documents.special, number)
        if scorer is not None:
            pairs = scorer.pairs(text, documents.batch([i]), row)
            codes += code_open(kit, scorer, pairs, words, documents.special, number)
            codes.sort(key=lambda code: (-code.assigned, -code.calibrated))
            codes = codes[: max(number, sum(code.assigned for code in codes))]
        n_tokens = len(words.ids)
        coded.append(CodedNote(name, words.text, words.spans, tuple(codes), n_tokens, min(n_tokens, kit.longest)))
    return coded


def code_trained(kit: Kit, logits: np.ndarray, words: Words, special: SpecialIds, number: int) -> list[Coded]:
    """A note's assigned codes and the most probable others, at least `number` in all, from its logits (C,)."""
    probabilities = expit(logits)
    shown = _most_probable(probabilities, kit.threshold, number)
    return [
        Coded(
            code=kit.codes[column],
            title=kit.titles[kit.codes[column]],
            kind=kit.kinds[kit.codes[column]],
            probability=float(probabilities[column]),
            calibrated=float(expit(logits[column] / kit.temperature)),
            assigned=bool(probabilities[column] > kit.threshold),
            state=kit.state(kit.codes[column], float(probabilities[column])),
            open=False,
            snippets=tuple(snippets(words, scores)),
            scores=scores,
        )
        for column, scores in zip(shown, _word_scores(kit.model, words, special, shown.tolist()), strict=True)
    ]


def code_open(kit: Kit, scorer: Scorer, pairs: Pairs, words: Words, special: SpecialIds, number: int) -> list[Coded]:
    """A note's assigned open codes and the most probable others, at least `number` in all."""
    assert kit.open is not None
    untrained = pairs.codes >= scorer.n_trained
    columns, probabilities = pairs.codes[untrained], kit.open.mix.probabilities(pairs.features[untrained])
    shown = _most_probable(probabilities, kit.open.mix.threshold, number)
    model = scorer.model_of(columns[shown].tolist())
    return [
        Coded(
            code=scorer.index.codes[columns[place]],
            title=scorer.index.pool[scorer.index.codes[columns[place]]][0],
            kind="",
            probability=float(probabilities[place]),
            calibrated=float(probabilities[place]),
            assigned=bool(probabilities[place] > kit.open.mix.threshold),
            state="to review",
            open=True,
            snippets=tuple(snippets(words, scores)),
            scores=scores,
        )
        for place, scores in zip(shown, _word_scores(model, words, special, range(len(shown))), strict=True)
    ]


def _most_probable(probabilities: np.ndarray, threshold: float, number: int) -> np.ndarray:
    order = np.argsort(-probabilities, kind="stable")
    return order[: max(number, int((probabilities > threshold).sum()))]


def _word_scores(model: CodingModel, words: Words, special: SpecialIds, columns: Sequence[int]) -> np.ndarray:
    """The scores (K, W) of a note's words for some of a model's codes, by its first method."""
    return words.sums(attribute(model, words.ids, special, list(columns), methods_for(model)[0]).scores)
