"""Stratification against the authors' program: the same subjects in the same order, on whatever cases there are."""

import gzip
import json
import random
from collections import Counter
from itertools import chain
from pathlib import Path

import pytest

from stages.corpus import statistics, stratify


@pytest.fixture(scope="module")
def cases(reference: Path) -> dict[str, dict]:
    result = {
        path.name: json.loads(gzip.decompress(path.read_bytes())) for path in (reference / "stratify").glob("*.json.gz")
    }
    for case in result.values():
        case["codes"] = [codes.split() if isinstance(codes, str) else codes for codes in case["codes"]]
    return result


def test_one_call(cases: dict[str, dict]):
    single = [case for case in cases.values() if "sets" in case]
    assert single
    for case in single:
        parts = stratify.stratify(case["codes"], case["ratios"], random.Random(case["seed"]))
        assert [[case["ids"][subject] for subject in part] for part in parts] == case["sets"]


def test_two_calls_and_their_statistics(cases: dict[str, dict]):
    double = [case for case in cases.values() if "first_call" in case]
    assert double
    for case in double:
        codes = dict(zip(case["subject_ids"], case["codes"], strict=True))
        subjects, generator = case["subject_ids"], random.Random(case["seed"])
        for call, ratios in (("first_call", "ratios_first"), ("second_call", "ratios_second")):
            parts = stratify.stratify([codes[subject] for subject in subjects], case[ratios], generator)
            dealt = [[subjects[position] for position in part] for part in parts]
            assert dealt == list(case[call].values())
            subjects = dealt[0]

        whole = Counter(chain.from_iterable(case["codes"]))
        members = {"test": case["first_call"]["test"]} | case["second_call"]
        for part, expected in case["stats"].items():
            result = Counter(chain.from_iterable(codes[subject] for subject in members[part]))
            missing = statistics.missing_percent(result, whole)
            assert missing == pytest.approx(expected["labels_not_in_split_percent"], rel=1e-9, abs=1e-12)
            assert statistics.kl_divergence(result, whole) == pytest.approx(expected["kl_divergence"], rel=1e-9)
            assert len(members[part]) / len(codes) == pytest.approx(expected["size"], rel=1e-9)


def test_train_val_test(cases: dict[str, dict]):
    for case in (case for case in cases.values() if "first_call" in case):
        names = list(map(str, case["subject_ids"]))
        part_of = stratify.train_val_test(dict(zip(names, case["codes"], strict=True)), case["seed"])
        expected = {"test": case["first_call"]["test"]} | case["second_call"]
        assert part_of == {str(subject): part for part, subjects in expected.items() for subject in subjects}
