"""The data structures that every corpus is read into."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stages.corpus import text

Kind = Literal["diagnosis", "procedure"]
Revision = Literal[9, 10]  # of ICD-CM


class Document(NamedTuple):
    """A coded text: a hospital admission or a clinical case."""

    document_id: str
    subject_id: str
    text: str
    codes: list[str]  # sorted; repeated if recorded both with and without its dot


class Code(NamedTuple):
    kind: Kind
    titles: list[str]


class Span(NamedTuple):
    """Characters [begin, end) of a document that name one of its codes or, in a trap, a code it does not have."""

    document_id: str
    code: str
    begin: int
    end: int
    trap: bool


@dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order, their codes, and the counts made while reading.

    gold: part -> document -> every annotated code, including those outside the label set; empty unless the corpus has
    an official evaluation. uncoded: validation and test documents without any code of the label set; they belong to no
    part but are predicted and count in that evaluation. admission_of: maps a note's document id to its admission id
    (MIMIC-IV only). evidence: gold spans; evidence_part_of: the part an annotated document counts for if not its own.
    charts: annotated documents of another corpus, which belong to no part.
    """

    documents: list[Document]
    codes: dict[str, Code]
    counts: dict[str, int]
    gold: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    uncoded: list[Document] = field(default_factory=list)
    admission_of: dict[str, str] = field(default_factory=dict)
    evidence: list[Span] = field(default_factory=list)
    evidence_part_of: dict[str, str] | None = None
    charts: list[Document] = field(default_factory=list)


@dataclass(frozen=True)
class Subset:
    """The part of a corpus that is used.

    revision: of ICD; None if the corpus does not say. kinds: of codes. fixed: the codes if a list defines them.
    codes_file: a file next to the split files that lists the codes, all of which count even if they never occur.
    rare: whether codes with fewer than data.min_documents documents stay. most_frequent: how many of the training
    part's most frequent codes stay, chosen after the split. split_files: of the published split, one per part in the
    order of PARTS or one for all; documents and n_codes: the published sizes.
    """

    revision: Revision | None
    clean: text.Cleaner = text.fold_white_space
    kinds: tuple[Kind, ...] = ("diagnosis", "procedure")
    fixed: frozenset[str] | None = None
    rare: bool = True
    most_frequent: int | None = None
    split_files: tuple[str, ...] = ()
    codes_file: str | None = None
    documents: Mapping[str, int] = field(default_factory=dict)
    n_codes: int | None = None
