import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from stages.corpus import stratify

subjects = st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=6), min_size=1, max_size=25)
ratios = st.sampled_from([(0.85, 0.15), (0.5, 0.5), (0.5, 0.25, 0.25)])


@settings(max_examples=20)
@given(subjects)
def test_labels_are_spread_whatever_they_are_called(labels: list[list[str]]):
    named = [[f"code {label}" for label in row] for row in labels]
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
