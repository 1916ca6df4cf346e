"""Code notes with a model, and find the words behind each code."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from scipy.special import expit

from stages.common import outside, params
from stages.common.io import InputError
from stages.encoder.tokenizer import SpecialIds, special_ids
from stages.explanation.attribution import attribute, methods_for
from stages.explanation.words import Words, snippets
from stages.modeling import devices
from stages.modeling.data import Documents
from stages.modeling.heads import MsamHead
from stages.modeling.inference import predict
from stages.open_codes.phrases import open_pool
from stages.open_codes.scoring import Pairs, Scorer, scorer_of
from tools.notes import kit as kits
from tools.notes.kit import Kit
from tools.notes.note_page import Coded, CodedNote

CHUNK_BUDGET = 256


def code_notes(
    notes: Sequence[tuple[str, str]], n_codes: int, folder: Path | None, revision: str | None, also: str | None = None
) -> tuple[list[CodedNote], str]:
    """Code notes (name, text) with an exported folder's model, a revision's, or the pipeline's latest.

    `also`: a file of codes and phrases, or `icd10cm`, to score too. Also returns a sentence about the model. Raises
    InputError if there is no such model.
    """
    kit, accelerator = start(folder, revision)
    about = (
        f"{kit.type} model of {kit.about['format']} {kit.about['subset']}, {len(kit.codes)} codes; "
        f"assigned above {kit.threshold:.2f}. Texts as the model reads them. Not for clinical use."
    )
    if also is None:
        return code(kit, notes, accelerator, n_codes), about
    scorer = open_scorer(kit, also)
    about += f" {len(scorer.index.codes) - scorer.n_trained} open codes, which training has not seen, by their words."
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


def clean(kit: Kit, notes: Sequence[tuple[str, str]]) -> list[str]:
    """The notes' cleaned texts. Raises InputError for a note of which nothing remains."""
    texts = [kit.clean(note) for _, note in notes]
    for (name, _), text in zip(notes, texts, strict=True):
        if not text:
            raise InputError(f"{outside.printable(name)} is empty, or nothing remains after the model's cleaning")
    return texts


def open_scorer(kit: Kit, also: str) -> Scorer:
    """The scorer of open codes. Raises InputError if the model has none, or codes have no phrases."""
    if kit.open is None or kit.encoder is None or not kit.encoder.is_dir():
        raise InputError(
            "this model does not score codes that training has not seen: set open.codes or data.withheld in "
            "params.yaml, then `dvc repro`; an exported folder has it unless it was left out"
        )
    if not isinstance(kit.model.head, MsamHead):
        raise InputError(f"a {kit.type} model does not score codes that training has not seen: it needs an MSAM head")
    pool = open_pool(also, kit.codes, ())
    return scorer_of(kit.model, kit.open.trained, pool, kit.open.counts, kit.open.choice, kit.encoder)


def code(
    kit: Kit, notes: Sequence[tuple[str, str]], accelerator: Accelerator, number: int, scorer: Scorer | None = None
) -> list[CodedNote]:
    """Each note with its assigned codes, the most probable others (at least `number` in all), and their words.

    With a scorer, open codes are included.
    """
    texts = clean(kit, notes)
    tokenised = [Words.from_text(text, kit.tokenizer) for text in texts]
    tokens = np.concatenate([words.ids for words in tokenised]).astype(np.int32)
    offsets = np.cumsum([0, *(len(words.ids) for words in tokenised)])
    special = special_ids(kit.tokenizer)
    documents = Documents([name for name, _ in notes], tokens, offsets, None, kit.model.architecture, special)
    logits = predict(kit.model, documents, CHUNK_BUDGET, accelerator, name="coding").numpy()
    method = methods_for(kit.model)[0]
    coded = []
    for place, ((name, _), words, row) in enumerate(zip(notes, tokenised, logits, strict=True)):
        probabilities = expit(row)
        order = np.argsort(-probabilities, kind="stable")
        n_assigned = int((probabilities > kit.threshold).sum())
        shown = order[: max(n_assigned, min(number, len(order)))]
        scores = words.sums(attribute(kit.model, words.ids, special, shown.tolist(), method).scores)
        codes = tuple(
            Coded(
                code=kit.codes[column],
                title=kit.titles[kit.codes[column]],
                kind=kit.kinds[kit.codes[column]],
                probability=float(probabilities[column]),
                calibrated=float(expit(row[column] / kit.temperature)),
                assigned=bool(probabilities[column] > kit.threshold),
                state=kit.state(kit.codes[column], float(probabilities[column])),
                open=False,
                snippets=tuple(snippets(words, by_word)),
                scores=by_word,
            )
            for column, by_word in zip(shown, scores, strict=True)
        )
        if scorer is not None:
            pairs = scorer.pairs(texts[place], documents.batch([place]), row)
            codes = merge(codes, code_open(kit, scorer, pairs, words, special, number), number)
        n_tokens = len(words.ids)
        coded.append(CodedNote(name, words.text, words.spans, codes, n_tokens, min(n_tokens, kit.longest)))
    return coded


def code_open(
    kit: Kit, scorer: Scorer, pairs: Pairs, words: Words, special: SpecialIds, number: int
) -> tuple[Coded, ...]:
    """A note's assigned open codes and the most probable others, at least `number` in all."""
    assert kit.open is not None
    untrained = pairs.codes >= scorer.n_trained
    columns, probabilities = pairs.codes[untrained], kit.open.mix.probabilities(pairs.features[untrained])
    order = np.argsort(-probabilities, kind="stable")
    shown = order[: max(number, int((probabilities > kit.open.mix.threshold).sum()))]
    model = scorer.model_of(columns[shown].tolist())
    method = methods_for(model)[0]
    scores = words.sums(attribute(model, words.ids, special, list(range(len(shown))), method).scores)
    return tuple(
        Coded(
            code=scorer.index.codes[columns[place]],
            title=scorer.index.pool[scorer.index.codes[columns[place]]][0],
            kind="",
            probability=float(probabilities[place]),
            calibrated=float(probabilities[place]),
            assigned=bool(probabilities[place] > kit.open.mix.threshold),
            state="to review",
            open=True,
            snippets=tuple(snippets(words, by_word)),
            scores=by_word,
        )
        for place, by_word in zip(shown, scores, strict=True)
    )


def merge(codes: Sequence[Coded], more: Sequence[Coded], number: int) -> tuple[Coded, ...]:
    """Both lists merged: assigned codes, then the most probable others, at least `number` in all."""
    ranked = sorted([*codes, *more], key=lambda code: (-code.assigned, -code.calibrated))
    return tuple(ranked[: max(number, sum(code.assigned for code in ranked))])
