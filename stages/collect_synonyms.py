"""Collect the candidate synonyms of every code from the pools that params.yaml names."""

import logging
from collections.abc import Sequence
from pathlib import Path

from stages.project import params, paths
from stages.project.errors import InputError
from stages.project.files import read_json
from stages.project.formats import write_json
from stages.project.stage import run
from stages.synonyms import pools

log = logging.getLogger("stages.collect_synonyms")

SHARE_OF = 4  # the share of codes with so many candidates is told; of the paper's M the usual one


def main() -> None:
    config = params.load()
    wanted = config.synonyms
    codes = read_json(paths.CODES)
    gathered = gather(wanted.pools, codes, Path(wanted.pool_dir), wanted.max_characters, config.data.revision)
    combined = pools.combine(gathered, codes, wanted.max_characters)
    candidates = pools.draw(combined, wanted.max_candidates, wanted.seed)
    report(candidates)
    write_json(paths.CANDIDATES, candidates)
    write_json(paths.POOL_STATISTICS, pools.pool_statistics(gathered, combined, candidates, SHARE_OF))


def gather(
    names: Sequence[str], codes: dict[str, dict], folder: Path, max_characters: int, revision: str | None = "ICD-9-CM"
) -> dict[str, pools.Pool]:
    """The pools `names`, in their order. Titles stand in for what UMLS lacks, where both are asked for."""
    if not folder.is_dir():
        raise InputError(f"synonyms.pool_dir: {folder} is not a folder; it should hold the files of the pools")
    files = {
        name: pools.matched(name, pools.read_pool(name, folder, revision), codes)
        for name in names
        if name in pools.FILES
    }
    gathered: dict[str, pools.Pool] = {}
    for name in names:
        if name == "titles":
            gathered[name] = pools.titles_pool(codes, lacking=files.get("umls"))
        elif name == "icd10cm":
            gathered[name] = pools.icd10cm_pool(codes, max_characters)
        else:
            gathered[name] = files[name]
    return gathered


def report(candidates: pools.Pool) -> None:
    """Say how many candidates there are, and which codes have none."""
    log.info("%d candidates for %d codes", sum(map(len, candidates.values())), len(candidates))
    without = [code for code, phrases in candidates.items() if not phrases]
    if without:
        first = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
        log.warning("%d codes have no candidate and get the phrase `unknown`: %s", len(without), first)


if __name__ == "__main__":
    run(main)
