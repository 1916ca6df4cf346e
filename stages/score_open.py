"""Score open codes, which training has not seen, by their phrases, and measure how well that works.

The mix of features of a document and a code is fitted on validation documents and measured on test ones, over the
trained codes and all open ones with known truth: those of `open.codes` and those that `data.withheld` keeps from
training (METHOD.md, section 15).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from torch import device as Device

from stages.common import io, params, paths
from stages.common.runner import progress_bar, run
from stages.corpus.document import SCORED, UNCODED
from stages.evaluation.calibration import RELIABILITY
from stages.evaluation.classification import ratio
from stages.evaluation.lexical import PhraseLookup
from stages.evaluation.scored import Resampling
from stages.modeling import devices
from stages.modeling.data import load_documents
from stages.modeling.model import load_model
from stages.modeling.predictions import model_folder, predictions_folder, read_logits
from stages.open_codes import figures, mix
from stages.open_codes.mix import FEATURES, Mix
from stages.open_codes.phrases import open_pool
from stages.open_codes.scoring import MIX, Choice, Fitted, Pairs, Scorer, count, scorer_of
from stages.synonyms.pools import Pool
from stages.synonyms.selection import UNKNOWN

log = logging.getLogger("stages.score_open")

MOST_DOCUMENTS = 500  # of validation and of test documents, sampled if there are more
SIMILAR = [place for place, name in enumerate(FEATURES) if name.startswith("similarity")]
COUNT, OVERLAP = FEATURES.index("count"), FEATURES.index("overlap")
LOWEST = -1e6  # the score of pairs that are not scored
LOGITS = [FEATURES.index("logit_trained"), FEATURES.index("logit_open")]


def main() -> None:
    settings = params.load()
    labels = io.read_json(paths.OPEN_LABELS)
    if settings.open.codes is None and not labels["withheld"]:
        with io.whole_directory(paths.OPEN) as folder:
            io.write_json(folder / MIX, {})
        io.write_json(paths.OPEN_CODES, {"test": {}})
        io.write_csv(paths.OPEN_RELIABILITY, pd.DataFrame(columns=[*RELIABILITY, "kind"]))
        log.info("open.codes is null and no code is withheld: nothing to score")
        return
    accelerator = devices.start(settings.compute, "float32")
    truth = gold_codes()
    scorer, trained, counts = prepare(settings.open.codes, labels, truth, accelerator.device)
    evaluation = settings.evaluate
    parts = {part: collect(scorer, part, truth[part], evaluation.seed) for part in SCORED}
    fitted = mix.fit(np.concatenate([pair.features for pair in parts["val"].pairs]), parts["val"].true_pairs())
    measured, reliability = measure(scorer, fitted, parts, evaluation)
    with io.whole_directory(paths.OPEN) as folder:
        Fitted(fitted, scorer.choice, trained, counts).write(folder)
    io.write_json(paths.OPEN_CODES, {"test": measured})
    io.write_csv(paths.OPEN_RELIABILITY, reliability)
    shown = measured["mix"]
    log.info("test: MAP %.3f, F1 %.3f over all gold codes, by all codes", shown["map"], shown["f1"])
    devices.finish(accelerator)


def prepare(
    source: str | None, labels: dict[str, Any], truth: Mapping[str, Mapping[str, Sequence[str]]], device: Device
) -> tuple[Scorer, Pool, Mapping[str, int]]:
    """The latest model's scorer, the phrases of its codes, and the counts of training documents by code."""
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


@dataclass(frozen=True)
class Part:
    """Documents of one part: their gold codes, texts and pairs, and which of all codes each one has (N, C)."""

    gold: dict[str, Sequence[str]]
    texts: list[str]
    pairs: list[Pairs]
    targets: np.ndarray

    def true_pairs(self) -> np.ndarray:
        return np.concatenate([row[pair.codes] for row, pair in zip(self.targets, self.pairs, strict=True)])


def collect(scorer: Scorer, part: str, gold: Mapping[str, Sequence[str]], seed: int) -> Part:
    """The documents of a part and its uncoded cases, or a sample of them, with their pairs."""
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


def scores_by(fitted: Mix) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> a score of pairs from their features (n, F): the mix, and its components on their own."""
    return {
        "mix": fitted.probabilities,
        "trained_codes": lambda f: np.where(f[:, FEATURES.index("trained")] == 1, f[:, LOGITS[0]], LOWEST),
        "msam": lambda f: f[:, LOGITS].sum(axis=1),
        "cosine": lambda f: f[:, SIMILAR].sum(axis=1),
        "letters": lambda f: f[:, OVERLAP],
    }


def shuffle(pair: Pairs, counts: np.ndarray, n_trained: int, seed: int) -> Pairs:
    """The pairs as if each open code had another one's phrases: the floor for what phrases contribute."""
    shuffled = np.random.default_rng(seed).permutation(len(counts) - n_trained)
    names = np.concatenate([np.arange(n_trained), n_trained + shuffled])
    features = pair.features.copy()
    features[:, COUNT] = np.log(counts[names[pair.codes]] + 0.5)
    return Pairs(names[pair.codes], features)


def measure(
    scorer: Scorer, fitted: Mix, parts: Mapping[str, Part], evaluation: params.Evaluate
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The test figures of the mix, its components, a phrase lookup and shuffled phrases.

    Also the mix's reliability diagram for trained and for open codes.
    """
    index, n_trained, val, test = scorer.index, scorer.n_trained, parts["val"], parts["test"]
    groups = figures.groups_of(scorer.counts, n_trained)
    resampling = Resampling(np.arange(len(test.pairs)), evaluation.bootstrap, evaluation.seed)

    def describe(pairs: Sequence[Pairs], scores: Sequence[np.ndarray], threshold: float) -> dict[str, Any]:
        decided = figures.decision_figures(test.gold, index.codes, pairs, scores, threshold, resampling)
        scored = figures.matrix(pairs, scores, len(index.codes))
        aucs = figures.group_aucs(test.targets, scored, groups, resampling)
        return decided | aucs | {"intervals": decided["intervals"] | aucs["intervals"]}

    measured: dict[str, Any] = {"documents": len(test.pairs)}
    for name, score in scores_by(fitted).items():
        threshold = mix.threshold_of(np.concatenate([score(pair.features) for pair in val.pairs]), val.true_pairs())
        measured[name] = describe(test.pairs, [score(pair.features) for pair in test.pairs], threshold)
    lookup = PhraseLookup(index.pool, index.codes).predict(test.texts)
    looked_up = [row[pair.codes] for row, pair in zip(lookup.toarray().astype(float), test.pairs, strict=True)]
    measured["lookup"] = describe(test.pairs, looked_up, 0.5)
    shuffled = [shuffle(pair, scorer.counts, n_trained, evaluation.seed) for pair in test.pairs]
    by_shuffled = [fitted.probabilities(pair.features) for pair in shuffled]
    measured["shuffled_phrases"] = describe(shuffled, by_shuffled, fitted.threshold)

    probabilities = [fitted.probabilities(pair.features) for pair in test.pairs]
    scored = figures.matrix(test.pairs, probabilities, len(index.codes), unscored=0.0)
    kinds = {"trained": groups["trained"], "open": ~groups["trained"]}
    calibrated, reliability = figures.calibration_figures(test.targets, scored, kinds, evaluation.bins)
    measured["mix"] |= calibrated
    n_open = test.targets[:, n_trained:].sum()
    n_listed = test.true_pairs().sum() - test.targets[:, :n_trained].sum()
    return measured | {"shortlist_recall": float(ratio(n_listed, n_open))}, reliability


if __name__ == "__main__":
    run(main)
