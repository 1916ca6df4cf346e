"""Notes through a model: the codes of each, and what made them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from scipy.special import expit

from stages.common import outside, params
from stages.common.io import InputError
from stages.encoder.tokenizer import special_ids
from stages.explanation.attribution import attribute, methods_for
from stages.explanation.words import Words, snippets
from stages.modeling import devices
from stages.modeling.data import Documents
from stages.modeling.inference import predict
from tools.notes import kit as kits
from tools.notes.kit import Kit
from tools.notes.note_page import Coded, CodedNote

CHUNK_BUDGET = 256


def code_notes(
    notes: Sequence[tuple[str, str]], n_codes: int, folder: Path | None, revision: str | None
) -> tuple[list[CodedNote], str]:
    """Notes (name, text) coded by an exported folder's model, a revision's, or what the pipeline made last.

    Also what the model is, in a sentence. Raises InputError where there is no such model.
    """
    n_threads = torch.get_num_threads()
    compute = params.Compute(device="auto", precision="float32", threads=n_threads, portable=False, launch="python")
    accelerator = devices.start(compute if folder is not None else params.load().compute, "float32")
    if revision is not None:
        kit = kits.from_revision(revision)
    else:
        kit = kits.from_pipeline() if folder is None else kits.from_folder(folder)
    kit.model.to(accelerator.device)
    about = (
        f"{kit.type} model of {kit.about['format']} {kit.about['subset']}, {len(kit.codes)} codes; "
        f"assigned above {kit.threshold:.2f}. Texts as the model reads them. Not for clinical use."
    )
    return code(kit, notes, accelerator, n_codes), about


def code(kit: Kit, notes: Sequence[tuple[str, str]], accelerator: Accelerator, number: int) -> list[CodedNote]:
    """Each note with its assigned codes and the most probable others, `number` at least, and what made each."""
    texts = [kit.clean(note) for _, note in notes]
    for (name, _), text in zip(notes, texts, strict=True):
        if not text:
            raise InputError(f"{outside.shown(name)} is empty, or has nothing that the model's cleaning leaves")
    tokenised = [Words.from_text(text, kit.tokenizer) for text in texts]
    tokens = np.concatenate([words.ids for words in tokenised]).astype(np.int32)
    offsets = np.cumsum([0, *(len(words.ids) for words in tokenised)])
    special = special_ids(kit.tokenizer)
    documents = Documents([name for name, _ in notes], tokens, offsets, None, kit.model.architecture, special)
    logits = predict(kit.model, documents, CHUNK_BUDGET, accelerator, name="coding").numpy()
    method = methods_for(kit.model)[0]
    coded = []
    for (name, _), words, row in zip(notes, tokenised, logits, strict=True):
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
                snippets=tuple(snippets(words, by_word)),
                scores=by_word,
            )
            for column, by_word in zip(shown, scores, strict=True)
        )
        n_tokens = len(words.ids)
        coded.append(CodedNote(name, words.text, words.spans, codes, n_tokens, min(n_tokens, kit.longest)))
    return coded
