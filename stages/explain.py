"""Which words led to each code, whether they match human annotation, and whether the model needs them.

Plausibility needs gold spans (data/splits/evidence.parquet), faithfulness does not; both are for test documents.
Models of MIMIC-IV are scored on MDACE's charts, which are texts of another corpus. Random scores serve as the floor for
every attribution. No text is written.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from accelerate import Accelerator
from scipy.special import expit

from stages.common import devices, io, params, paths
from stages.common.parts import CHARTS, SCORED
from stages.common.runner import progress_bar, run
from stages.encoder.tokenizer import SpecialIds, load_tokenizer, special_ids
from stages.evaluation import tuning, uncertainty
from stages.evaluation.scored import Resampling
from stages.evaluation.uncertainty import document_ratio
from stages.explanation import faithfulness, plausibility
from stages.explanation.attribution import Words, attribute, methods_for
from stages.explanation.faithfulness import Case
from stages.explanation.plausibility import Pair
from stages.modeling.model import CodingModel, load_model
from stages.modeling.predictions import model_folder, predictions_folder, read_logits

log = logging.getLogger("stages.explain")

RANDOM = "random"
SHOWN = ("auprc", "iou", "top_token", "f1")  # in the report; metrics/plots/plausibility.csv has all figures


@dataclass(frozen=True)
class Explainer:
    model: CodingModel
    tokenizer: Any
    special: SpecialIds
    methods: tuple[str, ...]
    rng: np.random.Generator

    def token_scores(self, words: Words, codes: Sequence[int]) -> Iterator[tuple[str, np.ndarray]]:
        """Each method's scores (K, n) of a document's tokens, 0 for special and unread ones; random ones last."""
        real = words.word >= 0
        for method in self.methods:
            scores = attribute(self.model, words.ids, self.special, codes, method).scores
            yield method, np.where(real, scores, 0)
        by_word = self.rng.random((len(codes), len(words.spans) + 1))  # one draw per word, however many tokens it has
        yield RANDOM, by_word[:, words.word] * real


def collect_pairs(
    explainer: Explainer, texts: Mapping[str, str], spans: pd.DataFrame, codes: Sequence[str]
) -> dict[str, list[Pair]]:
    """Method -> the pairs of a document (numbered as in `texts`) and a code with gold spans in it."""
    column = {code: i for i, code in enumerate(codes)}
    pairs: dict[str, list[Pair]] = {}
    bar = progress_bar(texts.items(), desc="annotated documents", unit="document")
    for number, (document_id, text) in enumerate(bar):
        words = Words.from_text(text, explainer.tokenizer)
        in_document = spans[spans["document_id"] == document_id]
        named = sorted(in_document["code"].unique())
        gold = np.zeros((len(named), len(words.ids)), dtype=bool)
        for code, begin, end in zip(in_document["code"], in_document["begin"], in_document["end"], strict=True):
            gold[named.index(code)] |= (words.offsets[:, 0] < end) & (begin < words.offsets[:, 1])
        for method, scores in explainer.token_scores(words, [column[code] for code in named]):
            rows = zip(plausibility.normalise(scores), gold, strict=True)
            pairs.setdefault(method, []).extend(Pair(number, *row) for row in rows if row[1].any())
    return pairs


def collect_cases(
    explainer: Explainer, texts: Mapping[str, str], predicted: Mapping[str, np.ndarray]
) -> dict[str, list[tuple[int, Case]]]:
    """Method -> (document number, case) for every code predicted for one of the documents."""
    cases: dict[str, list[tuple[int, Case]]] = {}
    bar = progress_bar(texts.items(), desc="assigned codes", unit="document")
    for number, (document_id, text) in enumerate(bar):
        codes = predicted[document_id].tolist()
        if codes:
            words = Words.from_text(text, explainer.tokenizer)
            for method, scores in explainer.token_scores(words, codes):
                n_tokens = words.sums(np.ones_like(scores)) if method == RANDOM else 1
                rows = zip(codes, words.sums(scores) / n_tokens, strict=True)
                cases.setdefault(method, []).extend((number, Case(words, *row)) for row in rows)
    return cases


def sample_documents(
    documents: pd.DataFrame, ids: Collection[str], settings: params.Params
) -> tuple[dict[str, str], Resampling]:
    """The texts of some of the documents `ids`, at most explain.documents, in their order; and their resampling."""
    known = documents[documents.index.isin(ids)]
    drawn = np.random.default_rng(settings.evaluate.seed).permutation(len(known))[: settings.explain.documents]
    known = known.iloc[np.sort(drawn)]
    resampling = Resampling(known["subject_id"].to_numpy(), settings.evaluate.bootstrap, settings.evaluate.seed)
    return known["text"].to_dict(), resampling


def measure_plausibility(
    explainer: Explainer, documents: pd.DataFrame, spans: pd.DataFrame, codes: list[str], settings: params.Params
) -> tuple[dict[str, Any], dict[str, dict[str, float]], int]:
    """Each method's plausibility on test documents, at the best cut-off on validation, and their number.

    First the figures that tables show, with intervals, then all. Without annotated validation documents there is no
    cut-off and no figure that needs one.
    """
    pairs: dict[str, dict[str, list[Pair]]] = {}
    for part in SCORED:
        in_part = spans[spans["part"] == part]
        texts, resampling = sample_documents(documents, set(in_part["document_id"]), settings)
        pairs[part] = collect_pairs(explainer, texts, in_part, codes)
    measured, details = {}, {}
    for method, test_pairs in pairs["test"].items():
        chosen_on = pairs["val"].get(method)
        cutoff = plausibility.best_cutoff(chosen_on) if chosen_on else 0
        statistics = plausibility.statistics(test_pairs, len(texts), cutoff)
        if not chosen_on:  # a cut-off chosen on test would be optimistic
            statistics = {name: it for name, it in statistics.items() if name not in plausibility.AT_CUTOFF}
        shown = {name: statistics[name] for name in SHOWN if name in statistics}
        measured[method] = uncertainty.figures(shown, resampling)
        details[method] = uncertainty.point_values(statistics, len(texts))
        if chosen_on:
            details[method]["cutoff"] = float(plausibility.CUTOFFS[cutoff])
    return measured, details, len(texts)


def measure_faithfulness(
    explainer: Explainer,
    documents: pd.DataFrame,
    predicted: Mapping[str, np.ndarray],
    settings: params.Params,
    accelerator: Accelerator,
) -> tuple[dict[str, Any], int]:
    """Each method's faithfulness on test documents, and their number."""
    chosen, resampling = sample_documents(documents, predicted.keys(), settings)
    mask = explainer.tokenizer.mask_token_id
    mask = explainer.tokenizer.unk_token_id if mask is None else mask
    by_method = collect_cases(explainer, chosen, predicted)
    if not by_method:
        return {}, len(chosen)  # nothing is predicted for any of them
    cases = [case for numbered in by_method.values() for _, case in numbered]
    budget = settings.train.chunk_budget
    drops = np.stack(faithfulness.drops(explainer.model, cases, mask, explainer.special, budget, accelerator))
    ends = np.cumsum([len(numbered) for numbered in by_method.values()])
    measured = {}
    for (method, numbered), values in zip(by_method.items(), np.split(drops, ends[:-1], axis=1), strict=True):
        number = np.array([document for document, _ in numbered])
        statistics = {
            name: document_ratio(number, value, len(chosen), least=-np.inf)
            for name, value in zip(("comprehensiveness", "sufficiency"), values, strict=True)
        }
        measured[method] = uncertainty.figures(statistics, resampling)
    return measured, len(chosen)


def count_traps(spans: pd.DataFrame, predicted: Mapping[str, np.ndarray], codes: list[str]) -> dict[str, int]:
    """How many codes test documents mention without having them, and how many of those the model assigns."""
    in_test = spans[spans["trap"] & spans["document_id"].isin(predicted)]
    named = in_test[["document_id", "code"]].drop_duplicates().itertuples(index=False)
    assigned = [codes.index(code) in predicted[document] for document, code in named]
    return {"named": len(assigned), "assigned": sum(assigned)}


def main() -> None:
    settings = params.load()
    if not settings.explain.documents:
        write({}, {})
        log.info("explain.documents is 0: nothing to do")
        return
    accelerator = devices.start(settings.compute, "float32")
    folder = model_folder()
    model = load_model(folder).to(accelerator.device)
    tokenizer = load_tokenizer(folder, model.architecture.lowercase_documents)
    rng = np.random.default_rng(settings.evaluate.seed)
    explainer = Explainer(model, tokenizer, special_ids(tokenizer), methods_for(model), rng)
    codes = io.read_json(paths.LABEL_CODES)
    parts = {part: pd.read_parquet(paths.split(part)).set_index("document_id") for part in (*SCORED, CHARTS)}
    documents = pd.concat(parts.values())
    logits = read_logits(paths.predictions(predictions_folder(), "test"))
    above = expit(logits) > tuning.PAPER
    predicted = {document: np.flatnonzero(row) for document, row in zip(parts["test"].index, above, strict=True)}

    spans = pd.read_parquet(paths.EVIDENCE).query("code in @codes")
    measured: dict[str, Any] = {}
    details: dict[str, dict[str, float]] = {}
    annotated = spans[~spans["trap"]]
    if (annotated["part"] == "test").any():
        plausible, details, n_documents = measure_plausibility(explainer, documents, annotated, codes, settings)
        measured |= {"plausibility": plausible, "annotated_documents": n_documents}
        if len(parts[CHARTS]):
            measured["annotated_in"] = "MIMIC-III"
        for method, values in plausible.items():
            log.info("%s: AUPRC %.3f, IoU %.3f", method, values["auprc"], values["iou"])
    else:
        log.info("no test document has gold spans: plausibility is left out")
    faithful, n_documents = measure_faithfulness(explainer, documents, predicted, settings, accelerator)
    measured |= {"faithfulness": faithful, "masked_documents": n_documents}
    for method, values in faithful.items():
        shown = (values["comprehensiveness"], values["sufficiency"])
        log.info("%s: comprehensiveness %.3f, sufficiency %.3f", method, *shown)
    if spans["trap"].any():
        measured["traps"] = count_traps(spans, predicted, codes)
    write(measured, details)


def write(measured: dict[str, Any], details: Mapping[str, Mapping[str, float]]) -> None:
    """Write the metrics, and all figures of plausibility as a row per attribution."""
    io.write_json(paths.EXPLANATIONS, {"test": measured})
    rows = [{"attribution": method, **figures} for method, figures in details.items()]
    io.write_csv(paths.PLAUSIBILITY, pd.DataFrame(rows, columns=None if rows else ["attribution", "auprc"]))


if __name__ == "__main__":
    run(main, memory="train.chunk_budget or explain.documents")
