"""Select M synonyms of every code from its candidates: the most diverse ones, or random ones."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from stages.project import params, paths
from stages.project.errors import InputError
from stages.project.files import read_json, whole_file
from stages.project.formats import write_csv, write_json
from stages.project.stage import run
from stages.project.threads import limit
from stages.synonyms import mdp, selection

log = logging.getLogger("stages.select_synonyms")

PLOTTED = (1, 2, 4, 8)  # the values of M in the paper


def main() -> None:
    config = params.load()
    wanted, n_workers = config.synonyms, config.compute.threads
    limit(1)  # processes, not threads, share the work
    candidates = read_json(paths.CANDIDATES)
    titles = {code: next(iter(entry["titles"]), "") for code, entry in read_json(paths.CODES).items()}
    problems = distances(candidates, load_file(paths.EMBEDDINGS)["embeddings"])
    solutions: dict[str, mdp.Solution] = {}
    if wanted.criterion == "MDP":
        solutions = selection.choose_all(problems, wanted.M, wanted.time_limit, n_workers, wanted.total_time_limit)
        report(solutions)
        chosen = {code: found.chosen for code, found in solutions.items()}
    else:
        chosen = {code: selection.draw(len(problems[code]), wanted.M, wanted.seed, code) for code in problems}
    selected = {
        code: [phrases[i] for i in chosen[code]] if phrases else [selection.UNKNOWN] * wanted.M
        for code, phrases in candidates.items()
    }
    sizes = {code: len(phrases) for code, phrases in candidates.items()}
    most_diverse = {M: selection.choose_all_quickly(problems, M, n_workers) for M in PLOTTED if M != wanted.M}
    if solutions:
        most_diverse[wanted.M] = chosen

    write_json(paths.SELECTED, selected)
    write_table(paths.SELECTED_TABLE, selected, titles)
    write_csv(
        paths.SELECTION,
        pd.DataFrame(solution_rows(solutions, sizes), columns=["code", "candidates", *SOLUTION]),
    )
    write_csv(paths.DIVERSITY, pd.DataFrame(curve(problems, most_diverse), columns=["M", "method", "diversity"]))
    write_json(paths.SYNONYM_STATISTICS, statistics(problems, chosen, solutions, wanted.M, sizes))


def distances(candidates: dict[str, list[str]], embeddings: np.ndarray) -> selection.Problems:
    """The distances among the candidates of every code that has some, from embeddings (sum of candidates, d)."""
    stops = np.cumsum([len(candidates[code]) for code in sorted(candidates)])
    if len(embeddings) != stops[-1]:
        raise InputError(f"{paths.EMBEDDINGS} has {len(embeddings)} rows for {stops[-1]} candidates; run `dvc repro`")
    if not np.isfinite(embeddings).all():
        raise InputError(f"{paths.EMBEDDINGS} holds numbers that are not finite; look at the encoder")
    rows = dict(zip(sorted(candidates), np.split(embeddings, stops[:-1]), strict=True))
    return {code: mdp.cosine_distances(rows[code]) for code in rows if len(rows[code])}


def report(solutions: dict[str, mdp.Solution]) -> None:
    """Say how many answers are proven, and which are not."""
    unproven = sorted(code for code, found in solutions.items() if not found.proven)
    log.info("%d of %d answers are proven optimal", len(solutions) - len(unproven), len(solutions))
    if unproven:
        shown = ", ".join(unproven[:20]) + (", ..." if len(unproven) > 20 else "")
        log.warning("not proven within synonyms.time_limit and total_time_limit: %s", shown)


def statistics(
    problems: selection.Problems,
    chosen: Mapping[str, Sequence[int]],
    solutions: dict[str, mdp.Solution],
    M: int,
    sizes: dict[str, int],
) -> dict:
    """What metrics/synonyms.json says. What is said of proofs is null where there was nothing to prove (rand)."""
    found = solutions.values()
    return {
        "codes": len(sizes),
        "codes_without_candidates": sum(size == 0 for size in sizes.values()),
        "codes_with_fewer_than_M": sum(size < M for size in sizes.values()),
        "mean_diversity": selection.mean_diversity(problems, chosen, M),
        "share_proven": sum(one.proven for one in found) / len(found) if found else None,
        "worst_gap": max((one.gap for one in found), default=None),
        "closed_by": dict(Counter(one.method for one in found)),
    }


def curve(problems: selection.Problems, most_diverse: Mapping[int, Mapping[str, Sequence[int]]]) -> Iterable[tuple]:
    """Mean diversity against M: of the most diverse synonyms, of random ones, of the first ones."""
    for M in sorted(most_diverse):
        mean = selection.mean_diversity(problems, most_diverse[M], M)
        yield from ((M, name, mean[key]) for name, key in (("MDP", "chosen"), ("rand", "rand"), ("first", "first")))


SOLUTION = ("objective", "bound", "gap", "proven", "method")


def solution_rows(solutions: dict[str, mdp.Solution], sizes: dict[str, int]) -> Iterable[tuple]:
    """What is known of every answer."""
    return (
        (code, sizes[code], *(getattr(found, name) for name in SOLUTION)) for code, found in sorted(solutions.items())
    )


def write_table(path: Path, selected: dict[str, list[str]], titles: dict[str, str]) -> None:
    """Write what was chosen as a table to be read."""
    lines = ["| code | title | synonyms |", "|---|---|---|"]
    lines += [f"| {code} | {titles[code]} | {' · '.join(selected[code])} |" for code in sorted(selected)]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main, memory="synonyms.max_candidates")
