"""Select M synonyms of every code from its candidates: the most diverse ones, or random ones."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from stages import params, paths
from stages.errors import InputError
from stages.files import read_json, whole_file, write_json
from stages.stage import run
from stages.synonyms import mdp, selection

log = logging.getLogger("stages.select_synonyms")

PLOTTED = (1, 2, 4, 8)  # the values of M in the paper


def main() -> None:
    config = params.load()
    wanted = config.synonyms
    candidates = read_json(paths.CANDIDATES)
    problems = distances(candidates, load_file(paths.EMBEDDINGS)["embeddings"])
    solutions: dict[str, mdp.Solution] = {}
    if wanted.criterion == "MDP":
        solutions = dict(selection.choose_all(problems, wanted.M, wanted.time_limit, config.compute.threads))
        report(solutions)
        chosen = {code: found.chosen for code, found in solutions.items()}
    else:
        chosen = {code: selection.draw(len(problems[code]), wanted.M, wanted.seed, code) for code in problems}
    selected = {
        code: [phrases[i] for i in chosen[code]] if phrases else [selection.UNKNOWN] * wanted.M
        for code, phrases in candidates.items()
    }

    titles = {code: next(iter(entry["titles"]), "") for code, entry in read_json(paths.CODES).items()}
    sizes = {code: len(phrases) for code, phrases in candidates.items()}
    write_json(paths.SELECTED, selected)
    write_text(paths.SELECTED_TABLE, selection.markdown(selected, titles))
    write_text(paths.SELECTION, selection.solution_table(solutions, sizes).to_csv(index=False, float_format="%.9g"))
    write_text(paths.DIVERSITY, selection.curve(problems, PLOTTED).to_csv(index=False, float_format="%.6g"))
    write_json(paths.SYNONYM_STATISTICS, statistics(problems, chosen, solutions, wanted.M, sizes))


def distances(candidates: dict[str, list[str]], embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """The distances among the candidates of every code that has some: {code: (n, n)}."""
    stops = np.cumsum([len(candidates[code]) for code in sorted(candidates)])
    if len(embeddings) != stops[-1]:
        raise InputError(f"{paths.EMBEDDINGS} has {len(embeddings)} rows for {stops[-1]} candidates; run `dvc repro`")
    rows = dict(zip(sorted(candidates), np.split(embeddings, stops[:-1]), strict=True))
    return {code: mdp.cosine_distances(rows[code]) for code in rows if len(rows[code])}


def statistics(
    problems: dict[str, np.ndarray],
    chosen: dict[str, tuple[int, ...]],
    solutions: dict[str, mdp.Solution],
    M: int,
    sizes: dict[str, int],
) -> dict:
    """What metrics/synonyms.json says; what is said of proofs is null where nothing was to be proven (rand)."""
    found = solutions.values()
    return {
        "codes": len(sizes),
        "codes_without_candidates": sum(size == 0 for size in sizes.values()),
        "codes_with_fewer_than_M": sum(size < M for size in sizes.values()),
        "mean_diversity": selection.summary(problems, chosen, M),
        "share_proven": sum(one.proven for one in found) / len(found) if found else None,
        "worst_gap": max((one.gap for one in found), default=None),
        "closed_by": dict(Counter(one.method for one in found)),
    }


def report(solutions: dict[str, mdp.Solution]) -> None:
    """Say how many answers are proven, and which are not."""
    unproven = sorted(code for code, found in solutions.items() if not found.proven)
    log.info("%d of %d answers are proven optimal", len(solutions) - len(unproven), len(solutions))
    if unproven:
        log.warning("the time limit was reached for %s: raise synonyms.time_limit", ", ".join(unproven))


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
