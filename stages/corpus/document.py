"""What every corpus is read into."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from stages.corpus.icd import Kind


class Document(NamedTuple):
    """A coded text: one hospital admission, or one clinical case."""

    document_id: str
    subject_id: str
    text: str
    codes: list[str]  # sorted; a code that was recorded with and without its dot stands twice


class Code(NamedTuple):
    """What is known of a code."""

    kind: Kind
    titles: list[str]


@dataclass(frozen=True)
class Corpus:
    """Documents in their fixed order, what is known of their codes, and what was counted on the way."""

    documents: list[Document]
    codes: dict[str, Code]
    counts: dict[str, int] = field(default_factory=dict)

    def restricted_to(self, codes: set[str]) -> "Corpus":
        """The corpus with only these codes; documents left without a code are dropped, and counted."""
        documents = [
            document._replace(codes=kept)
            for document in self.documents
            if (kept := [code for code in document.codes if code in codes])
        ]
        dropped = {"documents_without_kept_code": len(self.documents) - len(documents)}
        return replace(self, documents=documents, counts=self.counts | dropped)
