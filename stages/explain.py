"""Stage explain: which words made the codes, whether people marked these words, and whether the model needs them.

Plausibility takes gold spans (data/splits/evidence.parquet), faithfulness takes none; both are of test documents.
Scores drawn at random stand beside every attribution as the floor. Nothing of a text is written.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator

from stages.encoder.chunking import SpecialIds
from stages.encoder.encoder import load_tokenizer, special_ids
from stages.evaluation import thresholds, uncertainty
from stages.evaluation.classification import sigmoid
from stages.evaluation.uncertainty import Statistic, document_ratio
from stages.evidence import faithfulness, plausibility
from stages.evidence.attribution import attribute, methods_of
from stages.evidence.faithfulness import Case
from stages.evidence.plausibility import Pair
from stages.evidence.words import Words
from stages.handover.logits import read_logits
from stages.handover.trained import model_folder, predictions_folder
from stages.modeling import devices
from stages.modeling.model import CodingModel, load_model
from stages.project import files, formats, params, paths
from stages.project.durations import WHERE_TO_LOOK
from stages.project.parts import SCORED
from stages.project.progress import Bar
from stages.project.stage import run

log = logging.getLogger("stages.explain")

RANDOM = "random"


@dataclass(frozen=True)
class Explainer:
    """A model with what its attributions need."""

    model: CodingModel
    tokenizer: Any
    special: SpecialIds
    methods: tuple[str, ...]
    rng: np.random.Generator

    def token_scores(self, words: Words, codes: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Each method's scores (K, n) of the tokens of a document, 0 for special and unread ones; random ones last."""
        real = words.word >= 0
        for method in self.methods:
            scores = attribute(self.model, words.ids, self.special, codes, method).scores
            yield method, np.where(real, scores, 0)
        yield RANDOM, self.rng.random((len(codes), len(words.ids))) * real


def pairs_of(
    explainer: Explainer, texts: Mapping[str, str], spans: pd.DataFrame, codes: Sequence[str]
) -> dict[str, list[Pair]]:
    """Method -> the pairs of a document, numbered as `texts` are, and a code that has spans there."""
    column = {code: at for at, code in enumerate(codes)}
    found: dict[str, list[Pair]] = {}
    for number, (document_id, text) in enumerate(Bar(texts.items(), desc="marked documents", unit="document")):
        words = Words.of(text, explainer.tokenizer)
        own = spans[spans["document_id"] == document_id]
        named = sorted(own["code"].unique())
        gold = np.zeros((len(named), len(words.ids)), dtype=bool)
        for code, begin, end in zip(own["code"], own["begin"], own["end"], strict=True):
            gold[named.index(code)] |= (words.offsets[:, 0] < end) & (begin < words.offsets[:, 1])
        for method, scores in explainer.token_scores(words, [column[code] for code in named]):
            pairs = found.setdefault(method, [])
            normal = plausibility.normalised(scores)
            pairs += [Pair(number, *both) for both in zip(normal, gold, strict=True) if both[1].any()]
    return found


def cases_of(
    explainer: Explainer, texts: Mapping[str, str], predicted: Mapping[str, np.ndarray]
) -> dict[str, list[tuple[int, Case]]]:
    """Method -> document's number and case, of every code that is predicted for one of the documents."""
    found: dict[str, list[tuple[int, Case]]] = {}
    for number, (document_id, text) in enumerate(Bar(texts.items(), desc="assigned codes", unit="document")):
        codes = predicted[document_id].tolist()
        if codes:
            words = Words.of(text, explainer.tokenizer)
            for method, scores in explainer.token_scores(words, codes):
                cases = [Case(words, *both) for both in zip(codes, words.sums(scores), strict=True)]
                found.setdefault(method, []).extend((number, case) for case in cases)
    return found


def drawn(texts: pd.Series, at_most: int, seed: int) -> dict[str, str]:
    """At most so many of the texts (by document id), in their order."""
    chosen = np.random.default_rng(seed).permutation(len(texts))[:at_most]
    return texts.iloc[np.sort(chosen)].to_dict()


def figures(
    statistics: Mapping[str, Statistic], patients: np.ndarray, settings: params.Evaluate
) -> dict[str, float | dict[str, list[float]]]:
    """The value of each statistic, and the interval of each over patients."""
    once = np.ones((1, len(patients)))
    values: dict[str, Any] = {name: float(statistic.at(once)[0]) for name, statistic in statistics.items()}
    intervals = uncertainty.intervals(statistics, patients, settings.bootstrap, settings.seed)
    return values | {"intervals": intervals}


def plausible(
    explainer: Explainer, texts: dict[str, pd.Series], spans: pd.DataFrame, codes: list[str], settings: params.Params
) -> tuple[dict[str, Any], int]:
    """The plausibility of each method on test documents, cut off where it is best on validation ones; their number."""
    pairs: dict[str, dict[str, list[Pair]]] = {}
    chosen: dict[str, dict[str, str]] = {}
    for part in SCORED:
        own = spans[spans["part"] == part]
        marked = texts["all"].loc[texts["all"].index.isin(own["document_id"])]
        chosen[part] = drawn(marked, settings.explain.documents, settings.explain.seed)
        pairs[part] = pairs_of(explainer, chosen[part], own, codes)
    patients = texts["patients"].loc[list(chosen["test"])].to_numpy()
    measured = {}
    for method, of_test in pairs["test"].items():
        cutoff = plausibility.best_cutoff(pairs["val"].get(method, of_test))
        statistics = plausibility.statistics(of_test, len(patients), cutoff)
        measured[method] = figures(statistics, patients, settings.evaluate)
        measured[method]["cutoff"] = float(plausibility.CUTOFFS[cutoff])
    return measured, len(patients)


def faithful(
    explainer: Explainer,
    texts: dict[str, pd.Series],
    predicted: Mapping[str, np.ndarray],
    settings: params.Params,
    accelerator: Accelerator,
) -> tuple[dict[str, Any], int]:
    """The faithfulness of each method on test documents, and how many there are."""
    here = texts["all"].loc[texts["all"].index.isin(predicted)]
    chosen = drawn(here, settings.explain.documents, settings.explain.seed)
    patients = texts["patients"].loc[list(chosen)].to_numpy()
    mask = explainer.tokenizer.mask_token_id
    mask = explainer.tokenizer.unk_token_id if mask is None else mask
    of_methods = cases_of(explainer, chosen, predicted)
    if not of_methods:
        return {}, len(patients)  # nothing is predicted for any of them
    cases = [case for numbered in of_methods.values() for _, case in numbered]
    budget = settings.train.chunk_budget
    fallen = np.stack(faithfulness.drops(explainer.model, cases, mask, explainer.special, budget, accelerator))
    ends = np.cumsum([len(numbered) for numbered in of_methods.values()])
    measured = {}
    for (method, numbered), own in zip(of_methods.items(), np.split(fallen, ends[:-1], axis=1), strict=True):
        number = np.array([at for at, _ in numbered])
        statistics = {
            name: document_ratio(number, values, len(patients))
            for name, values in zip(("comprehensiveness", "sufficiency"), own, strict=True)
        }
        measured[method] = figures(statistics, patients, settings.evaluate)
    return measured, len(patients)


def traps(spans: pd.DataFrame, predicted: Mapping[str, np.ndarray], codes: list[str]) -> dict[str, int]:
    """How many codes test documents name without having them, and how many of those the model assigns."""
    own = spans[spans["trap"] & spans["document_id"].isin(predicted)]
    named = own[["document_id", "code"]].drop_duplicates()
    assigned = [
        codes.index(code) in predicted[one] for one, code in zip(named["document_id"], named["code"], strict=True)
    ]
    return {"named": len(named), "assigned": int(sum(assigned))}


def main() -> None:
    settings = params.load()
    if not settings.explain.documents:
        formats.write_json(paths.EXPLANATIONS, {"test": {}})
        log.info("explain.documents is 0: nothing done")
        return
    accelerator = devices.start(settings.compute.device, "float32", settings.compute.threads)
    folder = model_folder()
    model = load_model(folder).to(accelerator.device)
    tokenizer = load_tokenizer(folder, model.architecture.lowercase_documents)
    methods = tuple(one for one in methods_of(model) if one in settings.explain.methods)
    rng = np.random.default_rng(settings.explain.seed)
    explainer = Explainer(model, tokenizer, special_ids(tokenizer), methods, rng)
    codes = files.read_json(paths.LABEL_CODES)
    parts = {part: pd.read_parquet(paths.split(part)).set_index("document_id") for part in SCORED}
    table = pd.concat(parts.values())
    texts = {"all": table["text"], "patients": table["subject_id"]}
    logits = read_logits(paths.predictions(predictions_folder(), "test"))
    above = sigmoid(logits) > thresholds.PAPER
    predicted = {one: np.flatnonzero(row) for one, row in zip(parts["test"].index, above, strict=True)}

    spans = pd.read_parquet(paths.EVIDENCE)
    spans = spans[spans["code"].isin(codes)]
    found: dict[str, Any] = {}
    marked = spans[~spans["trap"]]
    if (marked["part"] == "test").any():
        found["plausibility"], found["marked_documents"] = plausible(explainer, texts, marked, codes, settings)
        for method, measured in found["plausibility"].items():
            log.info("%s: token F1 %.3f, AUPRC %.3f, IoU %.3f", method, *(measured[k] for k in ("f1", "auprc", "iou")))
    else:
        log.info("no test document has evidence that people marked: plausibility is left out")
    found["faithfulness"], found["masked_documents"] = faithful(explainer, texts, predicted, settings, accelerator)
    for method, measured in found["faithfulness"].items():
        shown = (measured["comprehensiveness"], measured["sufficiency"])
        log.info("%s: comprehensiveness %.3f, sufficiency %.3f", method, *shown)
    if spans["trap"].any():
        found["traps"] = traps(spans, predicted, codes)
    formats.write_json(paths.EXPLANATIONS, {"test": found})
    log.info("%s", WHERE_TO_LOOK)


if __name__ == "__main__":
    run(main, memory="train.chunk_budget or explain.documents")
