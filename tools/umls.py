"""Make the pool `umls` from the Metathesaurus: `python -m tools.umls META/MRCONSO.RRF [--folder data/pools]`.

For every concept with a code in ICD-9-CM, ICD-10-CM or ICD-10-PCS, it collects the distinct English names of all
sources, in lower case and file order, except suppressed ones. It writes umls_icd9.json and umls_icd10.json, which
collect_synonyms uses if the published files are missing; if they exist, both are compared. The outputs are under the
UMLS licence like their source: never commit them or pass them on.
"""

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from stages.common import io
from stages.common.io import InputError
from stages.common.runner import progress_bar, run
from stages.corpus.icd import compact
from stages.synonyms.pools import POOLS, Pool, normalise_all, read_pool
from tools.common.outputs import check_files

log = logging.getLogger("tools.umls")

# Every row ends with a bar, hence an extra field.
# fmt: off
FIELDS = [
    "CUI", "LAT", "TS", "LUI", "STT", "SUI", "ISPREF", "AUI", "SAUI", "SCUI", "SDUI", "SAB", "TTY", "CODE", "STR",
    "SRL", "SUPPRESS", "CVF", "end",
]
# fmt: on
SOURCES = {9: ("ICD9CM",), 10: ("ICD10CM", "ICD10PCS")}
BLOCK = 16 << 20  # bytes read at once


def rows(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows that are not suppressed, in batches. Raises InputError for a malformed file."""
    try:
        reader = csv.open_csv(
            path,
            csv.ReadOptions(column_names=FIELDS, block_size=BLOCK),
            csv.ParseOptions(delimiter="|", quote_char=False),
            csv.ConvertOptions(column_types=dict.fromkeys(FIELDS, pa.string()), include_columns=[*columns, "SUPPRESS"]),
        )
        with progress_bar(desc=path.name, unit=" rows", unit_scale=True) as bar:
            for batch in reader:
                bar.update(batch.num_rows)
                yield batch.filter(pc.equal(batch.column("SUPPRESS"), "N"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; it should be MRCONSO.RRF of the UMLS") from None
    except (pa.ArrowInvalid, OSError):
        wrong = f"{path} is not MRCONSO.RRF of the UMLS: each row has 18 fields with a bar after each, in UTF-8"
        raise InputError(wrong) from None


def read_concepts(path: Path) -> dict[int, dict[str, list[str]]]:
    revision_of = {source: revision for revision, sources in SOURCES.items() for source in sources}
    concepts: dict[int, dict[str, list[str]]] = {revision: {} for revision in SOURCES}
    known = pa.array(list(revision_of))
    for batch in rows(path, ("CUI", "SAB", "CODE")):
        coded = batch.filter(pc.is_in(batch.column("SAB"), value_set=known))
        for concept, source, code, _ in zip(*(column.to_pylist() for column in coded.columns), strict=True):
            if "-" not in code:  # a chapter or a range
                concepts[revision_of[source]].setdefault(code, []).append(concept)
    return {
        revision: {code: list(dict.fromkeys(ids)) for code, ids in codes.items()}
        for revision, codes in concepts.items()
    }


def read_terms(path: Path, concepts: set[str]) -> dict[str, list[str]]:
    terms: dict[str, list[str]] = {}
    wanted = pa.array(sorted(concepts))
    for batch in rows(path, ("CUI", "LAT", "STR")):
        english = pc.and_(pc.equal(batch.column("LAT"), "ENG"), pc.is_in(batch.column("CUI"), value_set=wanted))
        kept = batch.filter(english)
        for concept, term in zip(kept.column("CUI").to_pylist(), kept.column("STR").to_pylist(), strict=True):
            terms.setdefault(concept, []).append(term.lower())
    return terms


def pools_of(path: Path) -> dict[int, Pool]:
    """Revision -> code -> names. Raises InputError if the file has no ICD codes."""
    concepts = read_concepts(path)
    if not any(concepts.values()):
        raise InputError(f"{path} has no code of {', '.join(sum(SOURCES.values(), ()))}; were these sources left out?")
    terms = read_terms(path, {concept for codes in concepts.values() for ids in codes.values() for concept in ids})
    return {
        revision: {
            code: list(dict.fromkeys(term for concept in ids for term in terms.get(concept, ())))
            for code, ids in sorted(codes.items())
        }
        for revision, codes in concepts.items()
    }


def compare(pool: Pool, published: Pool) -> None:
    """Log how many of the published phrases the pool has, of the codes that both have."""
    ours, theirs = ({compact(code): set(normalise_all(p)) for code, p in each.items()} for each in (pool, published))
    both = ours.keys() & theirs.keys()
    n_theirs, n_shared = sum(len(theirs[code]) for code in both), sum(len(theirs[code] & ours[code]) for code in both)
    log.info("the published file: %d codes in both, of whose %d phrases %d are here", len(both), n_theirs, n_shared)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.umls", description="The pool umls from MRCONSO.RRF.")
    parser.add_argument("mrconso", type=Path)
    parser.add_argument("--folder", type=Path, default=Path("data/pools"), help="where to write (default: %(default)s)")
    options = parser.parse_args()
    names = {revision: POOLS["umls"].names(revision) for revision in SOURCES}  # type: ignore[arg-type]
    check_files([options.folder / written for _, written in names.values()], [options.mrconso])
    for revision, pool in pools_of(options.mrconso).items():
        published, written = names[revision]
        io.write_text(options.folder / written, json.dumps(pool, ensure_ascii=False, indent=0) + "\n")
        log.info("%s: %d names of %d codes", options.folder / written, sum(map(len, pool.values())), len(pool))
        if (options.folder / published).is_file():
            compare(pool, read_pool("umls", options.folder, revision))  # type: ignore[arg-type]


if __name__ == "__main__":
    run(main)
