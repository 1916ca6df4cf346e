"""What every corpus is read into, and what is kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stages.corpus import text

PARTS = ("train", "val", "test")  # the one order in which every table and every count goes through them
LEARNT = PARTS[:2]  # what training sees: it learns from the first and is steered by the second
SCORED = PARTS[1:]  # what is predicted and evaluated
UNCODED = "uncoded"  # a part beside them: see `Corpus.uncoded`
CHARTS = "charts"  # another: see `Corpus.charts`

Kind = Literal["diagnosis", "procedure"]
Revision = Literal[9, 10]  # of ICD-CM


class Document(NamedTuple):
    """A coded text: one hospital admission, or one clinical case."""

    document_id: str
    subject_id: str
    text: str
    codes: list[str]  # sorted; a code that was recorded both with and without its dot stands twice


class Code(NamedTuple):
    """What is known of a code."""

    kind: Kind
    titles: list[str]


class Span(NamedTuple):
    """Characters [begin, end) of a document that name a code: one of its own, or, in a trap, another one."""

    document_id: str
    code: str
    begin: int
    end: int
    trap: bool


@dataclass(frozen=True)
class Corpus:
    """Documents in their fixed order, what is known of their codes, and what was counted on the way.

    gold: part -> document -> every annotated code, including those outside the label set; empty unless the corpus has
    an official evaluation. uncoded: its validation and test documents that carry no code of the label set; no part has
    them, but they are predicted and count there. admission_of: maps a note's document id to its admission id (MIMIC-IV
    only). evidence: where codes are named; evidence_part_of: the part that an annotated document counts for where that
    is not its own. charts: annotated documents of another corpus, which no part has.
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
    """What is kept of a corpus.

    revision: of ICD; None where the corpus does not say. kinds: of codes. fixed: the codes, where a list fixes them.
    codes_file: the file beside the split's that lists the codes, all of which count, also those that never occur.
    rare: whether codes of fewer than data.min_documents documents stay. most_frequent: that many codes of the training
    part stay, once documents have their parts. split_files: of the published split, one per part in the order of PARTS
    or one for all; documents and n_codes: how many the publication has.
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
