"""Read the corpus, deal its documents to train, val and test, and describe the parts."""

import gc
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.corpus import codiesp, mimic, published, statistics, stratify, table
from stages.corpus.document import Corpus, Document, Span
from stages.project import params, paths
from stages.project.errors import InputError
from stages.project.files import whole_directory
from stages.project.formats import write_json, write_parquet
from stages.project.parts import PARTS
from stages.project.stage import run

log = logging.getLogger("stages.prepare_splits")

SCHEMA = pa.schema(
    {"document_id": pa.string(), "subject_id": pa.string(), "text": pa.string(), "codes": pa.list_(pa.string())}
)
ROWS_AT_ONCE = 1000


def main() -> None:
    settings = params.load().data
    corpus, part_of = load(settings)
    parts = dealt(corpus, part_of)
    counts = corpus.counts | {
        "documents_in_no_part": len(corpus.documents) - sum(map(len, parts.values())),
        "split_ids_not_in_data": len(part_of.keys() - {document.document_id for document in corpus.documents}),
    }
    for name, count in counts.items():
        log.info("%s: %d", name.replace("_", " "), count)
    for part, documents in parts.items():
        if not documents:
            raise InputError(
                f"no document is left for the {part} part (of {len(corpus.documents)} with a kept code): see "
                "data.raw_dir, data.subset, data.split and data.min_documents"
            )

    metrics = describe(parts, counts, settings)
    write(parts, corpus)
    write_json(paths.SPLIT_STATISTICS, metrics)
    log.info("codes: %d; %s", metrics["codes"], ", ".join(f"{part}: {len(parts[part])}" for part in parts))


def load(settings: params.Data) -> tuple[Corpus, dict[str, str]]:
    """The corpus, and the part of each of its documents by document id."""
    folder = Path(settings.raw_dir)
    if not folder.is_dir():
        raise InputError(
            f"data.raw_dir: {settings.raw_dir} is not a folder; it should hold the {settings.format} files"
        )
    if settings.format == "codiesp":
        return codiesp.load(folder, settings.subset, settings.min_documents)
    if settings.format == "table":
        corpus, given = table.load(folder, settings.min_documents)
        if (given is None) != (settings.split == "stratified"):
            has = "names no parts" if given is None else "names the part of each document"
            raise InputError(f"data.split: {settings.split}, but the table in {folder} {has}")
        return corpus, stratified(corpus.documents, settings.seed) if given is None else given
    # The split files are read first: they are small, and may be wrong.
    split = published.load(paths.SPLIT_FILES, settings.subset) if settings.split == "published" else None
    release = mimic.RELEASES[settings.format]
    if settings.evidence is None and settings.evidence_dir is not None:
        log.warning("data.evidence_dir is the embedded corpus's, and this is another corpus: it is left out")
    notes_dir = notes_folder(settings)
    corpus = mimic.load(folder, settings.subset, settings.min_documents, release, notes_dir, settings.evidence)
    part_of = stratified(corpus.documents, settings.seed) if split is None else of_documents(split, corpus)
    if number := mimic.SUBSETS[settings.subset].most_frequent:
        corpus = restricted(corpus, mimic.most_frequent(dealt(corpus, part_of), number))
    return corpus, part_of


def notes_folder(settings: params.Data) -> Path | None:
    """Where the notes lie, if they are a download of their own."""
    return Path(settings.notes_dir) if settings.format == "mimic4" else None


def of_documents(split: dict[str, str], corpus: Corpus) -> dict[str, str]:
    """The part of each document by that of its admission, and of each admission that has none here.

    Raises InputError for a split of other admissions.
    """
    ids = {one.document_id: corpus.admission_of.get(one.document_id, one.document_id) for one in corpus.documents}
    part_of = {document_id: split[admission] for document_id, admission in ids.items() if admission in split}
    met = set(ids.values())
    if not part_of:
        raise InputError(
            f"data.split: published: none of the {len(met)} admissions of the corpus is among the {len(split)} of the "
            "published split; the corpus and the split should be of one release and subset"
        )
    return part_of | {admission: part for admission, part in split.items() if admission not in met}


def restricted(corpus: Corpus, kept: set[str]) -> Corpus:
    """The corpus with some of its codes alone, and without the documents that have none of them."""
    cut = (one._replace(codes=[code for code in one.codes if code in kept]) for one in corpus.documents)
    documents = [document for document in cut if document.codes]
    n_without = corpus.counts["documents_without_kept_code"] + len(corpus.documents) - len(documents)
    known = {code: entry for code, entry in corpus.codes.items() if code in kept}
    counts = corpus.counts | {"documents_without_kept_code": n_without}
    return replace(corpus, documents=documents, codes=known, counts=counts)


def dealt(corpus: Corpus, part_of: dict[str, str]) -> dict[str, list[Document]]:
    """The documents of each part, each code once."""
    return {
        part: [
            document._replace(codes=sorted(set(document.codes)))
            for document in corpus.documents
            if part_of.get(document.document_id) == part
        ]
        for part in PARTS
    }


def stratified(documents: list[Document], seed: int) -> dict[str, str]:
    """Document -> part, by stratification over subjects, so that no subject is in two parts."""
    subjects: dict[str, list[str]] = {}
    for document in documents:
        subjects.setdefault(document.subject_id, []).extend(document.codes)
    part_of_subject = stratify.train_val_test(subjects, seed)
    return {document.document_id: part_of_subject[document.subject_id] for document in documents}


def describe(parts: dict[str, list[Document]], counts: dict[str, int], settings: params.Data) -> dict[str, Any]:
    """The statistics of all parts; for a published split, the published sizes beside them."""
    whole = statistics.code_counts(document for documents in parts.values() for document in documents)
    metrics: dict[str, Any] = {"codes": len(whole), "counts": counts}
    if settings.subset.startswith("top50_"):
        metrics["most_frequent"] = sorted(whole)
    metrics |= {part: statistics.describe(documents, whole) for part, documents in parts.items()}
    if settings.split == "published":
        expected = published.DOCUMENTS.get(settings.subset, {})
        for part in expected:
            metrics[part]["documents_published"] = expected[part]
            _compare(f"{part} documents", len(parts[part]), expected[part])
        if settings.subset in published.CODES:
            metrics["codes_published"] = published.CODES[settings.subset]
            _compare("codes", len(whole), metrics["codes_published"])
    return metrics


def _compare(what: str, found: int, expected: int) -> None:
    if found != expected:
        log.warning("%s: %d, but %d were published: is data.raw_dir the whole release?", what, found, expected)


def write(parts: dict[str, list[Document]], corpus: Corpus) -> None:
    """Write the parts and the label set (the codes that their documents carry), all or nothing."""
    carried = {code for documents in parts.values() for document in documents for code in document.codes}
    with whole_directory(paths.SPLITS) as folder:
        for part, documents in parts.items():
            path = folder / paths.split(part).name
            with pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=False) as writer:
                for batch in _batches(documents):
                    writer.write_batch(batch)
        write_json(folder / paths.CODES.name, {code: corpus.codes[code]._asdict() for code in carried})
        write_json(folder / paths.GOLD.name, corpus.gold)
        write_parquet(folder / paths.EVIDENCE.name, evidence_of(corpus, parts))


def evidence_of(corpus: Corpus, parts: dict[str, list[Document]]) -> pd.DataFrame:
    """Where the codes of the label set are named in which documents, and the part that each counts for.

    A training document counts for none but train, whatever a list says: a model knows it.
    """
    own = {document.document_id: part for part, documents in parts.items() for document in documents}
    listed = corpus.evidence_part_of
    if listed is not None:
        own = {one: "train" if part == "train" else listed.get(one, "train") for one, part in own.items()}
    rows = [
        (own[span.document_id], *span)
        for span in corpus.evidence
        if span.document_id in own and span.code in corpus.codes
    ]
    table = pd.DataFrame(rows, columns=["part", *Span._fields])
    for part in PARTS:
        here = table[(table["part"] == part) & ~table["trap"].astype(bool)]
        if len(table):
            log.info("evidence, %s: %d spans in %d documents", part, len(here), here["document_id"].nunique())
    return table.astype({"begin": "int64", "end": "int64", "trap": "bool"})


def _batches(documents: list[Document]) -> Iterator[pa.RecordBatch]:
    """The documents as table rows, some at once, so that the texts are never in memory twice."""
    for start in range(0, len(documents), ROWS_AT_ONCE):
        rows = [document._asdict() for document in documents[start : start + ROWS_AT_ONCE]]
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


if __name__ == "__main__":
    gc.disable()  # none of the millions of small objects is in a cycle; looking for one takes a tenth of the time
    run(main)
