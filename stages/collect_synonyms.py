"""Collect the candidate synonyms of every code from the pools that params.yaml names."""

import logging
from pathlib import Path

from stages.common import io, params, paths
from stages.common.runner import run
from stages.corpus import corpora
from stages.synonyms import pools

log = logging.getLogger("stages.collect_synonyms")


def main() -> None:
    settings = params.load()
    synonyms = settings.synonyms
    codes = io.read_json(paths.CODES)
    _, subset = corpora.describe(settings.data)
    gathered = pools.gather(synonyms.pools, codes, Path(synonyms.pool_dir), subset.revision)
    combined = pools.combine(gathered, codes)
    candidates = pools.draw(combined, synonyms.max_candidates, synonyms.seed)
    log.info("%d candidates for %d codes", sum(map(len, candidates.values())), len(candidates))
    if without := [code for code, phrases in candidates.items() if not phrases]:
        first = ", ".join(without[:10]) + (", ..." if len(without) > 10 else "")
        log.warning("%d codes have no candidate and get the phrase `unknown`: %s", len(without), first)
    io.write_json(paths.CANDIDATES, candidates)
    io.write_json(paths.POOL_STATISTICS, pools.pool_statistics(gathered, candidates))


if __name__ == "__main__":
    run(main)
