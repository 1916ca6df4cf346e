"""Gold spans, the words of a note that name a code, mapped from the raw text to the cleaned document.

Files are in MDACE's format (METHOD.md, section 12): `<admission>-ICD-9.json` or -ICD-10, with character offsets into
a note's raw text. MDACE's own lists of admissions (`MDace-ev-{train,val,test}.csv`), if present, define the parts.
"""

import logging
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from stages.common import io, outside
from stages.common.io import InputError
from stages.common.parts import PARTS
from stages.corpus import icd, text
from stages.corpus.document import Kind, Revision, Span, Subset
from stages.corpus.icd import NotACode

log = logging.getLogger(__name__)

LIST = "MDace-ev-{part}.csv"
LISTED = {  # MDACE's lists in 3mcloud/MDACE at 20eb8e5: md5 and number of admissions
    "train": ("101cdd8744f6446e850e33cca906d8e1", 181),
    "val": ("abbc77807ac0690f137c5bb5701e0c94", 60),
    "test": ("58d4ce44d18bd25b49a087c93ea732d4", 61),
}


class RawSpan(NamedTuple):
    """Characters [begin, end) of a raw note that name a code; a trap names one the admission does not have."""

    note_id: str
    begin: int
    end: int
    code: str
    trap: bool


@dataclass(frozen=True)
class Evidence:
    """The annotated admissions of a folder: their files, and their parts if the folder has lists."""

    files: dict[int, Path]
    part_of: dict[int, str] | None
    revision: Revision = 9

    @classmethod
    def of(cls, folder: Path, subset: Subset) -> "Evidence":
        """Find the files. Raises InputError if there are none or the subset's split rules out scoring by them."""
        assert subset.revision is not None, "gold spans are of a revision of ICD"
        ending = f"-ICD-{subset.revision}.json"
        paths = [path for path in sorted(folder.rglob(f"*{ending}")) if "Profee" not in path.parts]
        files = {int(name): path for path in paths if (name := path.name.removesuffix(ending)).isdigit()}
        if not files:
            raise InputError(f"data.evidence_dir: {folder} has no file <admission>{ending}, as MDACE has them")
        lists = {part: sorted(folder.rglob(LIST.format(part=part))) for part in PARTS}
        if not all(lists.values()):
            return cls(files, None, subset.revision)
        if subset.revision == 9 and not subset.rare:
            raise InputError(
                "data.evidence_dir: MDACE cannot score a model of data.subset clean: 42 of its 61 test admissions are "
                "training admissions there; take full or top50"
            )
        part_of = {admission: part for part in PARTS for admission in _read_list(lists[part][0], part)}
        return cls(files, part_of, subset.revision)

    def spans(self, admission: int) -> Iterator[RawSpan]:
        """The spans of an admission. Raises InputError for a malformed file."""
        path = self.files[admission]
        kinds: dict[str, Kind] = {f"ICD-{self.revision}-CM": "diagnosis", f"ICD-{self.revision}-PCS": "procedure"}
        try:
            for note in outside.parse_json(outside.read_text(path), path)["notes"]:
                for key, trap in (("annotations", False), ("traps", True)):
                    for annotation in note.get(key, []):
                        if (kind := kinds.get(annotation["code_system"])) is None:
                            continue
                        begin, end = int(annotation["begin"]), int(annotation["end"])
                        code = icd.read(annotation["code"], kind, self.revision)
                        if code is None or not 0 <= begin < end:
                            raise ValueError
                        yield RawSpan(str(note["note_id"]), begin, end, code, trap)
        except NotACode as error:
            raise InputError(f"{path}: {error}") from None
        except (InputError, ValueError, KeyError, TypeError, AttributeError):
            wanted = "notes, each with note_id and annotations of begin, end, code and code_system"
            raise InputError(f"{path} is not in MDACE's format: {wanted}") from None


def _read_list(path: Path, part: str) -> list[int]:
    """The admissions in one of MDACE's header-less lists, with a warning if the list is not MDACE's own.

    Raises InputError for a malformed file.
    """
    try:
        lines = outside.read_text(path).split()
        admissions = [int(line) for line in lines]
    except ValueError:
        raise InputError(f"{path} should have the number of an admission in each line") from None
    md5, n_expected = LISTED[part]
    if io.md5("".join(f"{line}\n" for line in lines).encode()) != md5:
        log.warning("%s is not MDACE's own list: %d admissions, MDACE's has %d", path, len(admissions), n_expected)
    return admissions


def map_spans(
    spans: Iterable[RawSpan], notes: Sequence[tuple[str, str]], clean: text.Cleaner, document_id: str, counts: Counter
) -> Iterator[Span]:
    """The spans' positions in the document that is built from the raw notes (id and text, in order).

    Spans of other notes, and spans that cleaning removes, are counted and dropped. As in the annotation, punctuation at
    either end does not count.
    """
    whole = " ".join(note for _, note in notes)
    lengths = {note_id: len(note) for note_id, note in notes}
    starts: dict[str, int] = {}
    position = 0
    for note_id, note in notes:
        starts[note_id] = position
        position += len(note) + 1
    words = text.words(whole, clean, text.document([clean(note) for _, note in notes], clean))
    for span in spans:
        if span.note_id not in starts:
            counts["evidence_of_other_notes"] += 1
            continue
        if span.end > lengths[span.note_id]:
            counts["evidence_beyond_its_note"] += 1
            continue
        begin, end = starts[span.note_id] + span.begin, starts[span.note_id] + span.end
        begin += whole[begin] in string.punctuation
        end -= whole[end - 1] in string.punctuation
        left = [
            (start + max(begin - first, 0), start + min(end, last) - first)
            if stop - start == last - first
            else (start, stop)  # a letter became two: take the whole word
            for first, last, start, stop in words
            if max(begin, first) < min(end, last)
        ]
        if not left:
            counts["evidence_lost_in_cleaning"] += 1
            continue
        counts["evidence_spans"] += not span.trap
        yield Span(document_id, span.code, left[0][0], left[-1][1], span.trap)
