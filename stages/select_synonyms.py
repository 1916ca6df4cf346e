"""Select M synonyms of every code from its candidates: the most diverse ones, or random ones."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from stages.common import io, params, paths, threads
from stages.common.io import InputError
from stages.common.runner import run
from stages.synonyms import mdp, selection

log = logging.getLogger("stages.select_synonyms")


SOLUTION = ("objective", "bound", "gap", "proven", "method")


def main() -> None:
    settings = params.load()
    synonyms, n_workers = settings.synonyms, settings.compute.threads
    threads.limit(1)  # parallelism is by processes
    candidates = io.read_json(paths.CANDIDATES)
    sizes = {code: len(phrases) for code, phrases in candidates.items()}
    titles = {code: next(iter(entry["titles"]), "") for code, entry in io.read_json(paths.CODES).items()}
    problems = distances(candidates, load_file(paths.EMBEDDINGS)["embeddings"])
    solutions: dict[str, mdp.Solution] = {}
    if synonyms.criterion == "MDP":
        solutions = selection.choose_all(problems, synonyms.M, synonyms.time_limit, n_workers, synonyms.solver)
        unproven = sorted(code for code, solution in solutions.items() if not solution.proven)
        log.info("%d of %d solutions are proven optimal", len(solutions) - len(unproven), len(solutions))
        if unproven:
            shown = ", ".join(unproven[:20]) + (", ..." if len(unproven) > 20 else "")
            log.warning("not proven within synonyms.time_limit: %s", shown)
        chosen = {code: solution.chosen for code, solution in solutions.items()}
    else:
        chosen = {code: selection.draw(len(problems[code]), synonyms.M, synonyms.seed, code) for code in problems}
    selected = {
        code: [phrases[i] for i in chosen[code]] if phrases else [selection.UNKNOWN] * synonyms.M
        for code, phrases in candidates.items()
    }

    io.write_json(paths.SELECTED, selected)
    lines = ["| code | title | synonyms |", "|---|---|---|"]
    lines += [f"| {code} | {titles[code]} | {' · '.join(selected[code])} |" for code in sorted(selected)]
    io.write_text(paths.SELECTED_TABLE, "\n".join(lines) + "\n")
    rows = [
        (code, sizes[code], *(getattr(solution, name) for name in SOLUTION))
        for code, solution in sorted(solutions.items())
    ]
    io.write_csv(paths.SELECTION, pd.DataFrame(rows, columns=["code", "candidates", *SOLUTION]))
    io.write_json(paths.SYNONYM_STATISTICS, statistics(problems, chosen, solutions, synonyms.M, sizes))


def distances(candidates: dict[str, list[str]], embeddings: np.ndarray) -> selection.Problems:
    """The distances among the candidates of every code that has any, from all candidates' embeddings (n, d)."""
    stops = np.cumsum([len(candidates[code]) for code in sorted(candidates)])
    if len(embeddings) != stops[-1]:
        raise InputError(f"{paths.EMBEDDINGS} has {len(embeddings)} rows for {stops[-1]} candidates; run `dvc repro`")
    if not np.isfinite(embeddings).all():
        raise InputError(f"{paths.EMBEDDINGS} holds numbers that are not finite; check the encoder")
    rows = dict(zip(sorted(candidates), np.split(embeddings, stops[:-1]), strict=True))
    return {code: mdp.cosine_distances(rows[code]) for code in rows if len(rows[code])}


def statistics(
    problems: selection.Problems,
    chosen: Mapping[str, Sequence[int]],
    solutions: dict[str, mdp.Solution],
    M: int,
    sizes: dict[str, int],
) -> dict:
    """The content of metrics/synonyms.json; entries on proofs are null if there was nothing to prove (rand)."""
    proofs = solutions.values()
    return {
        "codes": len(sizes),
        "codes_without_candidates": sum(size == 0 for size in sizes.values()),
        "codes_with_fewer_than_M": sum(size < M for size in sizes.values()),
        "mean_diversity": selection.mean_diversity(problems, chosen, M),
        "share_proven": sum(solution.proven for solution in proofs) / len(proofs) if proofs else None,
        "worst_gap": max((solution.gap for solution in proofs), default=None),
        "closed_by": dict(Counter(solution.method for solution in proofs)),
    }


if __name__ == "__main__":
    run(main, memory="synonyms.max_candidates")
