"""What goes into the score of open codes, and what each part brings: `python -m benchmarks.open_codes`.

In a workspace where the pipeline ran with `open.codes` or `data.withheld`: fits the mix without each of its parts, and
prints MAP and F1 on test with 95 % intervals over documents, and the AUC of codes that no training document has. Of the
embedded corpus, which is coded in ICD-9, the same test notes are then scored for ICD-10-CM's codes of the same meaning,
by those codes' titles, with the mix and the threshold that were fitted with the codes withheld from training.
"""

import logging

import numpy as np

from stages.common import devices, io, params, paths
from stages.common.parts import SCORED
from stages.common.runner import run
from stages.corpus.corpora import is_synthetic
from stages.evaluation import classification
from stages.evaluation.scored import Resampling
from stages.open_codes import measurement, mix
from stages.open_codes.measurement import SIMILAR, Part
from stages.open_codes.mix import FEATURES
from stages.open_codes.scoring import Fitted, Scorer, scorer_of
from stages.score_open import collect, gold_codes, prepare
from stages.synonyms import pools

log = logging.getLogger("benchmarks.open_codes")

LEFT_OUT = {
    "whole": (),
    "without MSAM of open codes": ("logit_open",),
    "without similarity": tuple(name for name in FEATURES if name.startswith("similarity")),
    "without letters": ("overlap",),
    "without counts": ("count",),
    "without MSAM at all": ("logit_open", "logit_trained", "trained"),
}
# fmt: off
IN_ICD10 = {  # the diagnoses of the embedded corpus of which ICD-10-CM has a code of the same meaning
    "401.9": "I10", "428.0": "I50.9", "427.31": "I48.91", "414.01": "I25.10", "584.9": "N17.9", "250.00": "E11.9",
    "272.4": "E78.5", "518.81": "J96.00", "599.0": "N39.0", "530.81": "K21.9", "272.0": "E78.00", "285.9": "D64.9",
    "244.9": "E03.9", "486": "J18.9", "285.1": "D62", "496": "J44.9", "995.92": "R65.20", "V58.61": "Z79.01",
    "507.0": "J69.0", "038.9": "A41.9", "585.9": "N18.9", "403.90": "I12.9", "305.1": "F17.210", "412": "I25.2",
    "287.5": "D69.6", "410.71": "I21.4", "276.1": "E87.1", "V45.81": "Z95.1", "424.0": "I34.0", "V15.82": "Z87.891",
    "511.9": "J90",
}
# fmt: on
SCORES = ("mix", "MSAM by titles", "cosine")


def without(part: Part, names: tuple[str, ...]) -> list[np.ndarray]:
    """The features of each document's pairs, those named set to 0."""
    kept = np.array([name not in names for name in FEATURES], float)
    return [pair.features * kept for pair in part.pairs]


def main() -> None:
    settings = params.load()
    device = devices.start(settings.compute, "float32").device
    truth = gold_codes()
    scorer, *_ = prepare(settings.open.codes, io.read_json(paths.OPEN_LABELS), truth, device)
    parts = {part: collect(scorer, part, truth[part], settings.evaluate.seed) for part in SCORED}
    val, test = parts["val"], parts["test"]
    resampling = Resampling(np.arange(len(test.pairs)), settings.evaluate.bootstrap, settings.evaluate.seed)
    groups = {"never": measurement.groups_of(scorer.counts, scorer.n_trained)["never"]}
    print(f"{'mix':28} {'MAP':>22} {'F1':>22} {'AUC never':>10}")
    for name, names in LEFT_OUT.items():
        fitted = mix.fit(np.concatenate(without(val, names)), val.true_pairs())
        scores = [fitted.probabilities(features) for features in without(test, names)]
        codes = scorer.index.codes
        result = measurement.decision_figures(test.gold, codes, test.pairs, scores, fitted.threshold, resampling)
        aucs = measurement.group_aucs(
            test.targets, measurement.matrix(test.pairs, scores, len(codes)), groups, resampling
        )
        shown = [
            f"{result[key]:.3f} ({result['intervals'][key][0]:.3f} to {result['intervals'][key][1]:.3f})"
            for key in ("map", "f1")
        ]
        print(f"{name:28} {shown[0]:>22} {shown[1]:>22} {aucs['auc_never']:10.3f}")
    if is_synthetic(settings.data):
        across_revisions(scorer, val, truth["test"], settings)


def across_revisions(scorer: Scorer, val: Part, truth: dict[str, list[str]], settings: params.Params) -> None:
    """Print AUC and F1 of ICD-10-CM's codes, by their titles, on test notes.

    The threshold is that of the withheld codes on validation notes, which the model knows as little.
    """
    fitted = Fitted.read(paths.OPEN)
    assert fitted is not None
    pool = pools.icd10cm_pool(sorted(IN_ICD10.values()))
    other = scorer_of(scorer.model, fitted.trained, pool, {}, fitted.choice, paths.ENCODER)
    gold = {case: [IN_ICD10[code] for code in codes if code in IN_ICD10] for case, codes in truth.items()}
    test = collect(other, "test", gold, settings.evaluate.seed)
    n_trained, codes = other.n_trained, other.index.codes
    targets = test.targets[:, n_trained:]
    print(f"{targets.shape[1]} codes of ICD-10-CM, {targets.sum()} assignments in {len(targets)} notes; AUC, F1")

    def scores_of(features: np.ndarray) -> dict[str, np.ndarray]:
        by_words = features[:, FEATURES.index("logit_open")], features[:, SIMILAR].sum(axis=1)
        return dict(zip(SCORES, (fitted.mix.probabilities(features), *by_words), strict=True))

    withheld = [pair.codes >= scorer.n_trained for pair in val.pairs]
    known = scores_of(np.concatenate([pair.features[own] for pair, own in zip(val.pairs, withheld, strict=True)]))
    true = np.concatenate(
        [row[pair.codes[own]] for row, pair, own in zip(val.targets, val.pairs, withheld, strict=True)]
    )
    resampling = Resampling(np.arange(len(targets)), settings.evaluate.bootstrap, settings.evaluate.seed)
    scored = [scores_of(pair.features[n_trained:]) for pair in test.pairs]
    for name in SCORES:
        matrix = np.array([scores[name] for scores in scored])
        auc = measurement.group_aucs(targets, matrix, {"all": np.ones(len(codes) - n_trained, bool)}, resampling)
        decided = classification.decision_metrics(targets, matrix > mix.threshold_of(known[name], true))
        low, high = auc["intervals"]["auc_all"]
        print(f"{name:28} {auc['auc_all']:.3f} ({low:.3f} to {high:.3f}) {decided['f1_micro']:.3f}")


if __name__ == "__main__":
    run(main)
