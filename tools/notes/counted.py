"""Count the documents with each code in a group by a model's quantifiers, with intervals and warnings.

The result contains no text of a note.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader
from scipy.special import expit

from stages.common import io, paths
from stages.common.io import InputError
from stages.modeling.inference import predict
from stages.modeling.predictions import Predicted, predictions_folder, read_predictions
from stages.quantification import drift
from stages.quantification.counting import bin_counts
from stages.quantification.posterior import count_intervals
from tools.notes.coding import CHUNK_BUDGET, Notes, read_documents, start
from tools.notes.kit import Kit

SEED = 888
ADJUSTING = ("acc", "pacc", "emq")  # assume validation's documents at other prevalences
TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True)


@dataclass(frozen=True)
class CodeCount:
    code: str
    title: str
    kind: str
    number: float  # estimated
    low: int  # of the 95 % interval, ends included
    high: int
    prevalence: float  # number as a share of the group
    assigned: int  # documents that are individually assigned the code
    training: float  # prevalence among the training documents
    true: int | None = None  # known for parts of the corpus


@dataclass(frozen=True)
class Counted:
    """A group's counts, largest first, with the method and warnings."""

    n_documents: int
    method: str
    codes: list[CodeCount]
    warnings: list[str]
    drift: dict[str, float]  # corrected p-value by feature

    def page(self, about: str) -> str:
        """An HTML page that shows each code's estimate, interval and training prevalence."""
        most = max(1, *(max(code.high, code.training * self.n_documents) for code in self.codes))
        return TEMPLATES.get_template("count_page.html").render(counted=self, about=about, most=most)


def count_notes(
    notes: Notes, part: str | None, folder: Path | None, revision: str | None, method: str | None
) -> tuple[Counted, str]:
    """Count the codes of notes or of a part of the corpus; also returns a sentence about the model.

    Raises InputError if there is no such model, method or part.
    """
    kit, accelerator = start(folder, revision)
    about = f"{kit.type} model of {kit.corpus}, {len(kit.codes)} codes."
    if part is None:
        _, documents = read_documents(kit, notes)
        logits = predict(kit.model, documents, CHUNK_BUDGET, accelerator, name="reading").numpy()
        return count(kit, Predicted(logits, np.diff(documents.offsets), documents.n_unknown), method), about
    predicted = read_predictions(paths.predictions(predictions_folder(), part))
    targets = io.read_csr(paths.targets(part))
    if not predicted.logits.shape == targets.shape == (targets.shape[0], len(kit.codes)):
        raise InputError(f"the predictions of {part} are not of this model's codes; `dvc repro` makes them consistent")
    return count(kit, predicted, method, np.asarray(targets.sum(axis=0)).ravel()), about


def count(kit: Kit, group: Predicted, method: str | None, true: np.ndarray | None = None) -> Counted:
    """Count each code in a group of documents by `method` or the model's best one; `true` (C,): known counts."""
    known, n_documents = kit.counting, len(group.logits)
    probabilities = expit(group.logits)
    estimates = dict(known.estimates(group.logits, np.ones((1, n_documents), dtype=bool)))
    method = method or known.method
    if method not in estimates:
        raise InputError(f"--method {method}: this model has {', '.join(estimates)}")
    numbers = n_documents * estimates[method][0].astype(np.float64)
    binned = bin_counts(probabilities, known.edges)
    low, high = count_intervals(known.binned, binned, SEED)
    low, high = np.minimum(low, np.floor(numbers)), np.maximum(high, np.ceil(numbers))
    assigned = (probabilities > kit.threshold).sum(axis=0)
    codes = [
        CodeCount(
            code=code,
            title=kit.titles[code],
            kind=kit.kinds[code],
            number=float(numbers[i]),
            low=int(low[i]),
            high=int(high[i]),
            prevalence=float(numbers[i] / n_documents),
            assigned=int(assigned[i]),
            training=float(known.training[i]),
            true=None if true is None else int(true[i]),
        )
        for i, code in enumerate(kit.codes)
    ]
    codes.sort(key=lambda code: -code.number)
    drifted = drift.compare_group(known, probabilities, group.n_tokens, group.n_unknown, binned)
    return Counted(n_documents, method, codes, warnings(kit, drifted, method, len(known.n_tokens)), drifted.features)


def warnings(kit: Kit, drifted: drift.Drift, method: str, n_validation: int) -> list[str]:
    """Reasons to doubt the counts, one sentence each."""
    sentences = [
        f"{name} of these documents is unlike the {n_validation} validation documents' "
        f"(p {drifted.features[name]:.1g}, two-sample test, corrected): figures and intervals may not hold here"
        for name in drifted.unlike
    ]
    if drifted.refuted:
        codes = ", ".join(kit.codes[column] for column in sorted(drifted.refuted, key=drifted.refuted.__getitem__)[:10])
        what = f"{method} and the intervals assume" if method in ADJUSTING else "the intervals assume"
        sentences.append(
            f"{what} that documents with a code look as they did in validation, only more or fewer: refuted for "
            f"{len(drifted.refuted)} codes ({codes}{', ...' if len(drifted.refuted) > 10 else ''})"
        )
    return sentences
