"""Iterative stratification of subjects over parts (Sechidis, Tsoumakas and Vlahavas 2011)."""

import random
from collections.abc import Hashable, Sequence
from itertools import accumulate

import numpy as np

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.10


def stratify(
    labels: Sequence[Sequence[Hashable]], ratios: Sequence[float], generator: random.Random
) -> list[list[int]]:
    """Assign subjects to parts so that each label is distributed by the ratios, rarest label first.

    `labels` holds the labels of each subject, counting duplicates. Returns for each ratio the positions of its subjects
    in the order of assignment; subjects without labels are assigned to no part.

    As in the authors' program, a part's overall demand starts at (distinct labels) x ratio rather than
    subjects x ratio, so the smaller part ends up larger than its ratio.
    """
    # Labels are numbered in order of appearance; among equally rare ones, the latest goes first.
    numbers: dict[Hashable, int] = {}
    numbered = [[numbers.setdefault(label, len(numbers)) for label in subject_labels] for subject_labels in labels]
    ends = list(accumulate(map(len, numbered), initial=0))
    flat = np.fromiter(
        (label for subject_labels in numbered for label in subject_labels), dtype=np.int64, count=ends[-1]
    )

    counts = np.bincount(flat, minlength=len(numbers))
    label_ends = list(accumulate(counts.tolist(), initial=0))
    by_label = np.repeat(np.arange(len(labels)), np.diff(ends))[np.argsort(flat, kind="stable")].tolist()

    demands = [[count * ratio for count in counts.tolist()] for ratio in ratios]
    totals = [len(numbers) * ratio for ratio in ratios]
    parts: list[list[int]] = [[] for _ in ratios]
    dealt = bytearray(len(labels))

    for _ in numbers:
        rarest = _rarest(counts)
        if rarest is None:
            break
        dealt_labels = []
        for subject in reversed(by_label[label_ends[rarest] : label_ends[rarest + 1]]):
            if dealt[subject]:
                continue
            dealt[subject] = True
            part = choose_part(rarest, demands, totals, generator)
            parts[part].append(subject)
            totals[part] -= 1
            demand = demands[part]
            for label in numbered[subject]:
                demand[label] -= 1
            dealt_labels.extend(numbered[subject])
        counts -= np.bincount(dealt_labels, minlength=len(counts))
    return parts


def _rarest(counts: np.ndarray) -> int | None:
    """The last label with the lowest positive count."""
    backwards = np.where(counts > 0, counts, np.iinfo(counts.dtype).max)[::-1]
    place = int(backwards.argmin()) if len(backwards) else 0
    label = len(counts) - 1 - place
    return label if len(counts) and counts[label] > 0 else None


def choose_part(label: int, demands: list[list[float]], totals: list[float], generator: random.Random) -> int:
    """The part with the highest demand for the label; ties go to the highest overall demand.

    If that is tied too, the choice is random among all parts with equal demand for the label, listed from the highest
    overall demand (METHOD.md, section 1.3).
    """
    wanted = [demand[label] for demand in demands]
    highest = max(wanted)
    if wanted.count(highest) == 1:
        return wanted.index(highest)
    tied = [part for part, demand in enumerate(wanted) if demand == highest]
    highest = max(totals[part] for part in tied)
    wanting = [part for part in tied if totals[part] == highest]
    return wanting[0] if len(wanting) == 1 else generator.choice(sorted(tied, key=lambda part: -totals[part]))


def train_val_test(subjects: dict[str, list[str]], seed: int) -> dict[str, str]:
    """Assign subjects to train, val and test: first test against the rest, then val within the rest.

    `subjects`: subject -> the codes of all its documents, counting duplicates. Returns subject -> part.
    """
    generator = random.Random(seed)
    names = list(subjects)
    rest, test = stratify([subjects[name] for name in names], (1 - TEST_SHARE, TEST_SHARE), generator)
    rest_names = [names[position] for position in rest]
    share = VALIDATION_SHARE / (1 - TEST_SHARE)
    train, val = stratify([subjects[name] for name in rest_names], (1 - share, share), generator)
    part_of = {names[position]: "test" for position in test}
    for part, positions in (("train", train), ("val", val)):
        part_of.update((rest_names[position], part) for position in positions)
    return part_of
