"""The patients of the embedded corpus: a few archetypes, their admissions and codes.

Codes have their dot here ("428.0"); it is removed when MIMIC's files are written.
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
STILL_CODED = 0.7  # probability that a chronic condition is coded again


@dataclass(frozen=True)
class Patient:
    """A subject: `subject_id` as in MIMIC, `female`, and the age in years at the first admission."""

    subject_id: int
    female: bool
    age: int


@dataclass(frozen=True)
class Admission:
    """A stay: patient, ids, days, and codes in random order (the fifty's in `codes`, others in `outside`)."""

    patient: Patient
    hadm_id: int
    age: int
    admitted: dt.date
    discharged: dt.date
    archetype: str
    codes: tuple[str, ...]
    outside: tuple[str, ...]


def is_procedure(code: str) -> bool:
    """Whether a dotted code is a procedure's, with two digits before the dot instead of three."""
    return len(code.partition(".")[0]) == 2


def expected_prevalence() -> dict[str, float]:
    """How often each of the fifty codes is drawn according to the tables, before exclusions and implications."""
    prevalence: dict[str, float] = {}
    background, archetypes = TABLES["background"], TABLES["archetypes"].values()
    for archetype in archetypes:
        for code in background.keys() | archetype["chances"].keys():
            drawn = 1 - (1 - background.get(code, 0)) * (1 - archetype["chances"].get(code, 0))
            prevalence[code] = prevalence.get(code, 0) + archetype["share"] * drawn
    total = sum(archetype["share"] for archetype in archetypes)
    return {code: prevalence[code] / total for code in sorted(prevalence)}


def scatter(index: int, first: int, modulus: int, stride: int) -> int:
    """A unique random-looking id from `first` on: `index` times `stride` in cycles of `modulus`, a prime."""
    cycle, place = divmod(index, modulus)
    return first + cycle * modulus + place * stride % modulus


def subject_rng(seed: int, index: int) -> random.Random:
    """A patient's own random generator, so that a larger corpus starts with the smaller one's patients."""
    return random.Random(f"{seed}:{index}")  # string seeds are hashed with SHA-512, not Python's randomised hash


def admissions(count: int, seed: int) -> Iterator[tuple[list[Admission], random.Random]]:
    """Yield each patient's admissions and the generator to continue with for the notes.

    Stops after `count` admissions in total; memory does not grow with it.
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
    archetypes = TABLES["archetypes"]
    names, shares = list(archetypes), [archetype["share"] for archetype in archetypes.values()]
    archetype = rng.choices(names, shares)[0]
    ages = archetypes[archetype]["ages"]
    patient = Patient(scatter(index, 3, 99_989, 48_271), rng.random() < 0.44, rng.randint(*ages))
    day = dt.date(2100, 1, 1) + dt.timedelta(days=rng.randrange(36_500))
    previous: tuple[str, ...] = ()
    stays, started = [], day
    for number in range(rng.choices((1, 2, 3, 4, 6), (0.79, 0.13, 0.05, 0.02, 0.01))[0]):
        if number and rng.random() < 0.5:
            archetype = rng.choices(names, shares)[0]
        codes = draw_codes(rng, archetype, previous)
        discharged = day + dt.timedelta(days=2 + int(rng.expovariate(1 / 7)) + (12 if "96.72" in codes else 0))
        hadm_id = scatter(first_admission + number, 100_001, 99_991, 61_813)
        age = min(patient.age + (day - started).days // 365, 99)
        stays.append(Admission(patient, hadm_id, age, day, discharged, archetype, codes, draw_outside(rng)))
        previous = codes
        day = discharged + dt.timedelta(days=20 + int(rng.expovariate(1 / 300)))
    return stays


def draw_codes(rng: random.Random, archetype: str, previous: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Draw an admission's codes among the fifty (possibly none), given those of the patient's `previous` one."""
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
    drawn = {OUTSIDE[int(len(OUTSIDE) * rng.random() ** 1.6)][0] for _ in range(rng.choice((0, 1, 1, 2, 2, 3, 5)))}
    return tuple(sorted(drawn))
