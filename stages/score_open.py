"""Score open codes, which training has not seen, by their phrases, and measure how well that works.

Without any (`open.codes` is null and `data.withheld` 0) there is nothing to do, and the outputs say so. Loading torch
and transformers takes seconds, which such a run need not wait for, so they are imported where there is work.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from stages.common import io, params, paths
from stages.common.parts import SCORED, UNCODED
from stages.common.runner import progress_bar, run
from stages.evaluation.calibration import RELIABILITY
from stages.modeling.predictions import model_folder, predictions_folder, read_logits
from stages.synonyms.pools import Pool
from stages.synonyms.selection import UNKNOWN

if TYPE_CHECKING:
    import torch

    from stages.open_codes.measurement import Part
    from stages.open_codes.scoring import Scorer

log = logging.getLogger("stages.score_open")

MOST_DOCUMENTS = 500  # of validation and of test documents, sampled if there are more


def main() -> None:
    settings = params.load()
    labels = io.read_json(paths.OPEN_LABELS)
    if settings.open.codes is not None or labels["withheld"]:
        score(settings, labels)
        return
    with io.whole_directory(paths.OPEN) as folder:
        io.write_json(folder / paths.MIX, {})
    io.write_json(paths.OPEN_CODES, {"test": {}})
    io.write_csv(paths.OPEN_RELIABILITY, pd.DataFrame(columns=[*RELIABILITY, "kind"]))
    log.info("open.codes is null and no code is withheld: nothing to score")


def score(settings: params.Params, labels: dict[str, Any]) -> None:
    """Fit the mix on validation and measure it on test; `labels` is the content of data/labels/open.json."""
    from stages.common import devices
    from stages.open_codes import mix
    from stages.open_codes.measurement import measure
    from stages.open_codes.scoring import Fitted

    accelerator = devices.start(settings.compute, "float32")
    truth = gold_codes()
    scorer, trained, counts = prepare(settings.open.codes, labels, truth, accelerator.device)
    parts = {part: collect(scorer, part, truth[part], settings.evaluate.seed) for part in SCORED}
    fitted = mix.fit(np.concatenate([pair.features for pair in parts["val"].pairs]), parts["val"].true_pairs())
    measured, reliability = measure(scorer, fitted, parts, settings.evaluate)
    with io.whole_directory(paths.OPEN) as folder:
        Fitted(fitted, scorer.choice, trained, counts).write(folder)
    io.write_json(paths.OPEN_CODES, {"test": measured})
    io.write_csv(paths.OPEN_RELIABILITY, reliability)
    log.info("test: MAP %.3f, F1 %.3f over all gold codes, by all codes", measured["mix"]["map"], measured["mix"]["f1"])
    devices.finish(accelerator)


def prepare(
    source: str | None, labels: dict[str, Any], truth: Mapping[str, Mapping[str, Sequence[str]]], device: "torch.device"
) -> tuple["Scorer", Pool, Mapping[str, int]]:
    """The latest model's scorer, the phrases of its codes, and the counts of training documents by code."""
    from stages.modeling.model import load_model
    from stages.open_codes.phrases import open_pool
    from stages.open_codes.scoring import Choice, count, scorer_of

    codes, candidates, withheld = io.read_json(paths.LABEL_CODES), io.read_json(paths.CANDIDATES), labels["withheld"]
    trained = {code: candidates[code] or [UNKNOWN] for code in codes}
    open_codes = {code: candidates[code] for code in withheld if candidates[code]}
    if source is not None:
        known = {code for part in truth.values() for listed in part.values() for code in listed}
        open_codes |= open_pool(source, [*codes, *withheld], known)
    counts, choice = count(truth["train"].values(), withheld), Choice(**labels["choice"]) if labels["choice"] else None
    model = load_model(model_folder()).to(device)
    scorer = scorer_of(model, trained, open_codes, counts, choice, paths.ENCODER)
    log.info("%d trained and %d open codes, %d phrases", len(trained), len(open_codes), len(scorer.index.phrases))
    return scorer, trained, counts


def gold_codes() -> dict[str, dict[str, list[str]]]:
    """Part -> document -> all its codes, from the official evaluation if there is one, or from the splits."""
    if gold := io.read_json(paths.GOLD):
        return gold
    tables = {part: pd.read_parquet(paths.split(part), columns=["document_id", "codes"]) for part in ("train", *SCORED)}
    return {
        part: {case: list(codes) for case, codes in zip(table["document_id"], table["codes"], strict=True)}
        for part, table in tables.items()
    }


def collect(scorer: "Scorer", part: str, gold: Mapping[str, Sequence[str]], seed: int) -> "Part":
    """The documents of a part and its uncoded cases, or a sample of them, with their pairs."""
    from stages.modeling.data import load_documents
    from stages.open_codes.measurement import Part

    places: dict[str, Any] = {}
    for source in (part, UNCODED):
        documents = load_documents(source, model_folder(), scorer.model.architecture, targets=False)
        texts = pd.read_parquet(paths.split(source), columns=["text"])["text"]
        logits = read_logits(paths.predictions(predictions_folder(), source))
        places |= {
            case: (texts[row], documents, row, logits[row]) for row, case in enumerate(documents.ids) if case in gold
        }
    drawn = np.sort(np.random.default_rng(seed).permutation(len(places))[:MOST_DOCUMENTS])
    chosen = {case: places[case] for case in (list(places)[number] for number in drawn)}
    bar = progress_bar(chosen.values(), desc=f"open codes, {part}", unit="document")
    pairs = [scorer.pairs(text, documents.batch([row]), logits) for text, documents, row, logits in bar]
    carried = [set(gold[case]) for case in chosen]
    targets = np.array([[code in codes for code in scorer.index.codes] for codes in carried])
    return Part({case: gold[case] for case in chosen}, [place[0] for place in chosen.values()], pairs, targets)


if __name__ == "__main__":
    run(main)
