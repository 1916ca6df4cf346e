"""What every corpus is read into."""

from dataclasses import dataclass, field
from typing import NamedTuple

from stages.corpus.icd import Kind


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
    """Characters [begin, end) of a document that name a code: one of its own, or in a trap one that it has not."""

    document_id: str
    code: str
    begin: int
    end: int
    trap: bool


@dataclass(frozen=True)
class Corpus:
    """Documents in their fixed order, what is known of their codes, and what was counted on the way.

    `gold`, part -> document -> codes, has all codes, also those that the subset leaves out, and all coded documents; it
    is empty for a corpus whose evaluation does not ask for them. `admission_of` names the admission of each document
    that is one of several of it, and so has another id. `evidence` says where codes are named, and `evidence_part_of`
    which part an annotated document counts for where that is not its own.
    """

    documents: list[Document]
    codes: dict[str, Code]
    counts: dict[str, int]
    gold: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    admission_of: dict[str, str] = field(default_factory=dict)
    evidence: list[Span] = field(default_factory=list)
    evidence_part_of: dict[str, str] | None = None
