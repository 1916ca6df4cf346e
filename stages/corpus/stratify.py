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
    """Deal subjects to parts so that every label is spread by the ratios: the rarest label goes first.

    `labels` holds the labels of each subject, duplicates counted. Returns, per ratio, the positions of its subjects in
    the order in which they were dealt; a subject without labels is dealt to no part.

    Kept from the authors' program: the demand of a part as a whole starts at (distinct labels) x ratio instead of
    subjects x ratio, so that the smaller part comes out larger than its ratio.
    """
    # A label's number is its order of appearance: of equally rare labels, the latest goes first.
    numbers: dict[Hashable, int] = {}
    numbered = [[numbers.setdefault(label, len(numbers)) for label in own] for own in labels]
    ends = list(accumulate(map(len, numbered), initial=0))
    flat = np.fromiter((label for own in numbered for label in own), dtype=np.int64, count=ends[-1])

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
        now = []
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
            now.extend(numbered[subject])
        counts -= np.bincount(now, minlength=len(counts))
    return parts


def _rarest(counts: np.ndarray) -> int | None:
    """The last of the labels with the lowest count above zero."""
    backwards = np.where(counts > 0, counts, np.iinfo(counts.dtype).max)[::-1]
    place = int(backwards.argmin()) if len(backwards) else 0
    label = len(counts) - 1 - place
    return label if len(counts) and counts[label] > 0 else None


def choose_part(label: int, demands: list[list[float]], totals: list[float], generator: random.Random) -> int:
    """The part with the highest demand for the label; of equal ones that with the highest in all.

    Where that is shared too, chance decides among all parts of equal demand for the label, listed from the highest in
    all (METHOD.md, section 1.3).
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
    """Deal subjects to train, val and test: first test against the rest, then val inside the rest.

    `subjects`: subject -> the codes of all its documents, duplicates counted. Returns subject -> part.
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
