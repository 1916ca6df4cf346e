"""Who is in the embedded corpus: patients of a few archetypes, their admissions and the codes of each.

Codes here carry their dot ("428.0"); whoever writes MIMIC's files takes it out.
"""

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from stages.demo.conditions import OUTSIDE

# The chance of a condition in a patient of any archetype.
BACKGROUND = {
    "401.9": 0.30, "250.00": 0.10, "272.4": 0.10, "272.0": 0.06, "530.81": 0.09, "244.9": 0.065, "311": 0.045,
    "285.9": 0.06, "305.1": 0.045, "V15.82": 0.03, "496": 0.05, "599.0": 0.07, "412": 0.02, "428.0": 0.03,
    "427.31": 0.06, "414.01": 0.04, "585.9": 0.03, "403.90": 0.015, "V45.81": 0.015, "276.1": 0.025, "287.5": 0.02,
    "424.0": 0.012, "511.9": 0.015, "38.93": 0.10, "99.04": 0.05, "88.72": 0.03, "584.9": 0.05,
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
        "37.23": 0.32, "V58.61": 0.25, "287.5": 0.15, "99.04": 0.25, "88.56": 0.25, "285.1": 0.15, "511.9": 0.08,
    }),
    "heart failure": (0.14, (58, 93), {
        "428.0": 0.90, "427.31": 0.48, "414.01": 0.28, "V58.61": 0.25, "585.9": 0.18, "403.90": 0.16, "584.9": 0.28,
        "424.0": 0.16, "511.9": 0.13, "412": 0.14, "V45.81": 0.13, "37.23": 0.09, "88.72": 0.14, "401.9": 0.20,
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
        "518.81": 0.72, "486": 0.38, "496": 0.36, "507.0": 0.20, "96.04": 0.55, "96.71": 0.25, "96.72": 0.40,
        "96.6": 0.45, "33.24": 0.24, "38.93": 0.35, "38.91": 0.25, "511.9": 0.16, "V15.82": 0.12, "276.2": 0.08,
        "305.1": 0.08, "428.0": 0.15,
    }),
    "gastrointestinal bleeding": (0.09, (35, 92), {
        "45.13": 0.40, "99.04": 0.62, "285.1": 0.48, "530.81": 0.16, "287.5": 0.12, "96.04": 0.14, "96.71": 0.12,
        "V58.61": 0.16, "427.31": 0.10, "38.93": 0.10, "305.1": 0.05,
    }),
    "renal failure": (0.09, (40, 88), {
        "39.95": 0.36, "403.90": 0.34, "585.9": 0.36, "584.9": 0.42, "285.9": 0.22, "276.2": 0.20, "250.00": 0.15,
        "38.93": 0.20, "428.0": 0.18, "599.0": 0.08,
    }),
    "surgical abdomen": (0.07, (25, 88), {
        "99.15": 0.38, "38.93": 0.42, "285.1": 0.14, "99.04": 0.16, "276.2": 0.08, "96.6": 0.12, "96.71": 0.12,
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
    (
        "244.9", "250.00", "272.0", "272.4", "311", "401.9", "403.90", "412", "414.01", "424.0", "427.31", "428.0",
        "496", "530.81", "585.9", "V15.82", "V45.81", "V58.61",
    )
)  # fmt: skip
STILL_CODED = 0.7
# What an earlier admission leaves behind.
SEQUELS = {"36.15": "V45.81", "410.71": "412"}


@dataclass(frozen=True)
class Patient:
    """One subject: `subject_id` as in MIMIC, `female`, and the age in years at the first admission."""

    subject_id: int
    female: bool
    age: int


@dataclass(frozen=True)
class Admission:
    """One stay: its patient, ids, days, and codes (the fifty's in `codes`, others in `outside`), in random order."""

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
    """A unique id from `first` on that looks drawn: `index` times `stride` within cycles of `modulus`, a prime."""
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
    previous: tuple[str, ...] = ()
    stays, started = [], day
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
