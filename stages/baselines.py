"""Baselines on the test documents: a phrase lookup, and TF-IDF with logistic regression."""

import logging

import pandas as pd

from stages.common import io, params, paths
from stages.common.parts import PARTS
from stages.common.runner import run
from stages.common.threads import limit
from stages.evaluation import lexical, tuning, uncertainty
from stages.evaluation.scored import Resampling

log = logging.getLogger("stages.baselines")


def main() -> None:
    settings = params.load()
    if not settings.baselines.enabled:
        io.write_json(paths.BASELINES, {"test": {}})
        log.info("baselines.enabled is false: nothing to do")
        return
    limit(1)
    codes = io.read_json(paths.LABEL_CODES)
    texts = {part: pd.read_parquet(paths.split(part), columns=["text"])["text"].tolist() for part in PARTS}
    targets = {part: io.read_csr(paths.targets(part)) for part in PARTS}
    lookup = lexical.PhraseLookup(io.read_json(paths.CANDIDATES), codes).predict(texts["test"])
    val, test = lexical.tfidf_probabilities(texts["train"], targets["train"], [texts["val"], texts["test"]])
    tuned = tuning.shared_threshold(targets["val"], val)
    decisions = {"lookup": lookup, "tfidf": test > tuning.PAPER, "tfidf_tuned": test > tuned}
    documents = pd.read_parquet(paths.LABEL_DOCUMENTS, columns=["part", "subject_id"])
    patients = documents.subject_id[documents.part == "test"].to_numpy()
    resampling = Resampling(patients, settings.evaluate.bootstrap, settings.evaluate.seed)
    measured = {
        name: uncertainty.figures(uncertainty.decision_statistics(targets["test"], decided), resampling)
        for name, decided in decisions.items()
    }
    io.write_json(paths.BASELINES, {"test": measured})
    for name, metrics in measured.items():
        log.info("%s: micro-F1 %.3f, macro-F1 %.3f", name, metrics["f1_micro"], metrics["f1_macro"])


if __name__ == "__main__":
    run(main)
