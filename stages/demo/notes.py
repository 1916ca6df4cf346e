"""What the notes of the embedded corpus say: discharge summaries in sections, and short notes of other categories.

A discharge summary mentions each of its admission's codes once or twice, by a synonym or something that implies the
code, and about as many conditions and procedures that are *not* coded: denied, ruled out, in the family, screened for,
considered. Only the wording around the phrase, within its sentence, distinguishes them.
"""

import datetime as dt
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import yaml

from stages.demo.patients import OUTSIDE, Admission, expected_prevalence, is_procedure

WORDING = yaml.safe_load(Path(__file__).with_name("wording.yaml").read_text(encoding="utf-8"))
IN_THE_POOL = 0.80  # share of mentions whose wording is in the pool
MENTIONED_TWICE = 0.18
TRAPS_A_SUMMARY = (2, 5)

OUTSIDE_WORDINGS = {code: wording for code, _, _, wording in OUTSIDE}
# Codes for a patient's status rather than a condition, which fit fewer sentences.
STATUS_CODES = frozenset({"305.1", "412", "V15.82", "V45.81", "V58.61"})
# Codes with similar meaning: if one is coded, the others in its row are not used as traps.
RELATED = (
    ("038.9", "995.92"),
    ("272.0", "272.4"),
    ("285.1", "285.9", "99.04"),
    ("305.1", "V15.82"),
    ("36.15", "39.61", "V45.81"),
    ("37.22", "37.23", "88.56"),
    ("39.95", "401.9", "403.90", "585.9"),
    ("410.71", "412", "414.01"),
    ("486", "507.0"),
    ("96.04", "96.71", "96.72"),
)
PHRASES, CAPITALISED, DENIED = "\1", "\2", "\3"  # placeholders for phrases in a sentence
STAND_INS = re.compile(f"([{PHRASES}{CAPITALISED}{DENIED}])")


@dataclass(frozen=True)
class Phrase:
    """A mention of a code; `kind` says which sentences fit; `asserted` is False for traps."""

    code: str
    wording: str
    kind: str  # condition | status | procedure | mentions | medications
    asserted: bool


def kind_of(code: str) -> str:
    """condition | status | procedure: which sentences fit the code's synonyms."""
    if is_procedure(code):
        return "procedure"
    return "status" if code in STATUS_CODES else "condition"


class Lexicon:
    def __init__(self, entries: dict[str, dict]):
        """`entries`: code -> synonyms, mentions, medications, each with the most common wording first."""
        self.wordings = {code: self._weigh(entry) for code, entry in entries.items()}
        prevalence = expected_prevalence()
        self.codes = sorted(entries)
        # Frequent conditions are also denied more often, slightly less than proportionally.
        self.trap_weights = list(accumulate(prevalence[code] ** 0.8 for code in self.codes))
        self.related = {code: {other for row in RELATED if code in row for other in row} for code in self.codes}

    @staticmethod
    def _weigh(entry: dict) -> tuple[list[tuple[str, str]], list[float]]:
        """All (source, wording) pairs of a code and their cumulative weights, which decrease with rank."""
        pool = [("synonyms", wording) for wording in entry["synonyms"]]
        others = [(source, wording) for source in ("mentions", "medications") for wording in entry.get(source, [])]
        weights = []
        for pairs, share in ((pool, IN_THE_POOL), (others, 1 - IN_THE_POOL)):
            ranks = [(rank + 1.5) ** -0.7 for rank in range(len(pairs))]
            weights += [share * weight / sum(ranks) for weight in ranks]
        return pool + others, list(accumulate(weights))

    def assertion(self, rng: random.Random, code: str, other_than: str = "") -> Phrase:
        """Draw a wording, different from `other_than`, for an assigned code."""
        pairs, weights = self.wordings[code]
        while True:
            source, wording = rng.choices(pairs, cum_weights=weights)[0]
            if wording != other_than:
                return Phrase(code, wording, kind_of(code) if source == "synonyms" else source, asserted=True)

    def trap(self, rng: random.Random, barred: set[str]) -> Phrase:
        """Draw a wording, usually a synonym and never a drug, for a code that is not assigned or in `barred`."""
        while True:
            code = rng.choices(self.codes, cum_weights=self.trap_weights)[0]
            if code in barred:
                continue
            pairs, weights = self.wordings[code]
            source, wording = rng.choices(pairs, cum_weights=weights)[0]
            if source == "synonyms":
                return Phrase(code, wording, "procedure" if is_procedure(code) else "condition", asserted=False)
            if source == "mentions" and not is_procedure(code) and rng.random() < 0.6:
                return Phrase(code, wording, "mentions", asserted=False)


def draw_phrases(rng: random.Random, codes: Sequence[str], lexicon: Lexicon) -> list[Phrase]:
    """The phrases of a summary: each of `codes` once or twice, then 2 to 5 traps, about as many as codes."""
    phrases = []
    for code in codes:
        first = lexicon.assertion(rng, code)
        phrases.append(first)
        if rng.random() < MENTIONED_TWICE:
            phrases.append(lexicon.assertion(rng, code, other_than=first.wording))
    fewest, most = TRAPS_A_SUMMARY
    barred = set(codes).union(*(lexicon.related[code] for code in codes))
    for _ in range(min(max(len(phrases) + rng.choice((-1, 0, 0, 1)), fewest), most)):
        trap = lexicon.trap(rng, barred)
        barred.add(trap.code)
        phrases.append(trap)
    return phrases


class Mark(NamedTuple):
    begin: int
    end: int
    phrase: Phrase


class Marked(NamedTuple):
    text: str
    marks: tuple[Mark, ...] = ()


def join(texts: Iterable[Marked], between: str) -> Marked:
    """The concatenated texts with shifted marks."""
    parts: list[str] = []
    marks: list[Mark] = []
    end = 0
    for text, text_marks in texts:
        marks += [mark._replace(begin=mark.begin + end, end=mark.end + end) for mark in text_marks]
        parts.append(text)
        end += len(text) + len(between)
    return Marked(between.join(parts), tuple(marks))


class Draft:
    """A note under construction: sentences by section, with the patient's pronouns and chance dates filled in."""

    def __init__(self, rng: random.Random, admission: Admission):
        self.rng = rng
        self.admission = admission
        self.sections: dict[str, list[Marked]] = {}
        he, his, man = ("she", "her", "woman") if admission.patient.female else ("he", "his", "man")
        self.words = {"he": he, "He": he.capitalize(), "his": his, "His": his.capitalize(), "man": man}

    def fill(self, template: str, phrases: Sequence[Phrase] = (), trap: Phrase | None = None) -> Marked:
        """A sentence from its template with its phrases, enumerated, and a trap."""
        if "{" not in template:
            return Marked(template)
        year = self.admission.admitted.year
        sentence = template.format(
            x=PHRASES,
            X=CAPITALISED,
            trap=DENIED,
            n=self.rng.randint(2, 9),
            day=f"{year}-{self.rng.randint(1, 12)}-{self.rng.randint(1, 28)}",
            year=year - self.rng.randint(1, 15),
            **self.words,
        )
        row = join((Marked(phrase.wording, (Mark(0, len(phrase.wording), phrase),)) for phrase in phrases), " or ")
        put = {PHRASES: row, CAPITALISED: row._replace(text=row.text[:1].upper() + row.text[1:])}
        if trap is not None:
            put[DENIED] = Marked(trap.wording, (Mark(0, len(trap.wording), trap),))
        return join((put.get(part, Marked(part)) for part in STAND_INS.split(sentence)), "")

    def say(self, section: str, template: str, phrases: Sequence[Phrase] = (), trap: Phrase | None = None) -> None:
        self.sections.setdefault(section, []).append(self.fill(template, phrases, trap))

    def place(self, places: Mapping[str, float]) -> str:
        return self.rng.choices(list(places), list(places.values()))[0]


def discharge_summary(rng: random.Random, admission: Admission, lexicon: Lexicon) -> Marked:
    """Write the discharge summary of an admission: about 120 to 300 words in sections."""
    phrases = draw_phrases(rng, admission.codes, lexicon)
    for code in admission.outside:
        if rng.random() < 0.75:
            phrases.append(Phrase(code, OUTSIDE_WORDINGS[code], kind_of(code), asserted=True))
    draft = Draft(rng, admission)
    write_phrases(draft, phrases)
    for section, (fewest, most) in WORDING["filler_counts"].items():
        for template in rng.sample(WORDING["filler"][section], rng.randint(fewest, most)):
            draft.say(section, template)
    return lay_out(draft)


def write_phrases(draft: Draft, phrases: list[Phrase]) -> None:
    """Put each phrase into a sentence that asserts it or, for a trap, denies it."""
    rng = draft.rng
    traps = [phrase for phrase in phrases if not phrase.asserted]
    for phrase in phrases:
        if not phrase.asserted:
            continue
        section = draft.place(WORDING["assertion_places"][phrase.kind])
        contrast = next((trap for trap in traps if trap.kind == phrase.kind == "condition"), None)
        if contrast and section in WORDING["mixed"] and rng.random() < 0.15:
            traps.remove(contrast)
            draft.say(section, rng.choice(WORDING["mixed"][section]), [phrase], contrast)
        else:
            draft.say(section, rng.choice(WORDING["assertions"][phrase.kind][section]), [phrase])
    while traps:
        kind = traps[0].kind
        together = [trap for trap in traps if trap.kind == kind][: rng.choices((1, 2, 3), (0.7, 0.2, 0.1))[0]]
        traps = [trap for trap in traps if trap not in together]
        section = draft.place(WORDING["trap_places"][kind])
        draft.say(section, rng.choice(WORDING["traps"][kind][section]), together)


def lay_out(draft: Draft) -> Marked:
    rng, admission = draft.rng, draft.admission
    admitted, discharged = date(admission.admitted), date(admission.discharged)
    lines = [
        Marked(line)
        for line in (
            f"Admission Date:  [**{admitted}**]     Discharge Date:  [**{discharged}**]",
            f"\nSex:  {'F' if admission.patient.female else 'M'}",
            f"Service: {WORDING['services'].get(admission.archetype, 'MEDICINE')}",
            f"\nChief Complaint:\n{rng.choice(WORDING['complaints'])}",
        )
    ]
    for name, heading, form in WORDING["sections"]:
        sentences = draft.sections.get(name, [])
        rng.shuffle(sentences)
        if name == "history":
            sentences.insert(0, draft.fill(f"{admission.age} year old {{man}} admitted on [**{{day}}**]."))
        if name == "procedures" and not sentences:
            lines.append(Marked(f"\n{heading}\nNone"))
        elif sentences:
            lines.append(Marked(f"\n{heading}"))
            if form == "text":
                paragraph = join(sentences, " ")
                lines.append(paragraph._replace(text="\n".join(wrap(paragraph.text))))
            elif form == "list":
                lines += [join((Marked(f"{number}. "), sentence), "") for number, sentence in enumerate(sentences, 1)]
            else:
                lines += sentences
    lines.append(Marked(f"\nDischarge Disposition: {rng.choice(WORDING['dispositions'])}"))
    lines.append(Marked(f"Discharge Condition: {rng.choice(WORDING['conditions_at_discharge'])}\n"))
    return join(lines, "\n")


def addendum(rng: random.Random, admission: Admission) -> str:
    draft = Draft(rng, admission)
    for template in rng.sample(WORDING["filler"]["course"] + WORDING["filler"]["instructions"], rng.randint(2, 4)):
        draft.say("addendum", template)
    body = "\n".join(wrap(join(draft.sections["addendum"], " ").text))
    return f"Admission Date:  [**{date(admission.admitted)}**]\n\nAddendum:\n{body}\n\nDischarge Disposition:\nHome\n"


def other_note(rng: random.Random, admission: Admission, section: str) -> str:
    """A short note of another category, from the filler of one section."""
    draft = Draft(rng, admission)
    for template in rng.sample(WORDING["filler"][section], rng.randint(2, 5)):
        draft.say(section, template)
    return join(draft.sections[section], "\n").text + "\n"


def wrap(text: str, width: int = 72) -> list[str]:
    """A paragraph in lines of at most `width` characters, like MIMIC's notes (textwrap takes ten times as long).

    Line ends replace spaces, so that marks keep their positions.
    """
    lines = []
    while len(text) > width:
        cut = text.rfind(" ", 0, width + 1)
        lines.append(text[:cut])
        text = text[cut + 1 :]
    return [*lines, text]


def date(day: dt.date) -> str:
    return f"{day.year}-{day.month}-{day.day}"
