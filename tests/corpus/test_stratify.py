import random
from collections import Counter
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus import stratify

subjects = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), min_size=1, max_size=25)
ratios = st.sampled_from([(0.85, 0.15), (0.5, 0.5), (0.5, 0.25, 0.25)])


def plainly(labels: list[list[str]], ratios: tuple[float, ...], generator: random.Random) -> list[list[int]]:
    """The method as it is told: count what is left, take the rarest label, deal the subjects that have it."""
    counts = Counter(label for own in labels for label in own)
    demands = [{label: count * ratio for label, count in counts.items()} for ratio in ratios]
    totals = [len(counts) * ratio for ratio in ratios]
    parts: list[list[int]] = [[] for _ in ratios]
    remaining = list(range(len(labels)))
    while remaining:
        rarest, _ = Counter({label: count for label, count in counts.items() if count}).most_common()[-1]
        for subject in reversed([subject for subject in remaining if rarest in labels[subject]]):
            tied = _highest([demand[rarest] for demand in demands], range(len(ratios)))
            leading = _highest(totals, tied)
            part = leading[0] if len(leading) == 1 else generator.choice(tied)
            parts[part].append(subject)
            remaining.remove(subject)
            totals[part] -= 1
            for label in labels[subject]:
                demands[part][label] -= 1
                counts[label] -= 1
    return parts


def _highest(wants: list[float], parts: Iterable[int]) -> list[int]:
    parts = list(parts)
    return [part for part in parts if wants[part] == max(wants[other] for other in parts)]


@given(subjects, ratios)
def test_equals_the_plain_form(labels: list[list[str]], ratios: tuple[float, ...]):
    ours = stratify.stratify(labels, ratios, random.Random(10))
    assert ours == plainly(labels, ratios, random.Random(10))
    assert sorted(subject for part in ours for subject in part) == list(range(len(labels)))


@settings(max_examples=20)
@given(subjects)
def test_labels_are_spread_whatever_they_are_called(labels: list[list[str]]):
    named = [[f"code {label}" for label in own] for own in labels]
    assert stratify.stratify(named, (0.85, 0.15), random.Random(1)) == stratify.stratify(
        labels, (0.85, 0.15), random.Random(1)
    )


def test_two_equal_halves():
    parts = stratify.stratify([["a", "b"]] * 4 + [["b", "c"]] * 4, (0.5, 0.5), random.Random(10))
    assert [len(part) for part in parts] == [4, 4]
    assert all(sum(subject < 4 for subject in part) == 2 for part in parts)


def test_no_subjects():
    assert stratify.stratify([], (0.85, 0.15), random.Random(10)) == [[], []]


def test_train_val_test_deals_every_subject_once():
    generator = random.Random(3)
    codes = {f"s{n}": generator.choices("abcdefghij", weights=range(1, 11), k=5) for n in range(1000)}
    parts = Counter(stratify.train_val_test(codes, seed=10).values())
    assert parts.total() == 1000
    # The demand of a part counts labels, not subjects: test and val may come out larger than 15 % and 10 %.
    assert 140 <= parts["test"] <= 220
    assert 90 <= parts["val"] <= 160


def test_three_tied_parts_draw_among_all_that_tie_on_the_label():
    """Of two parts that lead as a whole and one that does not, chance may still choose the third."""
    demands, totals = [[1.0], [1.0], [1.0]], [2.0, 2.0, 1.0]
    drawn = {stratify.choose_part(0, demands, totals, random.Random(seed)) for seed in range(50)}
    assert drawn == {0, 1, 2}
    assert {stratify.choose_part(0, demands, [3.0, 2.0, 1.0], random.Random(seed)) for seed in range(50)} == {0}
