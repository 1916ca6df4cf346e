"""Do the 95 % intervals of `tools.count_codes` hold? `python -m benchmarks.counting [GROUPS]`, after `dvc repro`.

Groups of test documents, drawn uniformly and around one code of forced prevalence (the artificial-prevalence protocol);
intervals as the tool gives them, and the codes whose intervals hold too seldom or too often. Then divisions of the
validation and test patients, in which nothing has drifted: how often the warnings speak; and the same with the logits
of half of the group's documents moved.
"""

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from stages.common import io, paths
from stages.common.runner import progress_bar
from stages.evaluate import load_part
from stages.evaluation.scored import Predictions
from stages.modeling.predictions import predictions_folder
from stages.quantification import drift
from stages.quantification.counting import Counting, bin_counts
from stages.quantification.posterior import count_intervals
from stages.quantification.sampling import shifted_groups, uniform_groups

DIVISIONS = 200
MOVED = 2
LEAST, MOST = 0.93, 0.97  # of a code's intervals should hold


def coverage(known: Counting, test: Predictions, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether each code's true number lies in its interval (S, C), the intervals' widths as shares, the forced code."""
    true = test.targets.toarray().astype(float)
    held, widths, forced = [], [], []
    for seed, group in enumerate(progress_bar(groups, desc="groups")):
        low, high = count_intervals(known.binned, bin_counts(test.probabilities[group], known.edges), seed)
        number = true[group].sum(axis=0)
        held.append((low <= number) & (number <= high))
        widths.append((high - low) / group.sum())
        forced.append(np.abs(number / group.sum() - true.mean(axis=0)).argmax())
    return np.array(held), np.array(widths), np.array(forced)


def divided(val: Predictions, test: Predictions, seed: int, share: float) -> tuple[Predictions, Predictions]:
    """All documents of both, divided again by patient: about `share` of the patients, and the others."""
    targets, logits = sp.vstack([val.targets, test.targets]), np.concatenate([val.logits, test.logits])
    patients = np.concatenate([val.patients, test.patients])
    names, patient = np.unique(patients, return_inverse=True)
    first = (np.random.default_rng(seed).random(len(names)) < share)[patient]
    one_part, other_part = (
        Predictions(sp.csr_array(targets[side]), logits[side], patients[side]) for side in (first, ~first)
    )
    return one_part, other_part


def warnings_of(calibrated: Predictions, group: Predictions, seed: int) -> np.ndarray:
    """Whether the documents of a group, and whether their codes, are said to be unlike those of `one`.

    Lengths are drawn from one distribution for both, so the scores alone can tell.
    """
    rng, ones = np.random.default_rng(seed), np.ones((2, calibrated.targets.shape[1]))
    lengths, n_unknown = np.sort(rng.integers(50, 500, 1000)), np.zeros(len(group.patients))
    known = Counting.learn(calibrated, {}, ones, (lengths, np.zeros(len(lengths))), ones[0], 10, 0)
    binned = bin_counts(group.probabilities, known.edges)
    drawn = rng.choice(lengths, len(group.patients))
    result = drift.compare_group(known, group.probabilities, drawn, n_unknown, binned)
    return np.array([bool(result.unlike), bool(result.refuted)])


def move(part: Predictions) -> Predictions:
    """A part with the logits of every other document moved."""
    moved = np.where(np.arange(len(part.logits)) % 2, 0, MOVED).astype(np.float32)
    return part.recalibrate(lambda logits: logits + moved[:, None])


def main() -> None:
    n_groups = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    codes = io.read_json(paths.LABEL_CODES)
    val, test = (load_part(part, predictions_folder(), len(codes)) for part in ("val", "test"))
    known = Counting.load(paths.COUNTING)
    print("| groups | intervals that hold | of the forced code | mean width | codes within 93 to 97 %, below, above |")
    print("|---|---:|---:|---:|---|")
    draws = {
        "natural": uniform_groups(len(test.patients), n_groups, np.random.default_rng(0)),
        "forced": shifted_groups(test.targets, n_groups, np.random.default_rng(1)),
    }
    outside = []
    for name, groups in draws.items():
        held, widths, forced = coverage(known, test, groups)
        by_code = held.mean(axis=0)
        within = ((by_code >= LEAST) & (by_code <= MOST)).sum(), (by_code < LEAST).sum(), (by_code > MOST).sum()
        of_forced = f"{100 * held[np.arange(len(held)), forced].mean():.1f} %" if name == "forced" else ""
        figures = f"{100 * held.mean():.1f} % | {of_forced} | {widths.mean():.3f} | {', '.join(map(str, within))}"
        print(f"| {name} | {figures} |")
        for side, chosen in (("below", by_code < LEAST), ("above", by_code > MOST)):
            listed = ", ".join(f"{codes[i]} {100 * by_code[i]:.1f}" for i in by_code.argsort() if chosen[i])
            outside.append(f"{name}, {side}: {listed or 'none'}")
    print("", *outside, "", sep="\n")

    spoken = np.zeros((2, 2))  # nothing drifted, drifted; documents, codes
    for seed in progress_bar(range(DIVISIONS), desc="divisions"):
        one, two = divided(val, test, seed, len(val.patients) / (len(val.patients) + len(test.patients)))
        spoken += [warnings_of(one, two, seed), warnings_of(one, move(two), seed)]
    for name, counts in zip(("nothing drifted", "half of the logits moved by 2"), spoken / DIVISIONS, strict=True):
        print(f"{name}: warned of the documents in {100 * counts[0]:.1f} %, of the codes in {100 * counts[1]:.1f} %")


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    main()
