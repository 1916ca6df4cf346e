"""What the notes of the embedded corpus say: discharge summaries in sections, and short notes of other categories.

A discharge summary mentions each of its admission's codes once or twice, by one of the code's synonyms or by something
that implies it, and about as many conditions and procedures that are *not* coded: denied, ruled out, in the family,
screened for, considered. What tells them apart is the wording around the phrase, within its own sentence.
"""

import datetime as dt
import random
from dataclasses import dataclass
from itertools import accumulate

from stages.corpus.synthetic_patients import OUTSIDE, PROCEDURES, Admission, expected_prevalence

OUTSIDE_WORDING = {code: wording for code, _, _, wording in OUTSIDE}
STATUS = frozenset({"305.1", "412", "V15.82", "V45.81", "V58.61"})

# In all sentences: {x} the phrase, {He} {he} {his} {man} the patient, {day} a date, {n} a small number.
CONDITION = {
    "history": (
        "{He} has known {x}.", "The patient has a history of {x}.", "History is significant for {x}.",
        "Presented with {x}.", "{He} was found to have {x} in the emergency department.", "Admitted for {x}.",
        "Transferred from [**Hospital3 400**] with {x}.", "Outside records describe {x}.", "{He} carries a diagnosis of {x}.",
        "Initial evaluation revealed {x}.", "The presentation was attributed to {x}.", "{He} lives with {x} for years.",
        "Referred by {his} PCP because of {x}.", "Recent months were marked by {x}.",
    ),
    "past": (
        "{X}", "{X}", "{X}", "{X}, stable", "{X}, followed by PCP", "{X} since [**{year}**]", "Hx of {x}", "{X}, on treatment",
    ),
    "results": (
        "Findings consistent with {x}.", "Studies confirmed {x}.", "Workup demonstrated {x}.", "Labs and imaging showed {x}.",
        "Read as {x}, in keeping with the clinical picture.",
    ),
    "course": (
        "# {X}: managed by the primary team.", "Course was complicated by {x}.", "{He} developed {x} on hospital day {n}.",
        "# {X}. Home regimen was continued.", "{X} was treated with good response.", "The team felt this represented {x}.",
        "{He} was treated for {x}.", "# {X}: improved by discharge.", "Consultants agreed with {x}.",
        "Stay was prolonged by {x}.", "There was no doubt about {x}.", "Not surprisingly, {x} recurred.",
        "{His} {x} was monitored closely.", "Despite no prior admissions for it, {x} was evident.",
    ),
    "diagnoses": ("{X}", "{X}", "{X}", "{X}, improved", "Primary: {x}", "Secondary: {x}"),
}  # fmt: skip

STATUS_SENTENCES = {
    "history": (
        "Background includes {x}.", "Chart lists {x}.", "Known {x}.", "{His} record notes {x}.", "Notable background: {x}.",
    ),
    "past": ("{X}", "{X}", "{X}, per records", "{X}, confirmed"),
    "results": ("Background of {x} noted on the requisition.",),
    "course": ("# {X}: addressed with the patient.", "Management took account of {x}.", "Relevant here was {x}."),
    "diagnoses": ("{X}", "{X}", "Secondary: {x}"),
}  # fmt: skip

PROCEDURE = {
    "procedures": ("{X}", "{X}", "{X} [**{day}**]", "{X} on hospital day {n}", "Status after {x} [**{day}**]"),
    "history": (
        "{He} underwent {x} before transfer.", "{X} was done on arrival.", "{He} required {x} in the emergency department.",
        "Brought in for {x}.", "Had {x} at [**Hospital1 18**].",
    ),
    "results": ("{X} on [**{day}**] reviewed by the team.", "{X} completed, report on file."),
    "course": (
        "{He} underwent {x}.", "{X} was performed without complication.", "Required {x} during this stay.",
        "{He} received {x}.", "{X} on hospital day {n}.", "The plan proceeded with {x}.", "Taken for {x} on [**{day}**].",
        "{X} was tolerated well.", "Not improving, {he} went on to {x}.", "Care included {x}.",
    ),
}  # fmt: skip

# A finding, device or event that implies a code, whatever its kind.
FINDING = {
    "history": (
        "Noted to have {x}.", "Presentation was remarkable for {x}.", "{He} arrived with {x}.", "Chart documents {x}.",
    ),
    "results": ("Notable for {x}.", "Significant for {x}.", "Reported: {x}."),
    "course": (
        "Course notable for {x}.", "Events included {x}.", "The team documented {x}.", "Overnight there was {x}.",
        "{X} on hospital day {n}.", "Nursing recorded {x}.",
    ),
}  # fmt: skip

MEDICATION = {
    "medications": ("{X}", "{X}", "{X}", "{X}, continued", "{X} (resumed)"),
    "history": ("{He} takes {x} at home.", "Home regimen: {x}."),
    "course": ("Continued on {x}.", "{He} was started on {x}.", "Maintained with {x}.", "Treated with {x}."),
}  # fmt: skip

# What is mentioned but not coded. {x} may be a list ("a, b or c").
CONDITION_TRAPS = {
    "history": (
        "{He} denies {x}.", "Denies any history of {x}.", "No history of {x}.", "There was no {x}.", "Negative for {x}.",
        "{He} has never had {x}.", "Review of systems negative for {x}.", "No known {x}.", "Has not had {x} in the past.",
        "Initial concern for {x}, which was not borne out.", "Screening for {x} in clinic was negative.",
        "Referred with a question of {x}, later excluded.",
    ),
    "past": ("No {x}", "No prior {x}", "Denies {x}", "Never {x}", "Screened for {x}, negative", "Without {x}"),
    "family": (
        "Mother had {x}.", "Father with {x}.", "Brother died of complications of {x}.", "Sister has {x}.",
        "Father and uncle both with {x}.", "Family history of {x} in a maternal aunt.", "Grandmother with {x}.",
        "Son was recently diagnosed with {x}.", "Positive for {x} in a first degree relative.", "Two cousins with {x}.",
    ),
    "results": (
        "No evidence of {x}.", "No signs of {x}.", "No radiographic evidence of {x}.", "Negative for {x}.",
        "Without evidence of {x}.", "Did not show {x}.", "Findings argue against {x}.", "Study done to exclude {x}: normal.",
    ),
    "course": (
        "{X} was ruled out.", "Workup for {x} was negative.", "There was no evidence of {x}.", "{He} was screened for {x}, negative.",
        "{X} was considered but felt unlikely.", "Team was initially concerned for {x}, not confirmed.", "{X} was excluded.",
        "No further concern for {x}.", "Evaluated for possible {x}, not found.", "At no time did {he} have {x}.",
        "Differential included {x}, felt less likely.", "Remained free of {x}.", "Low suspicion for {x}.",
    ),
    "diagnoses": ("{X}, ruled out", "No {x}", "{X} excluded"),
    "instructions": (
        "Call your doctor if you are told of {x}.", "You are at risk of {x}.", "Watch for signs of {x}.",
        "These medicines lower the chance of {x}.",
    ),
}  # fmt: skip

PROCEDURE_TRAPS = {
    "history": (
        "{He} declined {x}.", "Has never required {x}.", "{X} was offered at the outside hospital but not done.",
        "Denies prior {x}.", "No previous {x}.",
    ),
    "family": ("Mother had required {x}.", "Father underwent {x}.", "Brother had {x} last year."),
    "course": (
        "{X} was considered but deferred.", "There was no need for {x}.", "{He} did not require {x}.",
        "The family declined {x}.", "{X} was discussed but not pursued.", "Managed without {x}.", "{X} was cancelled.",
        "Consent for {x} was refused.", "Improved before {x} became necessary.", "No indication for {x}.",
        "{X} was felt to be too risky and was not done.",
    ),
    "instructions": (
        "You may need {x} in the future.", "{X} can be discussed with your doctor at a later date.",
    ),
}  # fmt: skip

# One coded condition and one that is not, in a single sentence.
MIXED = {
    "history": ("Known {x} but no {trap}.", "{He} has {x}, denies {trap}."),
    "results": ("Consistent with {x}, without {trap}.", "{X} but no evidence of {trap}."),
    "course": ("This was felt to be {x} rather than {trap}.", "{X} was confirmed and {trap} was excluded."),
}  # fmt: skip

FILLER = {
    "history": (
        "{He} was in {his} usual state of health until {n} days before admission.", "Symptoms began gradually over {n} days.",
        "No sick contacts or recent travel.", "Appetite has been fair.", "{He} lives at home and walks with a cane.",
        "{He} denies fevers, chills or night sweats.", "Pain was rated {n} out of 10.", "EMS was called by a neighbor.",
        "In the emergency department vital signs were stable.", "Blood was sent for culture and two lines were placed.",
        "The patient was a poor historian and most details come from the chart.", "{He} was last seen in clinic in [**{day}**].",
        "Family was at the bedside and agreed with the plan.", "{He} reports poor sleep and fatigue.",
        "No change in bowel habits.", "There had been no trauma.", "{He} was able to climb one flight of stairs before this.",
        "Weight has been stable over the last year.", "An interpreter was present for the interview.",
    ),
    "social": (
        "Lives with {his} spouse.", "Retired teacher.", "Lives alone in an apartment.", "Widowed, two adult children.",
        "Rare alcohol.", "Worked in construction.", "Independent in daily activities.", "Resides in a nursing facility.",
        "No recreational drugs.", "Originally from [**Country 75**].",
    ),
    "exam": (
        "Temp 98.{n} BP 12{n}/70 HR 7{n} RR 18 O2 sat 97% RA.", "General: alert, oriented, in no acute distress.",
        "HEENT: moist mucous membranes, sclera anicteric.", "Neck supple, no lymphadenopathy.", "Lungs: clear anteriorly.",
        "Abdomen soft, nontender, bowel sounds present.", "Extremities warm, well perfused.", "Skin without rash.",
        "Neuro: moves all extremities, follows commands.", "Heart: normal S1 S2.", "No focal deficits.",
    ),
    "results": (
        "WBC-{n}.2 Plt Ct-2{n}1 Na-13{n} K-4.{n} Cl-10{n}.", "Glucose-11{n} UreaN-1{n} Creat-0.{n} Calcium-8.{n} Mg-2.0.",
        "CXR compared with prior film.", "ECG: sinus rhythm, rate 7{n}.", "CT of the head was unremarkable.",
        "Cultures showed no growth to date.", "Coagulation studies were within normal limits.", "Liver enzymes normal.",
        "[**{day}**] 06:{n}0AM labs drawn.",
    ),
    "course": (
        "{He} was seen by physical therapy and cleared for discharge.", "Pain was well controlled.", "Diet was advanced slowly.",
        "Electrolytes were repleted as needed.", "{He} remained hemodynamically stable afterwards.",
        "The patient was transferred to the floor on day {n}.", "Social work met with the family.", "{He} was afebrile at discharge.",
        "Prophylaxis was given with subcutaneous heparin and a bowel regimen.", "Code status was discussed.",
        "Nutrition saw the patient and made recommendations.", "Labs were trended daily.", "{His} mental status cleared.",
        "Foley was removed and {he} voided.", "Consults followed along.", "{He} ambulated with assistance.",
        "Follow up was arranged with the primary care physician.", "Outpatient providers were notified.",
        "There were no further events.", "{He} tolerated the hospital stay well.", "Wound was clean, dry and intact.",
    ),
    "medications": (
        "Acetaminophen 325 mg as needed", "Docusate sodium 100 mg twice daily", "Senna 8.6 mg as needed", "Multivitamin daily",
        "Lorazepam 0.5 mg at bedtime", "Oxycodone 5 mg as needed", "Folic acid 1 mg", "Bisacodyl 10 mg", "Miconazole powder",
        "Trazodone 25 mg at bedtime", "Calcium carbonate 500 mg",
    ),
    "family": ("Noncontributory.", "No premature deaths.", "Parents lived into their eighties.", "Otherwise unremarkable."),
    "instructions": (
        "Please take all medicines as prescribed.", "Keep all follow up appointments.", "Return for fever or bleeding.",
        "Weigh yourself every morning.", "No heavy lifting for {n} weeks.", "Do not drive while taking pain medicine.",
        "It was a pleasure taking care of you.", "Eat a balanced diet and rest.",
    ),
}  # fmt: skip

COMPLAINTS = (
    "shortness of breath", "chest discomfort", "weakness", "abdominal pain", "confusion", "lethargy", "dizziness",
    "cough", "nausea", "malaise", "leg swelling", "syncope", "elective admission", "found down",
)  # fmt: skip
SERVICES = {
    "bypass surgery": "CARDIOTHORACIC", "valve surgery": "CARDIOTHORACIC", "surgical abdomen": "SURGERY",
    "acute coronary": "CARDIOLOGY", "neurological": "NEUROLOGY",
}  # fmt: skip
DISPOSITIONS = ("Home", "Home With Service", "Extended Care", "Rehabilitation", "Skilled Nursing Facility")
CONDITIONS_AT_DISCHARGE = ("Stable.", "Good.", "Fair.", "Alert and oriented, ambulating with assistance.", "Improved.")

# Codes close in meaning: when one is coded, the others are not denied in the same breath.
RELATED = (
    {"96.04", "96.71", "96.72"}, {"305.1", "V15.82"}, {"37.22", "37.23", "88.56"}, {"272.0", "272.4"},
    {"285.1", "285.9", "99.04"}, {"585.9", "403.90", "401.9", "39.95"}, {"038.9", "995.92"}, {"486", "507.0"},
    {"410.71", "412", "414.01"}, {"36.15", "V45.81", "39.61"},
)  # fmt: skip
MEMBERS = {
    code: frozenset().union(*(group for group in RELATED if code in group)) for group in RELATED for code in group
}


@dataclass(frozen=True)
class Phrase:
    """One mention of a code in a discharge summary; `asserted` is False for a trap."""

    code: str
    wording: str
    source: str  # synonyms | mentions | medications
    asserted: bool


class Lexicon:
    """The authored phrases, ready to draw from: code -> short and long title, synonyms, mentions, medications."""

    SHARES = (("synonyms", 0.70), ("mentions", 0.20), ("medications", 0.10))

    def __init__(self, entries: dict[str, dict]):
        self.entries = entries
        self.wordings = {code: self._wordings(entry) for code, entry in entries.items()}
        prevalence = expected_prevalence()
        self.trap_codes = sorted(entries)
        self.trap_weights = list(accumulate(prevalence[code] ** 0.8 for code in self.trap_codes))

    def _wordings(self, entry: dict) -> tuple[list[tuple[str, str]], list[float]]:
        """All (source, phrase) pairs of a code with their cumulative weights; within a source the first is the most usual."""
        pairs, weights = [], []
        for source, share in self.SHARES:
            phrases = entry.get(source, [])
            ranks = [(rank + 1.5) ** -0.7 for rank in range(len(phrases))]
            pairs += [(source, phrase) for phrase in phrases]
            weights += [share * weight / sum(ranks) for weight in ranks]
        return pairs, list(accumulate(weights))

    def draw(self, rng: random.Random, code: str, asserted: bool = True, other_than: str = "") -> Phrase:
        """Draw one wording of a code. A trap is a synonym four times out of five (nobody denies a drug's dose)."""
        pairs, weights = self.wordings[code]
        while True:
            source, wording = rng.choices(pairs, cum_weights=weights)[0]
            unlikely = source != "synonyms" and not asserted and rng.random() < 0.6
            if wording != other_than and not unlikely and (asserted or source != "medications"):
                return Phrase(code, wording, source, asserted)

    def draw_trap(self, rng: random.Random, barred: set[str]) -> Phrase:
        """Draw a phrase of a code that is not in `barred`; frequent codes are frequent traps."""
        while True:
            code = rng.choices(self.trap_codes, cum_weights=self.trap_weights)[0]
            if code not in barred:
                return self.draw(rng, code, asserted=False)


def kind_of(code: str) -> str:
    """condition | status | procedure: which sentences fit the code's phrases."""
    if code in PROCEDURES:
        return "procedure"
    return "status" if code in STATUS else "condition"


SENTENCES = {"condition": CONDITION, "status": STATUS_SENTENCES, "procedure": PROCEDURE}
TRAPS = {"condition": CONDITION_TRAPS, "status": CONDITION_TRAPS, "procedure": PROCEDURE_TRAPS}
PREFERRED = {
    "condition": (("history", 3), ("past", 3), ("results", 1), ("course", 4), ("diagnoses", 2)),
    "status": (("history", 2), ("past", 4), ("course", 1), ("diagnoses", 1)),
    "procedure": (("procedures", 3), ("history", 1), ("results", 1), ("course", 5)),
    "mentions": (("history", 2), ("results", 3), ("course", 4)),
    "medications": (("medications", 5), ("history", 1), ("course", 2)),
    "condition trap": (
        ("history", 4),
        ("past", 1.5),
        ("family", 3.5),
        ("results", 2),
        ("course", 4),
        ("diagnoses", 0.7),
        ("instructions", 0.7),
    ),
    "procedure trap": (("history", 2), ("family", 1), ("course", 5), ("instructions", 0.7)),
}
PLACES = {kind: ([p for p, _ in places], list(accumulate(w for _, w in places))) for kind, places in PREFERRED.items()}


def draw_phrases(rng: random.Random, admission: Admission, lexicon: Lexicon) -> list[Phrase]:
    """All phrases of one summary: each code once or twice, then about as many traps (2 to 7)."""
    phrases = []
    for code in admission.codes:
        phrases.append(lexicon.draw(rng, code))
        if rng.random() < 0.25:
            phrases.append(lexicon.draw(rng, code, other_than=phrases[-1].wording))
    barred = set(admission.codes).union(*(MEMBERS.get(code, ()) for code in admission.codes))
    wanted = min(max(len(phrases) + rng.choice((-2, -1, 0, 0, 1)), 2), 7)
    for _ in range(wanted):
        trap = lexicon.draw_trap(rng, barred)
        barred.add(trap.code)
        phrases.append(trap)
    return phrases


class Summary:
    """A discharge summary under construction: sentences collected by section, then laid out."""

    def __init__(self, rng: random.Random, admission: Admission):
        self.rng = rng
        self.admission = admission
        female = admission.patient.female
        self.words = {
            "He": "She" if female else "He", "he": "she" if female else "he", "His": "Her" if female else "His",
            "his": "her" if female else "his", "man": "woman" if female else "man",
        }  # fmt: skip
        self.sections: dict[str, list[str]] = {}

    def fill(self, template: str, wording: str = "", trap: str = "") -> str:
        """A template with its slots filled."""
        rng = self.rng
        return template.format(
            x=wording,
            X=wording[:1].upper() + wording[1:],
            trap=trap,
            n=rng.randint(2, 9),
            day=f"{self.admission.admitted.year}-{rng.randint(1, 12)}-{rng.randint(1, 28)}",
            year=self.admission.admitted.year - rng.randint(1, 15),
            **self.words,
        )

    def say(self, section: str, templates: tuple[str, ...], wording: str = "", trap: str = "") -> None:
        """Add one sentence, of a template drawn at random, to a section."""
        self.sections.setdefault(section, []).append(self.fill(self.rng.choice(templates), wording, trap))

    def place(self, kind: str) -> str:
        """Draw the section for a mention of this kind."""
        places, weights = PLACES[kind]
        return self.rng.choices(places, cum_weights=weights)[0]


def discharge_summary(rng: random.Random, admission: Admission, lexicon: Lexicon) -> str:
    """Write the discharge summary of an admission: about 120 to 300 words in sections."""
    return lay_out(rng, admission, draw_phrases(rng, admission, lexicon))


def lay_out(rng: random.Random, admission: Admission, phrases: list[Phrase]) -> str:
    """The summary that makes these mentions, each in a sentence that asserts or denies it, among filler sentences."""
    summary = Summary(rng, admission)
    asserted = [phrase for phrase in phrases if phrase.asserted]
    traps = [phrase for phrase in phrases if not phrase.asserted]
    for phrase in asserted:
        if phrase.source != "synonyms":
            place = summary.place(phrase.source)
            summary.say(place, (FINDING if phrase.source == "mentions" else MEDICATION)[place], phrase.wording)
            continue
        kind = kind_of(phrase.code)
        place = summary.place(kind)
        if kind == "condition" and place in MIXED and rng.random() < 0.15:
            trap = next((trap for trap in traps if kind_of(trap.code) == "condition"), None)
            if trap is not None:
                traps.remove(trap)
                summary.say(place, MIXED[place], phrase.wording, trap.wording)
                continue
        summary.say(place, SENTENCES[kind][place], phrase.wording)
    while traps:
        kind = "procedure" if kind_of(traps[0].code) == "procedure" else "condition"
        alike = [trap for trap in traps if (kind_of(trap.code) == "procedure") == (kind == "procedure")]
        together = alike[: rng.choices((1, 2, 3), (0.7, 0.2, 0.1))[0]]
        traps = [trap for trap in traps if trap not in together]
        place = summary.place(f"{kind} trap")
        summary.say(place, TRAPS[kind][place], " or ".join(trap.wording for trap in together))
    mention_outside(summary)
    add_filler(summary)
    return render(summary)


def mention_outside(summary: Summary) -> None:
    """Mention most of the codes beyond the fifty by their usual name."""
    for code in summary.admission.outside:
        if summary.rng.random() < 0.75:
            kind = kind_of(code)
            place = summary.place(kind)
            summary.say(place, SENTENCES[kind][place], OUTSIDE_WORDING[code])


def add_filler(summary: Summary) -> None:
    """Pad the sections with sentences that say nothing about codes."""
    rng = summary.rng
    for section, low, high in (
        ("history", 1, 4), ("social", 0, 2), ("family", 0, 1), ("exam", 1, 4), ("results", 1, 3), ("course", 1, 5),
        ("medications", 1, 3), ("instructions", 0, 2),
    ):  # fmt: skip
        for template in rng.sample(FILLER[section], min(rng.randint(low, high), len(FILLER[section]))):
            summary.say(section, (template,))


SECTIONS = (
    ("procedures", "Major Surgical or Invasive Procedure:", "list"),
    ("history", "History of Present Illness:", "text"),
    ("past", "Past Medical History:", "list"),
    ("social", "Social History:", "text"),
    ("family", "Family History:", "text"),
    ("exam", "Physical Exam:", "lines"),
    ("results", "Pertinent Results:", "lines"),
    ("course", "Brief Hospital Course:", "text"),
    ("medications", "Discharge Medications:", "list"),
    ("diagnoses", "Discharge Diagnosis:", "lines"),
    ("instructions", "Discharge Instructions:", "text"),
)


def render(summary: Summary) -> str:
    """The text of a summary: headings in MIMIC's manner, sentences of a section in random order."""
    rng, admission = summary.rng, summary.admission
    lines = [
        f"Admission Date:  [**{date(admission.admitted)}**]     Discharge Date:  [**{date(admission.discharged)}**]",
        "",
        f"Sex:  {'F' if admission.patient.female else 'M'}",
        f"Service: {SERVICES.get(admission.archetype, 'MEDICINE')}",
        "",
        f"Chief Complaint:\n{rng.choice(COMPLAINTS).capitalize()}",
    ]
    opening = summary.fill(f"{admission.age} year old {{man}} admitted on [**{{day}}**].")
    for name, heading, form in SECTIONS:
        sentences = summary.sections.get(name, [])
        if not sentences:
            if name == "procedures":
                lines += ["", heading, "None"]
            continue
        rng.shuffle(sentences)
        if name == "history":
            sentences.insert(0, opening)
        lines += ["", heading]
        if form == "text":
            lines += wrapped(" ".join(sentences))
        elif form == "list":
            lines += [f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)]
        else:
            lines += sentences
    lines += ["", f"Discharge Disposition: {rng.choice(DISPOSITIONS)}"]
    lines += [f"Discharge Condition: {rng.choice(CONDITIONS_AT_DISCHARGE)}", ""]
    return "\n".join(lines)


def wrapped(text: str, width: int = 72) -> list[str]:
    """Break a paragraph into lines as MIMIC's notes are (a plain textwrap, several times faster)."""
    lines = []
    while len(text) > width:
        cut = text.rfind(" ", 0, width + 1)
        if cut <= 0:
            break
        lines.append(text[:cut])
        text = text[cut + 1 :]
    return [*lines, text]


def date(day: dt.date) -> str:
    """A date as de-identified notes write it."""
    return f"{day.year}-{day.month}-{day.day}"


def addendum(rng: random.Random, admission: Admission) -> str:
    """A short addendum to a discharge summary, which repeats no code."""
    summary = Summary(rng, admission)
    for template in rng.sample(FILLER["course"] + FILLER["instructions"], rng.randint(2, 4)):
        summary.say("addendum", (template,))
    body = "\n".join(wrapped(" ".join(summary.sections["addendum"])))
    return f"Admission Date:  [**{date(admission.admitted)}**]\n\nAddendum:\n{body}\n\nDischarge Disposition:\nHome\n"


def other_note(rng: random.Random, admission: Admission, category: str) -> str:
    """A short note of a category other than discharge summary."""
    summary = Summary(rng, admission)
    bank = {"Radiology": "results", "ECG": "results", "Echo": "results", "Physician ": "history"}.get(
        category, "course"
    )
    for template in rng.choices(FILLER[bank], k=rng.randint(2, 5)):
        summary.say("note", (template,))
    return f"{category.strip()} note\n" + "\n".join(summary.sections["note"]) + "\n"
