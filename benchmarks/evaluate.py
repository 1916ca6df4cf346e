"""Evaluation: the vectorised forms beside the straightforward ones, on invented predictions.

    python -m benchmarks.evaluate                                  # 2,000 documents, 500 codes: about a minute
    python -m benchmarks.evaluate --documents 8700 --codes 3681    # MIMIC-III-clean's test split
    python -m benchmarks.evaluate --documents 8700 --codes 3681 --only-ours

Each row computes the same thing twice in this run: `ours`, and as one would write it down first (a loop over codes,
documents or samples; scikit-learn where it has the metric). `difference` is the largest between the two results.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp
from scipy.special import expit
from sklearn.metrics import f1_score, roc_auc_score

from stages.evaluation import calibration, classification, uncertainty
from stages.quantification.comparison import mean_errors
from stages.quantification.sampling import group_means, group_sizes, uniform_groups

K = (5, 8, 15)
BINS = 20


def predictions(n_documents: int, n_codes: int, seed: int = 0) -> tuple[sp.csr_array, np.ndarray]:
    """Targets and logits (N, C): log-uniform prevalences, 15 codes per document on average, an AUC of about 0.97."""
    rng = np.random.default_rng(seed)
    prevalence = np.geomspace(1, 1e-4, n_codes)
    prevalence = np.clip(prevalence * min(15, n_codes / 4) / prevalence.sum(), 1e-4, 0.6)
    targets = rng.random((n_documents, n_codes), dtype=np.float32) < prevalence
    logits = rng.standard_normal((n_documents, n_codes), dtype=np.float32)
    logits += np.log(prevalence / (1 - prevalence)).astype(np.float32) - 1
    logits[targets] += 3
    return sp.csr_array(targets.astype(np.uint8)), logits


def mece_loop(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """One code and one bin after the other."""
    errors = []
    for truth, scores in zip(targets.T, probabilities.T, strict=True):
        bins, error = calibration.bin_of(scores, BINS), 0.0
        for chosen in (bins == b for b in range(BINS + 1)):
            if chosen.any():
                error += chosen.mean() * abs(scores[chosen].mean(dtype=float) - truth[chosen].mean())
        errors.append(error)
    return float(np.mean(errors))


def at_k_loop(targets: np.ndarray, probabilities: np.ndarray) -> list[float]:
    """One document and one k after the other."""
    values = []
    for k in K:
        precisions, recalls = [], []
        for truth, scores in zip(targets, probabilities, strict=True):
            hits = truth[np.argsort(-scores, kind="stable")[:k]].sum()
            precisions.append(hits / k)
            recalls.append(hits / truth.sum() if truth.any() else 0)
        values += [np.mean(precisions), np.mean(recalls)]
    return values


def at_k(targets: sp.csr_array, probabilities: np.ndarray) -> list[float]:
    ranked = classification.RankedDocuments.rank(targets, probabilities)
    metrics = classification.precisions_at, classification.recalls_at
    return [classification.mean(metric(ranked, k)) for k in K for metric in metrics]


def auc_macro_loop(targets: np.ndarray, probabilities: np.ndarray) -> float:
    """One code after the other."""
    both = np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0))
    return float(np.mean([roc_auc_score(targets[:, code], probabilities[:, code]) for code in both]))


def bootstrap(targets: sp.csr_array, probabilities: np.ndarray, weights: np.ndarray) -> list[float]:
    """Micro-F1, macro-F1 and MECE of each resample."""
    decisions = probabilities > 0.5
    statistics = (
        uncertainty.f1_micro(targets, decisions),
        uncertainty.by_code_counts(targets, decisions, uncertainty.f1_macro),
        uncertainty.mece(targets, probabilities, BINS),
    )
    return np.concatenate([statistic.at(weights) for statistic in statistics]).tolist()


def bootstrap_loop(targets: sp.csr_array, probabilities: np.ndarray, weights: np.ndarray) -> list[float]:
    """One resample after the other, each from its own copies of the documents."""
    values = []
    for row in weights.astype(int):
        documents = np.repeat(np.arange(len(row)), row)
        metrics = classification.decision_metrics(targets[documents], probabilities[documents] > 0.5)
        error = calibration.mece(targets[documents], probabilities[documents], BINS)
        values.append([metrics["f1_micro"], metrics["f1_macro"], error])
    return np.concatenate(np.transpose(values)).tolist()


def means_loop(groups: list[np.ndarray], values: np.ndarray) -> np.ndarray:
    """One sample after the other."""
    return np.array([values[group].mean(axis=0, dtype=float) for group in groups])


def errors_loop(true: np.ndarray, estimated: np.ndarray, sizes: np.ndarray) -> list[float]:
    """One sample after the other, the formulas as they stand."""
    absolute, relative = [], []
    for p, q, size in zip(true, estimated, sizes, strict=True):
        epsilon = 1 / (2 * size)
        s, t = ((epsilon + x) / (2 * epsilon + 1) for x in (p, q))
        absolute.append(np.abs(p - q).mean())
        relative.append(((np.abs(s - t) / s + np.abs(s - t) / (1 - s)) / 2).mean())
    return [np.mean(absolute), np.mean(relative)]


def rows(settings: argparse.Namespace) -> Iterator[tuple[str, Callable, Callable | None]]:
    """What is measured: its name, ours, the straightforward form (None where there is none to compare)."""
    targets, logits = predictions(settings.documents, settings.codes)
    probabilities = expit(logits)
    dense = targets.toarray()
    decisions = probabilities > 0.5
    yield (
        "micro- and macro-F1",
        lambda: [classification.decision_metrics(targets, decisions)[name] for name in ("f1_micro", "f1_macro")],
        lambda: [f1_score(dense, decisions, average=average, zero_division=0) for average in ("micro", "macro")],
    )
    yield (
        "AUC, micro",
        lambda: classification.auc_micro(targets, probabilities),
        lambda: roc_auc_score(dense.ravel(), probabilities.ravel()),
    )
    yield (
        "AUC, macro",
        lambda: classification.auc_macro(targets, probabilities),
        lambda: auc_macro_loop(dense, probabilities),
    )
    yield (
        "precision and recall at 5, 8, 15",
        lambda: at_k(targets, probabilities),
        lambda: at_k_loop(dense, probabilities),
    )
    yield "MECE", lambda: calibration.mece(targets, probabilities, BINS), lambda: mece_loop(dense, probabilities)
    yield (
        "all classification metrics",
        lambda: list(
            (
                classification.decision_metrics(targets, decisions)
                | classification.ranking_metrics(targets, probabilities, K)
            ).values()
        ),
        None,
    )
    yield (
        "all calibration metrics",
        lambda: list(calibration.calibration_metrics(targets, logits, probabilities, BINS).values()),
        None,
    )
    weights = uncertainty.bootstrap_weights(np.arange(settings.documents), settings.resamples, 0)
    yield (
        f"F1 and MECE, {settings.resamples} resamples",
        lambda: bootstrap(targets, probabilities, weights),
        lambda: bootstrap_loop(targets, probabilities, weights),
    )
    groups = uniform_groups(settings.documents, settings.samples, np.random.default_rng(0))
    members = [np.flatnonzero(group) for group in np.asarray(groups)]
    yield (
        f"prevalences of {settings.samples} samples",
        lambda: group_means(groups, probabilities),
        lambda: means_loop(members, probabilities),
    )
    true, estimated, sizes = group_means(groups, targets), group_means(groups, probabilities), group_sizes(groups)
    yield (
        f"AE and RAE of {settings.samples} samples",
        lambda: list(mean_errors(true, estimated, sizes).values()),
        lambda: errors_loop(true, estimated, sizes),
    )


def timed(function: Callable) -> tuple[np.ndarray, float]:
    start = time.perf_counter()
    result = np.asarray(function(), dtype=float)
    return result, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--codes", type=int, default=500)
    parser.add_argument("--resamples", type=int, default=50)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--only-ours", action="store_true", help="leave the straightforward forms out")
    settings = parser.parse_args()
    print(f"{settings.documents} documents x {settings.codes} codes")
    print(f"{'':34}{'ours, s':>10}{'plain, s':>10}{'ratio':>8}{'difference':>12}")
    for name, ours, plain in rows(settings):
        result, seconds = timed(ours)
        line = f"{name:34}{seconds:10.2f}"
        if plain and not settings.only_ours:
            expected, plain_seconds = timed(plain)
            line += f"{plain_seconds:10.2f}{plain_seconds / seconds:8.1f}{np.abs(result - expected).max():12.1e}"
        print(line)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
