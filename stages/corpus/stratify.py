"""Iterative stratification of subjects over parts (Sechidis, Tsoumakas and Vlahavas 2011)."""

import heapq
import random
from collections import Counter
from collections.abc import Hashable, Sequence

TEST_SHARE = 0.15
VALIDATION_SHARE = 0.10


def stratify(
    labels: Sequence[Sequence[Hashable]], ratios: Sequence[float], generator: random.Random
) -> list[list[int]]:
    """Deal subjects to parts so that each label is spread by the ratios, the rarest label first.

    `labels` holds the labels of each subject, duplicates counted, at least one each. Returns, per ratio, the
    subjects' positions in the order in which they were dealt. As in the authors' program, the demand of a part as a
    whole starts at (distinct labels) x ratio, not subjects x ratio, and so the smaller part comes out larger than
    its ratio. Time is linear in the number of labels, but for a logarithm.
    """
    # Labels become numbers in the order of their first appearance: of equally rare labels, the latest goes first.
    numbers: dict[Hashable, int] = {}
    numbered = [[numbers.setdefault(label, len(numbers)) for label in own] for own in labels]
    subjects_with: list[list[int]] = [[] for _ in numbers]
    for subject, own in enumerate(numbered):
        for label in set(own):
            subjects_with[label].append(subject)

    counts = Counter(label for own in numbered for label in own)
    left = [counts[label] for label in range(len(numbers))]
    demands = [[count * ratio for count in left] for ratio in ratios]
    totals = [len(numbers) * ratio for ratio in ratios]
    parts: list[list[int]] = [[] for _ in ratios]
    dealt = [False] * len(labels)

    # The heap may hold outdated counts of a label; only the entry that equals its count still stands.
    heap = [(count, -label) for label, count in enumerate(left)]
    heapq.heapify(heap)
    while heap:
        count, negative = heapq.heappop(heap)
        rarest = -negative
        if count != left[rarest] or count == 0:
            continue
        changed: set[int] = set()
        for subject in reversed(subjects_with[rarest]):
            if dealt[subject]:
                continue
            dealt[subject] = True
            part = _most_wanting(rarest, demands, totals, generator)
            parts[part].append(subject)
            totals[part] -= 1
            demand = demands[part]
            for label in numbered[subject]:
                demand[label] -= 1
                left[label] -= 1
            changed.update(numbered[subject])
        for label in changed:
            heapq.heappush(heap, (left[label], -label))
    return parts


def _most_wanting(label: int, demands: list[list[float]], totals: list[float], generator: random.Random) -> int:
    """The part with the highest demand for the label; of equal ones that with the highest in all; then by chance."""
    highest = max(demand[label] for demand in demands)
    tied = [part for part, demand in enumerate(demands) if demand[label] == highest]
    if len(tied) > 1:
        highest = max(totals[part] for part in tied)
        tied = [part for part in tied if totals[part] == highest]
    return tied[0] if len(tied) == 1 else generator.choice(tied)


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
