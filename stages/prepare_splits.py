"""Read the corpus, split its documents into train, val and test, and describe the parts."""

import gc
import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stages.common import io, params, paths
from stages.common.io import InputError
from stages.common.parts import CHARTS, PARTS, UNCODED
from stages.common.runner import run
from stages.corpus import corpora, mimic, split_files, statistics, stratify
from stages.corpus.document import Corpus, Document, Span, Subset

log = logging.getLogger("stages.prepare_splits")

SCHEMA = pa.schema(
    {"document_id": pa.string(), "subject_id": pa.string(), "text": pa.string(), "codes": pa.list_(pa.string())}
)
FEW_WORDS, SHORT_SHARE, FEW_DOCUMENTS = 10, 0.1, 20
ROWS_AT_ONCE = 1000


def main() -> None:
    data = params.load().data
    subset, corpus, part_of = load(data)
    parts = split_documents(corpus, part_of)
    counts = corpus.counts | {
        "documents_in_no_part": len(corpus.documents) - sum(map(len, parts.values())),
        "split_ids_not_in_data": len(part_of.keys() - {document.document_id for document in corpus.documents}),
    }
    check_words(corpus.documents, data.format)
    for name, count in counts.items():
        log.info("%s: %d", name.replace("_", " "), count)
    for part, documents in parts.items():
        if not documents:
            raise InputError(
                f"no document is left for the {part} part (of {len(corpus.documents)} with a kept code): see "
                "data.raw_dir, data.subset, data.split and data.min_documents"
            )

    metrics = describe(parts, counts, subset, data.split)
    write(parts, corpus, corpora.origin_of(data), subset.fixed if subset.codes_file else None)
    io.write_json(paths.SPLIT_STATISTICS, metrics)
    log.info("codes: %d; %s", metrics["codes"], ", ".join(f"{part}: {len(parts[part])}" for part in parts))


def load(data: params.Data) -> tuple[Subset, Corpus, dict[str, str]]:
    """The subset, its corpus, and the part of each document by document id."""
    description, subset = corpora.describe(data)
    if not Path(data.raw_dir).is_dir():
        raise InputError(f"data.raw_dir: {data.raw_dir} is not a folder; it should be {description.folder}")
    if data.evidence_dir is not None and corpora.evidence_folder(data) is None:
        log.warning("data.evidence_dir is the embedded corpus's, and this is another corpus: it is left out")
    # Split files first: they are small and fail fast.
    published = split_files.load(paths.SPLIT_FILES, subset.split_files) if data.split == "published" else None
    if subset.codes_file is not None:
        subset = replace(subset, fixed=split_files.read_codes(paths.SPLIT_FILES / subset.codes_file))
    corpus, part_of = description.load(data, subset)
    if published is not None:
        part_of = split_by_admission(published, corpus)
    elif part_of is None:
        part_of = stratify_documents(corpus.documents, data.seed)
    if subset.most_frequent:
        corpus = keep_codes(corpus, mimic.most_frequent(split_documents(corpus, part_of), subset.most_frequent))
    return subset, corpus, part_of


def split_by_admission(split: dict[str, str], corpus: Corpus) -> dict[str, str]:
    """The part of each document by its admission, and of each admission without a document here.

    Raises InputError if the split is of other admissions.
    """
    ids = {
        document.document_id: corpus.admission_of.get(document.document_id, document.document_id)
        for document in corpus.documents
    }
    part_of = {document_id: split[admission] for document_id, admission in ids.items() if admission in split}
    met = set(ids.values())
    if not part_of:
        raise InputError(
            f"data.split: published: none of the {len(met)} admissions of the corpus is among the {len(split)} of the "
            "published split; the corpus and the split should be of one release and subset"
        )
    return part_of | {admission: part for admission, part in split.items() if admission not in met}


def keep_codes(corpus: Corpus, kept: set[str]) -> Corpus:
    cut = (document._replace(codes=[code for code in document.codes if code in kept]) for document in corpus.documents)
    documents = [document for document in cut if document.codes]
    n_without = corpus.counts["documents_without_kept_code"] + len(corpus.documents) - len(documents)
    known = {code: entry for code, entry in corpus.codes.items() if code in kept}
    counts = corpus.counts | {"documents_without_kept_code": n_without}
    return replace(corpus, documents=documents, codes=known, counts=counts)


def split_documents(corpus: Corpus, part_of: dict[str, str]) -> dict[str, list[Document]]:
    parts: dict[str, list[Document]] = {part: [] for part in PARTS}
    for document in corpus.documents:
        if (part := part_of.get(document.document_id)) is not None:
            parts[part].append(document._replace(codes=sorted(set(document.codes))))
    return parts


def stratify_documents(documents: list[Document], seed: int) -> dict[str, str]:
    """Document -> part, stratified by subject so that no subject is in two parts."""
    subjects: dict[str, list[str]] = {}
    for document in documents:
        subjects.setdefault(document.subject_id, []).extend(document.codes)
    part_of_subject = stratify.train_val_test(subjects, seed)
    return {document.document_id: part_of_subject[document.subject_id] for document in documents}


def describe(parts: dict[str, list[Document]], counts: dict[str, int], subset: Subset, split: str) -> dict[str, Any]:
    whole = statistics.code_counts(document for documents in parts.values() for document in documents)
    n_codes = len(subset.fixed or ()) if subset.codes_file else len(whole)
    metrics: dict[str, Any] = {"codes": n_codes, "counts": counts}
    if n_in_two := n_subjects_in_two_parts(parts):
        metrics["subjects_in_two_parts"] = n_in_two
        log.warning("%d subjects have documents in more than one part, so not all test patients are new", n_in_two)
    if subset.most_frequent:
        metrics["most_frequent"] = sorted(whole)
    metrics |= {part: statistics.describe(documents, whole) for part, documents in parts.items()}
    if split == "published":
        for part, expected in subset.documents.items():
            metrics[part]["documents_published"] = expected
            _compare(f"{part} documents", len(parts[part]), expected)
        if subset.n_codes:
            metrics["codes_published"] = subset.n_codes
            _compare("codes", n_codes, subset.n_codes)
    return metrics


def check_words(documents: list[Document], form: str) -> None:
    """Report how many documents have almost no words.

    Raises InputError if they are many, as columns may be swapped; except for a custom table, whose user names the text
    column, and for too few documents to judge.
    """
    n_short = sum(len(document.text.split(maxsplit=FEW_WORDS)) < FEW_WORDS for document in documents)
    if form != "table" and n_short > SHORT_SHARE * len(documents) and len(documents) >= FEW_DOCUMENTS:
        raise InputError(
            f"{n_short} of {len(documents)} documents have fewer than {FEW_WORDS} words; is the text in another column?"
        )
    if n_short:
        log.warning("%d of %d documents have fewer than %d words", n_short, len(documents), FEW_WORDS)


def n_subjects_in_two_parts(parts: dict[str, list[Document]]) -> int:
    counts = Counter(
        subject for documents in parts.values() for subject in {document.subject_id for document in documents}
    )
    return sum(count > 1 for count in counts.values())


def _compare(what: str, n_found: int, expected: int) -> None:
    if n_found != expected:
        log.warning("%s: %d, but %d were published: is data.raw_dir the whole release?", what, n_found, expected)


def write(
    parts: dict[str, list[Document]], corpus: Corpus, origin: dict[str, Any], listed: frozenset[str] | None = None
) -> None:
    """Write the parts and the label set (the codes of their documents, or those `listed`), all or nothing."""
    carried = listed or {code for documents in parts.values() for document in documents for code in document.codes}
    with io.whole_directory(paths.SPLITS) as folder:
        for part, documents in (parts | {UNCODED: corpus.uncoded, CHARTS: corpus.charts}).items():
            path = folder / paths.split(part).name
            with pq.ParquetWriter(path, SCHEMA, compression="zstd", use_dictionary=False) as writer:
                for start in range(0, len(documents), ROWS_AT_ONCE):  # so that the texts are never in memory twice
                    rows = [document._asdict() for document in documents[start : start + ROWS_AT_ONCE]]
                    writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
        io.write_json(folder / paths.CODES.name, {code: corpus.codes[code]._asdict() for code in carried})
        io.write_json(folder / paths.CORPUS.name, origin)
        io.write_json(folder / paths.GOLD.name, corpus.gold)
        io.write_parquet(folder / paths.EVIDENCE.name, evidence_table(corpus, parts))


def evidence_table(corpus: Corpus, parts: dict[str, list[Document]]) -> pd.DataFrame:
    """The gold spans of codes in the label set, with the part that each counts for.

    A training document only counts for train, whatever a list says, because the model has seen it.
    """
    part_of = {document.document_id: part for part, documents in parts.items() for document in documents}
    part_of |= dict.fromkeys((chart.document_id for chart in corpus.charts), CHARTS)
    listed = corpus.evidence_part_of
    if listed is not None:
        part_of = {
            document_id: "train" if part == "train" else listed.get(document_id, "train")
            for document_id, part in part_of.items()
        }
    rows = [
        (part_of[span.document_id], *span)
        for span in corpus.evidence
        if span.document_id in part_of and span.code in corpus.codes
    ]
    table = pd.DataFrame(rows, columns=["part", *Span._fields])
    for part in PARTS if len(table) else ():
        in_part = table[(table["part"] == part) & ~table["trap"].astype(bool)]
        log.info("evidence, %s: %d spans in %d documents", part, len(in_part), in_part["document_id"].nunique())
    return table.astype({"begin": "int64", "end": "int64", "trap": "bool"})


if __name__ == "__main__":
    gc.disable()  # millions of small objects, no cycles: the collector would take a tenth of the time
    run(main)
