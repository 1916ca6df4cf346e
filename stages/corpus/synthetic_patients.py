"""Who is in the embedded corpus: patients of a few archetypes, their admissions and the codes of each.

Codes here carry their dot ("428.0"); whoever writes MIMIC's files takes it out.
"""

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass


# The chance of a condition in a patient of any archetype.
BACKGROUND = {
    "401.9": 0.30, "250.00": 0.10, "272.4": 0.10, "272.0": 0.06, "530.81": 0.09, "244.9": 0.075, "311": 0.055,
    "285.9": 0.06, "305.1": 0.045, "V15.82": 0.035, "496": 0.05, "599.0": 0.07, "412": 0.02, "428.0": 0.05,
    "427.31": 0.06, "414.01": 0.06, "585.9": 0.03, "403.90": 0.015, "V45.81": 0.015, "276.1": 0.025, "287.5": 0.02,
    "424.0": 0.012, "511.9": 0.015, "38.93": 0.12, "99.04": 0.05, "88.72": 0.03, "584.9": 0.05,
}  # fmt: skip

# Archetype: its share among admissions, the age at the first admission, and the chances that it adds to the background.
ARCHETYPES = {
    "bypass surgery": (0.10, (50, 82), {
        "36.15": 0.85, "39.61": 0.95, "414.01": 0.92, "88.72": 0.28, "96.04": 0.30, "96.71": 0.35, "88.56": 0.30,
        "37.22": 0.28, "401.9": 0.45, "272.4": 0.25, "272.0": 0.28, "285.1": 0.15, "99.04": 0.22, "427.31": 0.25,
        "511.9": 0.08, "410.71": 0.13, "250.00": 0.20, "38.91": 0.20, "424.0": 0.12, "412": 0.12, "305.1": 0.05,
    }),
    "valve surgery": (0.035, (45, 85), {
        "39.61": 0.95, "424.0": 0.72, "88.72": 0.55, "427.31": 0.42, "428.0": 0.38, "96.71": 0.25, "96.04": 0.22,
        "37.23": 0.40, "V58.61": 0.25, "287.5": 0.15, "99.04": 0.25, "88.56": 0.25, "285.1": 0.15, "511.9": 0.08,
    }),
    "heart failure": (0.14, (58, 93), {
        "428.0": 0.90, "427.31": 0.48, "414.01": 0.35, "V58.61": 0.25, "585.9": 0.18, "403.90": 0.16, "584.9": 0.28,
        "424.0": 0.16, "511.9": 0.13, "412": 0.14, "V45.81": 0.17, "37.23": 0.13, "88.72": 0.14, "401.9": 0.20,
        "276.1": 0.08, "496": 0.12, "250.00": 0.15, "285.9": 0.10,
    }),
    "acute coronary": (0.09, (45, 88), {
        "410.71": 0.50, "414.01": 0.85, "37.22": 0.52, "88.56": 0.68, "412": 0.15, "V45.81": 0.15, "272.4": 0.28,
        "272.0": 0.18, "305.1": 0.16, "V15.82": 0.10, "401.9": 0.35, "428.0": 0.18, "37.23": 0.12, "250.00": 0.15,
    }),
    "sepsis": (0.12, (40, 93), {
        "038.9": 0.60, "995.92": 0.56, "584.9": 0.48, "518.81": 0.42, "96.04": 0.36, "96.71": 0.18, "96.72": 0.24,
        "38.93": 0.55, "96.6": 0.25, "276.2": 0.38, "599.0": 0.25, "486": 0.22, "287.5": 0.12, "38.91": 0.24,
        "285.9": 0.12, "99.15": 0.08, "276.1": 0.05, "507.0": 0.08,
    }),
    "ventilated lung disease": (0.11, (45, 92), {
        "518.81": 0.72, "486": 0.38, "496": 0.36, "507.0": 0.25, "96.04": 0.55, "96.71": 0.25, "96.72": 0.40,
        "96.6": 0.45, "33.24": 0.32, "38.93": 0.35, "38.91": 0.25, "511.9": 0.16, "V15.82": 0.12, "276.2": 0.08,
        "305.1": 0.08, "428.0": 0.15,
    }),
    "gastrointestinal bleeding": (0.09, (35, 92), {
        "45.13": 0.52, "99.04": 0.62, "285.1": 0.48, "530.81": 0.16, "287.5": 0.12, "96.04": 0.14, "96.71": 0.12,
        "V58.61": 0.16, "427.31": 0.10, "38.93": 0.12, "305.1": 0.05,
    }),
    "renal failure": (0.09, (40, 88), {
        "39.95": 0.48, "403.90": 0.42, "585.9": 0.45, "584.9": 0.42, "285.9": 0.22, "276.2": 0.20, "250.00": 0.15,
        "38.93": 0.20, "428.0": 0.18, "599.0": 0.08,
    }),
    "surgical abdomen": (0.07, (25, 88), {
        "99.15": 0.55, "38.93": 0.42, "285.1": 0.14, "99.04": 0.16, "276.2": 0.08, "96.6": 0.12, "96.71": 0.12,
        "511.9": 0.08, "276.1": 0.06, "038.9": 0.05, "96.04": 0.08,
    }),
    "neurological": (0.085, (25, 90), {
        "96.04": 0.34, "96.71": 0.22, "96.72": 0.22, "96.6": 0.38, "507.0": 0.16, "276.1": 0.10, "88.72": 0.06,
        "599.0": 0.10, "401.9": 0.20, "305.1": 0.06, "38.91": 0.16, "427.31": 0.10,
    }),
    "general medicine": (0.07, (25, 95), {
        "276.1": 0.10, "599.0": 0.12, "486": 0.12, "311": 0.10, "V58.61": 0.08, "496": 0.10, "285.9": 0.08,
        "V15.82": 0.06,
    }),
}  # fmt: skip

# Of each pair at most one is coded; the first one goes when both were drawn.
EXCLUSIVE = (
    ("272.0", "272.4"), ("401.9", "403.90"), ("305.1", "V15.82"), ("96.71", "96.72"), ("37.22", "37.23"),
    ("486", "507.0"), ("412", "410.71"), ("V45.81", "36.15"), ("285.9", "285.1"),
)  # fmt: skip

# A code on the left comes with each code on the right.
IMPLIED = {"995.92": ("038.9",), "403.90": ("585.9",), "36.15": ("414.01",)}

# Conditions that stay: each is coded again at a later admission with this chance.
CHRONIC = frozenset(
    "244.9 250.00 272.0 272.4 311 401.9 403.90 412 414.01 424.0 427.31 428.0 496 530.81 585.9 V15.82 V45.81 V58.61".split()
)
STILL_CODED = 0.8
# What an earlier admission leaves behind.
SEQUELS = {"36.15": "V45.81", "410.71": "412"}

# Codes beyond the fifty, which the subset `top50` filters out: code, short title, long title, how notes word it.
OUTSIDE = tuple(
    tuple(part.strip() for part in line.split("|"))
    for line in """
    427.89 | Cardiac dysrhythmias NEC | Other specified cardiac dysrhythmias | sinus bradycardia
    458.29 | Iatrogenc hypotnsion NEC | Other iatrogenic hypotension | low pressures after sedation
    424.1 | Aortic valve disorder | Aortic valve disorders | aortic stenosis
    443.9 | Periph vascular dis NOS | Peripheral vascular disease, unspecified | peripheral vascular disease
    518.0 | Pulmonary collapse | Pulmonary collapse | atelectasis
    780.39 | Convulsions NEC | Other convulsions | seizures
    276.8 | Hypopotassemia | Hypopotassemia | hypokalemia
    276.0 | Hyperosmolality | Hyperosmolality and/or hypernatremia | hypernatremia
    276.7 | Hyperpotassemia | Hyperpotassemia | hyperkalemia
    274.9 | Gout NOS | Gout, unspecified | gout
    278.00 | Obesity NOS | Obesity, unspecified | obesity
    493.90 | Asthma NOS | Asthma, unspecified type, unspecified | asthma
    300.00 | Anxiety state NOS | Anxiety state, unspecified | anxiety
    303.90 | Alcoh dep NEC/NOS-unspec | Other and unspecified alcohol dependence, unspecified | alcohol dependence
    294.8 | Mental disor NEC oth dis | Other persistent mental disorders due to conditions classified elsewhere | dementia
    327.23 | Obstructive sleep apnea | Obstructive sleep apnea (adult)(pediatric) | sleep apnea
    332.0 | Paralysis agitans | Paralysis agitans | Parkinson disease
    348.5 | Cerebral edema | Cerebral edema | cerebral edema
    431 | Intracerebral hemorrhage | Intracerebral hemorrhage | intracerebral hemorrhage
    434.91 | Crbl art ocl NOS w infrc | Cerebral artery occlusion, unspecified with cerebral infarction | ischemic stroke
    415.19 | Pulm embol/infarct NEC | Other pulmonary embolism and infarction | pulmonary embolism
    416.8 | Chr pulmon heart dis NEC | Other chronic pulmonary heart diseases | pulmonary artery hypertension
    425.4 | Prim cardiomyopathy NEC | Other primary cardiomyopathies | cardiomyopathy
    427.1 | Parox ventric tachycard | Paroxysmal ventricular tachycardia | ventricular tachycardia
    427.5 | Cardiac arrest | Cardiac arrest | cardiac arrest
    785.51 | Cardiogenic shock | Cardiogenic shock | cardiogenic shock
    433.10 | Ocl crtd art wo infrct | Occlusion and stenosis of carotid artery without mention of cerebral infarction | carotid stenosis
    441.4 | Abdom aortic aneurysm | Abdominal aneurysm without mention of rupture | abdominal aortic aneurysm
    512.1 | Iatrogenic pneumothorax | Iatrogenic pneumothorax | pneumothorax after line placement
    535.50 | Gstr/ddnts NOS w/o hmrhg | Unspecified gastritis and gastroduodenitis, without mention of hemorrhage | gastritis
    562.10 | Dvrtclo colon w/o hmrhg | Diverticulosis of colon (without mention of hemorrhage) | diverticulosis
    571.2 | Alcohol cirrhosis liver | Alcoholic cirrhosis of liver | alcoholic cirrhosis
    571.5 | Cirrhosis of liver NOS | Cirrhosis of liver without mention of alcohol | cryptogenic cirrhosis
    577.0 | Acute pancreatitis | Acute pancreatitis | acute pancreatitis
    578.9 | Gastrointest hemorr NOS | Hemorrhage of gastrointestinal tract, unspecified | melena
    600.00 | BPH w/o urinary obs/LUTS | Hypertrophy (benign) of prostate without urinary obstruction | enlarged prostate
    682.6 | Cellulitis of leg | Cellulitis and abscess of leg, except foot | cellulitis of the leg
    707.03 | Pressure ulcer, low back | Pressure ulcer, lower back | sacral decubitus ulcer
    714.0 | Rheumatoid arthritis | Rheumatoid arthritis | rheumatoid arthritis
    733.00 | Osteoporosis NOS | Osteoporosis, unspecified | osteoporosis
    787.20 | Dysphagia NOS | Dysphagia, unspecified | difficulty swallowing
    008.45 | Int inf clstrdium dfcile | Intestinal infection due to Clostridium difficile | C difficile colitis
    112.0 | Thrush | Candidiasis of mouth | oral thrush
    V45.01 | Status cardiac pacemaker | Cardiac pacemaker in situ | pacemaker in place
    V10.46 | Hx-prostatic malignancy | Personal history of malignant neoplasm of prostate | treated prostate cancer
    E878.2 | Abn react-anastom/graft | Surgical operation with anastomosis, bypass, or graft as the cause of abnormal reaction | late graft complication
    E888.9 | Fall NOS | Unspecified fall | fall at home
    E849.7 | Accid in resident instit | Accidents occurring in residential institution | nursing facility accident
    00.66 | PTCA | Percutaneous transluminal coronary angioplasty [PTCA] | balloon angioplasty
    36.07 | Ins drug-elut coronry st | Insertion of drug-eluting coronary artery stent(s) | coronary stenting
    36.12 | Aortocor bypas-2 cor art | (Aorto)coronary bypass of two coronary arteries | two vein grafts
    35.21 | Replace aortic valve-tis | Open and other replacement of aortic valve with tissue graft | tissue aortic valve
    34.04 | Insert intercostal cath | Insertion of intercostal catheter for drainage | intercostal catheter
    54.91 | Percu abdominal drainage | Percutaneous abdominal drainage | paracentesis
    31.1 | Temporary tracheostomy | Temporary tracheostomy | surgical airway at bedside
    43.11 | Percu endosc gastrostomy | Percutaneous [endoscopic] gastrostomy [PEG] | gastrostomy placement
    99.05 | Platelet transfusion | Transfusion of platelets | platelets given
    99.07 | Serum transfusion NEC | Transfusion of other serum | fresh frozen plasma
    89.64 | Pulmon art wedge monitor | Pulmonary artery wedge monitoring | Swan Ganz monitoring
    93.90 | Non-invasive mech vent | Non-invasive mechanical ventilation | mask ventilation
    45.23 | Colonoscopy | Colonoscopy | colonoscopy
    03.31 | Spinal tap | Spinal tap | lumbar puncture
    """.strip().splitlines()
)

PROCEDURES = frozenset(
    "33.24 36.15 37.22 37.23 38.91 38.93 39.61 39.95 45.13 88.56 88.72 96.04 96.6 96.71 96.72 99.04 99.15".split()
) | {code for code, *_ in OUTSIDE[[code for code, *_ in OUTSIDE].index("00.66") :]}


@dataclass(frozen=True)
class Patient:
    """One subject: `subject_id` as in MIMIC, `female`, and the age in years at the first admission."""

    subject_id: int
    female: bool
    age: int


@dataclass(frozen=True)
class Admission:
    """One stay: its patient, ids, days, and codes (the fifty's in `codes`, others in `outside`), each in order drawn."""

    patient: Patient
    hadm_id: int
    age: int
    admitted: dt.date
    discharged: dt.date
    archetype: str
    codes: tuple[str, ...]
    outside: tuple[str, ...]


def expected_prevalence() -> dict[str, float]:
    """How often each of the fifty codes is drawn, from the tables alone (before exclusions and implications)."""
    prevalence: dict[str, float] = {}
    for share, _, chances in ARCHETYPES.values():
        for code in BACKGROUND.keys() | chances.keys():
            drawn = 1 - (1 - BACKGROUND.get(code, 0)) * (1 - chances.get(code, 0))
            prevalence[code] = prevalence.get(code, 0) + share * drawn
    total = sum(share for share, _, _ in ARCHETYPES.values())
    return {code: prevalence[code] / total for code in sorted(prevalence)}


def scattered(index: int, first: int, modulus: int, stride: int) -> int:
    """A unique id that looks drawn: `index` carried through a full cycle of `modulus` (prime), which starts at `first`."""
    cycle, place = divmod(index, modulus)
    return first + cycle * modulus + place * stride % modulus


def subject_rng(seed: int, index: int) -> random.Random:
    """The source of chance for one patient, so that a larger corpus begins with the smaller one's patients."""
    return random.Random(f"{seed}:{index}")  # text seeds are hashed by SHA-512, not by Python's own hash


def admissions(count: int, seed: int) -> Iterator[tuple[list[Admission], random.Random]]:
    """Yield patient after patient: the patient's admissions, and the source of chance that goes on to write the notes.

    Stops after `count` admissions in all; memory does not grow with it.
    """
    written = 0
    for index in itertools.count():
        rng = subject_rng(seed, index)
        stays = draw_stays(rng, index, written)[: count - written]
        yield stays, rng
        written += len(stays)
        if written == count:
            return


def draw_stays(rng: random.Random, index: int, first_admission: int) -> list[Admission]:
    """Draw patient `index`, whose admissions are numbered from `first_admission` on."""
    names = list(ARCHETYPES)
    shares = [ARCHETYPES[name][0] for name in names]
    archetype = rng.choices(names, shares)[0]
    patient = Patient(scattered(index, 3, 99_989, 48_271), rng.random() < 0.44, rng.randint(*ARCHETYPES[archetype][1]))
    day = dt.date(2100, 1, 1) + dt.timedelta(days=rng.randrange(36_500))
    stays, previous, started = [], (), day
    for number in range(rng.choices((1, 2, 3, 4, 6), (0.79, 0.13, 0.05, 0.02, 0.01))[0]):
        if number and rng.random() < 0.5:
            archetype = rng.choices(names, shares)[0]
        codes = draw_codes(rng, archetype, previous)
        discharged = day + dt.timedelta(days=2 + int(rng.expovariate(1 / 7)) + (12 if "96.72" in codes else 0))
        hadm_id = scattered(first_admission + number, 100_001, 99_991, 61_813)
        age = min(patient.age + (day - started).days // 365, 99)
        stays.append(Admission(patient, hadm_id, age, day, discharged, archetype, codes, draw_outside(rng)))
        previous = codes
        day = discharged + dt.timedelta(days=20 + int(rng.expovariate(1 / 300)))
    return stays


def draw_codes(rng: random.Random, archetype: str, previous: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Draw the codes of one admission among the fifty, given those of the patient's `previous` one; possibly none."""
    chances = ARCHETYPES[archetype][2]
    drawn = {code for code, chance in chances.items() if rng.random() < chance}
    drawn |= {code for code, chance in BACKGROUND.items() if rng.random() < chance}
    for code in previous:
        if code in CHRONIC and rng.random() < STILL_CODED:
            drawn.add(code)
        if code in SEQUELS:
            drawn.add(SEQUELS[code])
    for code, implied in IMPLIED.items():
        if code in drawn:
            drawn.update(implied)
    for weaker, stronger in EXCLUSIVE:
        if stronger in drawn:
            drawn.discard(weaker)
    codes = sorted(drawn)
    rng.shuffle(codes)
    return tuple(codes)


def draw_outside(rng: random.Random) -> tuple[str, ...]:
    """Draw zero to five codes beyond the fifty; the first of the table are the most frequent."""
    drawn = {OUTSIDE[int(len(OUTSIDE) * rng.random() ** 1.6)][0] for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5)))}
    return tuple(sorted(drawn))
