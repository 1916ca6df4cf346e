"""Who is in the embedded corpus: patients of a few archetypes, their admissions and the codes of each.

Codes here carry their dot ("428.0"); whoever writes MIMIC's files takes it out.
"""

import datetime as dt
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

TABLES = yaml.safe_load(Path(__file__).with_name("patients.yaml").read_text(encoding="utf-8"))
OUTSIDE = [tuple(part.strip() for part in line.split("|")) for line in TABLES["outside"].splitlines()]
STILL_CODED = 0.7  # the chance that a chronic condition is coded again


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


def is_procedure(code: str) -> bool:
    """Whether a code (with its dot) is a procedure's: two digits before the dot, where a diagnosis has three."""
    return len(code.partition(".")[0]) == 2


def expected_prevalence() -> dict[str, float]:
    """How often each of the fifty codes is drawn, from the tables alone (before exclusions and implications)."""
    prevalence: dict[str, float] = {}
    background, archetypes = TABLES["background"], TABLES["archetypes"].values()
    for archetype in archetypes:
        for code in background.keys() | archetype["chances"].keys():
            drawn = 1 - (1 - background.get(code, 0)) * (1 - archetype["chances"].get(code, 0))
            prevalence[code] = prevalence.get(code, 0) + archetype["share"] * drawn
    total = sum(archetype["share"] for archetype in archetypes)
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
    archetypes = TABLES["archetypes"]
    names, shares = list(archetypes), [archetype["share"] for archetype in archetypes.values()]
    archetype = rng.choices(names, shares)[0]
    ages = archetypes[archetype]["ages"]
    patient = Patient(scattered(index, 3, 99_989, 48_271), rng.random() < 0.44, rng.randint(*ages))
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
    chances = TABLES["archetypes"][archetype]["chances"]
    drawn = {code for code, chance in chances.items() if rng.random() < chance}
    drawn |= {code for code, chance in TABLES["background"].items() if rng.random() < chance}
    for code in previous:
        if code in TABLES["chronic"] and rng.random() < STILL_CODED:
            drawn.add(code)
        if code in TABLES["sequels"]:
            drawn.add(TABLES["sequels"][code])
    for code, implied in TABLES["implied"].items():
        if code in drawn:
            drawn.update(implied)
    for weaker, stronger in TABLES["exclusive"]:
        if stronger in drawn:
            drawn.discard(weaker)
    codes = sorted(drawn)
    rng.shuffle(codes)
    return tuple(codes)


def draw_outside(rng: random.Random) -> tuple[str, ...]:
    """Draw zero to five codes beyond the fifty; the first of the table are the most frequent."""
    drawn = {OUTSIDE[int(len(OUTSIDE) * rng.random() ** 1.6)][0] for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5)))}
    return tuple(sorted(drawn))
