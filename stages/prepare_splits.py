"""Read the corpus, deal its documents to train, val and test, and describe the parts."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages import params, paths
from stages.corpus import codiesp, mimic, published, statistics, stratify
from stages.corpus.document import Code, Corpus, Document
from stages.errors import InputError
from stages.files import whole_directory, write_json
from stages.stage import run

log = logging.getLogger("stages.prepare_splits")

SCHEMA = pa.schema(
    {"document_id": pa.string(), "subject_id": pa.string(), "text": pa.string(), "codes": pa.list_(pa.string())}
)
ROWS_AT_ONCE = 1000


def main() -> None:
    settings = params.load().data
    corpus, part_of = load(settings)
    parts = {
        part: [document for document in corpus.documents if part_of.get(document.document_id) == part]
        for part in paths.PARTS
    }
    counts = corpus.counts | {"documents_in_no_part": len(corpus.documents) - sum(map(len, parts.values()))}
    for name, count in counts.items():
        log.info("%s: %d", name.replace("_", " "), count)
    for part, documents in parts.items():
        if not documents:
            raise InputError(f"the {part} part is empty: data.split {settings.split} leaves it no document")

    whole = statistics.code_counts(document for documents in parts.values() for document in documents)
    described = {part: statistics.describe(documents, whole) for part, documents in parts.items()}
    write(parts, {code: corpus.codes[code] for code in whole})
    write_json(paths.SPLIT_STATISTICS, {"codes": len(whole), "counts": counts} | described)
    log.info("%d codes; %s", len(whole), ", ".join(f"{part} {len(parts[part])}" for part in parts))


def load(settings: params.Data) -> tuple[Corpus, dict[str, str]]:
    """The corpus, and the part of each of its documents."""
    folder = Path(settings.raw_dir)
    if not folder.is_dir():
        raise InputError(
            f"data.raw_dir: {settings.raw_dir} is not a folder; it should hold the {settings.format} files"
        )
    if settings.format == "codiesp":
        return codiesp.load(folder, settings.subset, settings.min_documents)
    corpus = mimic.load(folder, settings.subset, settings.min_documents)
    if settings.split == "published":
        part_of, counts = published.load(Path(settings.published_dir), settings.subset, corpus.documents)
        corpus.counts.update(counts)
        return corpus, part_of
    return corpus, stratified(corpus.documents, settings.seed)


def stratified(documents: list[Document], seed: int) -> dict[str, str]:
    """The part of each document, computed by stratification over subjects."""
    subjects: dict[str, list[str]] = {}
    for document in documents:
        subjects.setdefault(document.subject_id, []).extend(document.codes)
    part_of_subject = stratify.train_val_test(subjects, seed)
    return {document.document_id: part_of_subject[document.subject_id] for document in documents}


def write(parts: dict[str, list[Document]], codes: dict[str, Code]) -> None:
    """Write the parts and the label set, all or nothing."""
    with whole_directory(paths.SPLITS) as folder:
        for part, documents in parts.items():
            with pq.ParquetWriter(folder / paths.split(part).name, SCHEMA, compression="zstd") as writer:
                for batch in _batches(documents):
                    writer.write_batch(batch)
        write_json(folder / paths.CODES.name, {code: codes[code]._asdict() for code in codes})


def _batches(documents: list[Document]) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(documents), ROWS_AT_ONCE):
        rows: list[dict[str, Any]] = [
            document._asdict() | {"codes": sorted(set(document.codes))}
            for document in documents[start : start + ROWS_AT_ONCE]
        ]
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)


if __name__ == "__main__":
    run(main)
