"""The sentences of the embedded corpus, by section of a discharge summary.

{x} is the phrase of a condition or procedure ({X} with a capital), {He} {he} {His} {his} {man} the patient, {day} and
{year} a date, {n} a small number. A sentence either asserts its phrase (the code is assigned) or is a trap (it is not).
"""

CONDITION = {
    "history": (
        "{He} has known {x}.",
        "The patient has a history of {x}.",
        "History is significant for {x}.",
        "Presented with {x}.",
        "{He} was found to have {x} in the emergency department.",
        "Admitted for {x}.",
        "Transferred from [**Hospital3 400**] with {x}.",
        "Outside records describe {x}.",
        "{He} carries a diagnosis of {x}.",
        "Initial evaluation revealed {x}.",
        "The presentation was attributed to {x}.",
        "{He} lives with {x} for years.",
        "Referred by {his} PCP because of {x}.",
        "Recent months were marked by {x}.",
    ),
    "past": (
        "{X}",
        "{X}",
        "{X}",
        "{X}, stable",
        "{X}, followed by PCP",
        "{X} since [**{year}**]",
        "Hx of {x}",
        "{X}, on treatment",
    ),
    "results": (
        "Findings consistent with {x}.",
        "Studies confirmed {x}.",
        "Workup demonstrated {x}.",
        "Labs and imaging showed {x}.",
        "Read as {x}, in keeping with the clinical picture.",
    ),
    "course": (
        "# {X}: managed by the primary team.",
        "Course was complicated by {x}.",
        "{He} developed {x} on hospital day {n}.",
        "# {X}. Home regimen was continued.",
        "{X} was treated with good response.",
        "The team felt this represented {x}.",
        "{He} was treated for {x}.",
        "# {X}: improved by discharge.",
        "Consultants agreed with {x}.",
        "Stay was prolonged by {x}.",
        "There was no doubt about {x}.",
        "Not surprisingly, {x} recurred.",
        "{His} {x} was monitored closely.",
        "Despite no prior admissions for it, {x} was evident.",
    ),
    "diagnoses": ("{X}", "{X}", "{X}", "{X}, improved", "Primary: {x}", "Secondary: {x}"),
}

STATUS = {
    "history": (
        "Background includes {x}.",
        "Chart lists {x}.",
        "Known {x}.",
        "{His} record notes {x}.",
        "Notable background: {x}.",
    ),
    "past": ("{X}", "{X}", "{X}, per records", "{X}, confirmed"),
    "results": ("Background of {x} noted on the requisition.",),
    "course": ("# {X}: addressed with the patient.", "Management took account of {x}.", "Relevant here was {x}."),
    "diagnoses": ("{X}", "{X}", "Secondary: {x}"),
}

PROCEDURE = {
    "procedures": ("{X}", "{X}", "{X} [**{day}**]", "{X} on hospital day {n}", "Status after {x} [**{day}**]"),
    "history": (
        "{He} underwent {x} before transfer.",
        "{X} was done on arrival.",
        "{He} required {x} in the emergency department.",
        "Brought in for {x}.",
        "Had {x} at [**Hospital1 18**].",
    ),
    "results": ("{X} on [**{day}**] reviewed by the team.", "{X} completed, report on file."),
    "course": (
        "{He} underwent {x}.",
        "{X} was performed without complication.",
        "Required {x} during this stay.",
        "{He} received {x}.",
        "{X} on hospital day {n}.",
        "The plan proceeded with {x}.",
        "Taken for {x} on [**{day}**].",
        "{X} was tolerated well.",
        "Not improving, {he} went on to {x}.",
        "Care included {x}.",
    ),
}

# A finding, device or event that implies a code, whatever its kind.
FINDING = {
    "history": (
        "Noted to have {x}.",
        "Presentation was remarkable for {x}.",
        "{He} arrived with {x}.",
        "Chart documents {x}.",
    ),
    "results": ("Notable for {x}.", "Significant for {x}.", "Reported: {x}."),
    "course": (
        "Course notable for {x}.",
        "Events included {x}.",
        "The team documented {x}.",
        "Overnight there was {x}.",
        "{X} on hospital day {n}.",
        "Nursing recorded {x}.",
    ),
}

MEDICATION = {
    "medications": ("{X}", "{X}", "{X}", "{X}, continued", "{X} (resumed)"),
    "history": ("{He} takes {x} at home.", "Home regimen: {x}."),
    "course": ("Continued on {x}.", "{He} was started on {x}.", "Maintained with {x}.", "Treated with {x}."),
}

# What is mentioned but not coded; {x} may be a list ("a or b or c").
CONDITION_TRAPS = {
    "history": (
        "{He} denies {x}.",
        "Denies any history of {x}.",
        "No history of {x}.",
        "There was no {x}.",
        "Negative for {x}.",
        "{He} has never had {x}.",
        "Review of systems negative for {x}.",
        "No known {x}.",
        "Has not had {x} in the past.",
        "Initial concern for {x}, which was not borne out.",
        "Screening for {x} in clinic was negative.",
        "Referred with a question of {x}, later excluded.",
    ),
    "past": ("No {x}", "No prior {x}", "Denies {x}", "Never {x}", "Screened for {x}, negative", "Without {x}"),
    "family": (
        "Mother had {x}.",
        "Father with {x}.",
        "Brother died of complications of {x}.",
        "Sister has {x}.",
        "Father and uncle both with {x}.",
        "Family history of {x} in a maternal aunt.",
        "Grandmother with {x}.",
        "Son was recently diagnosed with {x}.",
        "Positive for {x} in a first degree relative.",
        "Two cousins with {x}.",
    ),
    "results": (
        "No evidence of {x}.",
        "No signs of {x}.",
        "No radiographic evidence of {x}.",
        "Negative for {x}.",
        "Without evidence of {x}.",
        "Did not show {x}.",
        "Findings argue against {x}.",
        "Study done to exclude {x}: normal.",
    ),
    "course": (
        "{X} was ruled out.",
        "Workup for {x} was negative.",
        "There was no evidence of {x}.",
        "{He} was screened for {x}, negative.",
        "{X} was considered but felt unlikely.",
        "Team was initially concerned for {x}, not confirmed.",
        "{X} was excluded.",
        "No further concern for {x}.",
        "Evaluated for possible {x}, not found.",
        "At no time did {he} have {x}.",
        "Differential included {x}, felt less likely.",
        "Remained free of {x}.",
        "Low suspicion for {x}.",
    ),
    "diagnoses": ("{X}, ruled out", "No {x}", "{X} excluded"),
    "instructions": (
        "Call your doctor if you are told of {x}.",
        "You are at risk of {x}.",
        "Watch for signs of {x}.",
        "These medicines lower the chance of {x}.",
    ),
}

PROCEDURE_TRAPS = {
    "history": (
        "{He} declined {x}.",
        "Has never required {x}.",
        "{X} was offered at the outside hospital but not done.",
        "Denies prior {x}.",
        "No previous {x}.",
    ),
    "family": ("Mother had required {x}.", "Father underwent {x}.", "Brother had {x} last year."),
    "course": (
        "{X} was considered but deferred.",
        "There was no need for {x}.",
        "{He} did not require {x}.",
        "The family declined {x}.",
        "{X} was discussed but not pursued.",
        "Managed without {x}.",
        "{X} was cancelled.",
        "Consent for {x} was refused.",
        "Improved before {x} became necessary.",
        "No indication for {x}.",
        "{X} was felt to be too risky and was not done.",
    ),
    "instructions": (
        "You may need {x} in the future.",
        "{X} can be discussed with your doctor at a later date.",
    ),
}

# Findings, devices and events that were looked for and not there.
FINDING_TRAPS = {
    "history": ("No {x}.", "{He} denied {x}.", "{He} never had {x}.", "Arrived without {x}.", "Asked about {x}: no."),
    "results": ("No {x}.", "Without {x}.", "Negative for {x}.", "No sign of {x}."),
    "course": (
        "There was no {x}.",
        "No {x} at any time.",
        "{X} was never documented.",
        "Did not have {x}.",
        "The stay passed without {x}.",
    ),
}

# One coded condition and one that is not, in a single sentence.
MIXED = {
    "history": ("Known {x} but no {trap}.", "{He} has {x}, denies {trap}."),
    "results": ("Consistent with {x}, without {trap}.", "{X} but no evidence of {trap}."),
    "course": ("This was felt to be {x} rather than {trap}.", "{X} was confirmed and {trap} was excluded."),
}

FILLER = {
    "history": (
        "{He} was in {his} usual state of health until {n} days before admission.",
        "Symptoms began gradually over {n} days.",
        "No sick contacts or recent travel.",
        "Appetite has been fair.",
        "{He} lives at home and walks with a cane.",
        "{He} denies fevers, chills or night sweats.",
        "Pain was rated {n} out of 10.",
        "EMS was called by a neighbor.",
        "In the emergency department vital signs were stable.",
        "Blood was sent for culture and two lines were placed.",
        "The patient was a poor historian and most details come from the chart.",
        "{He} was last seen in clinic in [**{day}**].",
        "Family was at the bedside and agreed with the plan.",
        "{He} reports poor sleep and fatigue.",
        "No change in bowel habits.",
        "There had been no trauma.",
        "{He} was able to climb one flight of stairs before this.",
        "Weight has been stable over the last year.",
        "An interpreter was present for the interview.",
    ),
    "social": (
        "Lives with {his} spouse.",
        "Retired teacher.",
        "Lives alone in an apartment.",
        "Widowed, two adult children.",
        "Rare alcohol.",
        "Worked in construction.",
        "Independent in daily activities.",
        "Resides in a nursing facility.",
        "No recreational drugs.",
        "Originally from [**Country 75**].",
    ),
    "exam": (
        "Temp 98.{n} BP 12{n}/70 HR 7{n} RR 18 O2 sat 97% RA.",
        "General: alert, oriented, in no acute distress.",
        "HEENT: moist mucous membranes, sclera anicteric.",
        "Neck supple, no lymphadenopathy.",
        "Lungs: clear anteriorly.",
        "Abdomen soft, nontender, bowel sounds present.",
        "Extremities warm, well perfused.",
        "Skin without rash.",
        "Neuro: moves all extremities, follows commands.",
        "Heart: normal S1 S2.",
        "No focal deficits.",
    ),
    "results": (
        "WBC-{n}.2 Plt Ct-2{n}1 Na-13{n} K-4.{n} Cl-10{n}.",
        "Glucose-11{n} UreaN-1{n} Creat-0.{n} Calcium-8.{n} Mg-2.0.",
        "CXR compared with prior film.",
        "ECG: sinus rhythm, rate 7{n}.",
        "CT of the head was unremarkable.",
        "Cultures showed no growth to date.",
        "Coagulation studies were within normal limits.",
        "Liver enzymes normal.",
        "[**{day}**] 06:3{n}AM labs drawn.",
    ),
    "course": (
        "{He} was seen by physical therapy and cleared for discharge.",
        "Pain was well controlled.",
        "Diet was advanced slowly.",
        "Electrolytes were repleted as needed.",
        "{He} remained hemodynamically stable afterwards.",
        "The patient was transferred to the floor on day {n}.",
        "Social work met with the family.",
        "{He} was afebrile at discharge.",
        "Prophylaxis was given with subcutaneous heparin and a bowel regimen.",
        "Code status was discussed.",
        "Nutrition saw the patient and made recommendations.",
        "Labs were trended daily.",
        "{His} mental status cleared.",
        "Foley was removed and {he} voided.",
        "Consults followed along.",
        "{He} ambulated with assistance.",
        "Follow up was arranged with the primary care physician.",
        "Outpatient providers were notified.",
        "There were no further events.",
        "{He} tolerated the hospital stay well.",
        "Wound was clean, dry and intact.",
    ),
    "medications": (
        "Acetaminophen 325 mg as needed",
        "Docusate sodium 100 mg twice daily",
        "Senna 8.6 mg as needed",
        "Multivitamin daily",
        "Lorazepam 0.5 mg at bedtime",
        "Oxycodone 5 mg as needed",
        "Folic acid 1 mg",
        "Bisacodyl 10 mg",
        "Miconazole powder",
        "Trazodone 25 mg at bedtime",
        "Calcium carbonate 500 mg",
    ),
    "family": (
        "Noncontributory.",
        "No premature deaths.",
        "Parents lived into their eighties.",
        "Otherwise unremarkable.",
    ),
    "instructions": (
        "Please take all medicines as prescribed.",
        "Keep all follow up appointments.",
        "Return for fever or bleeding.",
        "Weigh yourself every morning.",
        "No heavy lifting for {n} weeks.",
        "Do not drive while taking pain medicine.",
        "It was a pleasure taking care of you.",
        "Eat a balanced diet and rest.",
    ),
}

COMPLAINTS = (
    "shortness of breath",
    "chest discomfort",
    "weakness",
    "abdominal pain",
    "confusion",
    "lethargy",
    "dizziness",
    "cough",
    "nausea",
    "malaise",
    "leg swelling",
    "syncope",
    "elective admission",
    "found down",
)
SERVICES = {
    "bypass surgery": "CARDIOTHORACIC",
    "valve surgery": "CARDIOTHORACIC",
    "surgical abdomen": "SURGERY",
    "acute coronary": "CARDIOLOGY",
    "neurological": "NEUROLOGY",
}
DISPOSITIONS = ("Home", "Home With Service", "Extended Care", "Rehabilitation", "Skilled Nursing Facility")
CONDITIONS_AT_DISCHARGE = ("Stable.", "Good.", "Fair.", "Alert and oriented, ambulating with assistance.", "Improved.")

# The sentences for each kind of mention, and how often each section is the place of one.
ASSERTIONS = {
    "condition": CONDITION,
    "status": STATUS,
    "procedure": PROCEDURE,
    "mentions": FINDING,
    "medications": MEDICATION,
}
ASSERTION_PLACES = {
    "condition": {"history": 3, "past": 3, "results": 1, "course": 4, "diagnoses": 2},
    "status": {"history": 2, "past": 4, "course": 1, "diagnoses": 1},
    "procedure": {"procedures": 3, "history": 1, "results": 1, "course": 5},
    "mentions": {"history": 2, "results": 3, "course": 4},
    "medications": {"medications": 5, "history": 1, "course": 2},
}
TRAPS = {"condition": CONDITION_TRAPS, "procedure": PROCEDURE_TRAPS, "mentions": FINDING_TRAPS}
TRAP_PLACES: dict[str, dict[str, float]] = {
    "condition": {
        "history": 4,
        "past": 1.5,
        "family": 3.5,
        "results": 2,
        "course": 4,
        "diagnoses": 0.7,
        "instructions": 0.7,
    },
    "procedure": {"history": 2, "family": 1, "course": 5, "instructions": 0.7},
    "mentions": {"history": 2, "results": 2, "course": 3},
}

# The sections in their order: name, heading, whether sentences run on, stand on lines, or are numbered.
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

# How many filler sentences a section gets, at least and at most.
FILLER_COUNTS = {
    "history": (1, 4),
    "social": (0, 2),
    "family": (0, 1),
    "exam": (1, 4),
    "results": (1, 3),
    "course": (1, 5),
    "medications": (1, 3),
    "instructions": (0, 2),
}
