"""What goes into the score of open codes, and what each part brings: `python -m benchmarks.open_codes`.

In a workspace where the pipeline ran with `open.codes` or `data.withheld`: fits the mix without each of its parts, and
prints MAP and F1 on test with 95 % intervals over documents, and the AUC of codes that no training document has.
"""

import logging

import numpy as np

from stages.common import io, params, paths
from stages.common.runner import run
from stages.corpus.document import SCORED
from stages.evaluation.scored import Resampling
from stages.modeling import devices
from stages.open_codes import figures, mix
from stages.open_codes.mix import FEATURES
from stages.score_open import Part, collect, gold_codes, prepare

log = logging.getLogger("benchmarks.open_codes")

LEFT_OUT = {
    "whole": (),
    "without MSAM of open codes": ("logit_open",),
    "without similarity": tuple(name for name in FEATURES if name.startswith("similarity")),
    "without letters": ("overlap",),
    "without counts": ("count",),
    "without MSAM at all": ("logit_open", "logit_trained", "trained"),
}


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
    groups = {"never": figures.groups_of(scorer.counts, scorer.n_trained)["never"]}
    print(f"{'mix':28} {'MAP':>22} {'F1':>22} {'AUC never':>10}")
    for name, names in LEFT_OUT.items():
        fitted = mix.fit(np.concatenate(without(val, names)), val.true_pairs())
        scores = [fitted.probabilities(features) for features in without(test, names)]
        codes = scorer.index.codes
        found = figures.decision_figures(test.gold, codes, test.pairs, scores, fitted.threshold, resampling)
        aucs = figures.group_aucs(test.targets, figures.matrix(test.pairs, scores, len(codes)), groups, resampling)
        shown = [
            f"{found[key]:.3f} ({found['intervals'][key][0]:.3f} to {found['intervals'][key][1]:.3f})"
            for key in ("map", "f1")
        ]
        print(f"{name:28} {shown[0]:>22} {shown[1]:>22} {aucs['auc_never']:10.3f}")


if __name__ == "__main__":
    run(main)
