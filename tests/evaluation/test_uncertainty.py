import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit

from stages.evaluation import calibration, uncertainty
from stages.evaluation import classification as c

BINS = 5


def drawn(documents: int, codes: int, noise: float, seed: int = 7) -> tuple[sp.csr_array, np.ndarray]:
    """Targets and probabilities that tell them apart the better, the less noise there is."""
    rng = np.random.default_rng(seed)
    targets = rng.random((documents, codes)) < np.linspace(0.1, 0.4, codes)
    logits = 2 * targets - 1.5 + noise * np.random.default_rng([seed, 1]).standard_normal(targets.shape)
    return sp.csr_array(targets.astype(np.uint8)), expit(logits.astype(np.float32))


def statistics(targets: sp.csr_array, probabilities: np.ndarray) -> dict[str, uncertainty.Statistic]:
    result = uncertainty.classification_statistics(targets, probabilities)
    return result | {"mece": uncertainty.mece(targets, probabilities, BINS)}


def metrics(targets: sp.csr_array, probabilities: np.ndarray) -> dict[str, float]:
    result = c.decision_metrics(targets, probabilities > 0.5) | c.ranking_metrics(targets, probabilities)
    return result | {"mece": calibration.mece(targets, probabilities, BINS)}


def test_with_several_seeds_a_difference_is_as_sure_as_seeds_agree():
    """Two seeds that agree to the bit change nothing; two of which one turns it round leave nothing sure."""
    rng = np.random.default_rng(3)
    targets = sp.csr_array(rng.random((150, 6)) < 0.3)
    truth = targets.toarray()
    good, bad = (np.clip(truth * reach + rng.random(truth.shape) * 0.6, 0, 1) for reach in (0.5, 0.3))
    pair = statistics(targets, good), statistics(targets, bad)
    once, twice, turned = (
        uncertainty.compare(runs, np.arange(150), 300, seed=0)["f1_micro"]
        for runs in ([pair], [pair, pair], [pair, pair[::-1]])
    )
    assert twice["difference"] == pytest.approx(once["difference"]) and once["p"] < 0.01
    assert twice["interval"] == pytest.approx(once["interval"])
    assert turned["difference"] == pytest.approx(0) and turned["p"] == 1
    assert turned["interval"][0] <= -once["difference"] * 0.9


def test_with_every_document_once_a_statistic_is_the_metric():
    targets, probabilities = drawn(60, 9, 1)
    expected = metrics(targets, probabilities)
    for name, statistic in statistics(targets, probabilities).items():
        assert statistic.at(np.ones((1, 60))) == pytest.approx([expected[name]], rel=1e-6), name


def test_weights_stand_for_documents_repeated():
    """Exactly, but for the AUCs, which are linear in the weights."""
    targets, probabilities = drawn(300, 6, 1)
    weights = np.random.default_rng(0).multinomial(300, np.full(300, 1 / 300), size=3)
    repeated = [np.repeat(np.arange(300), row) for row in weights]
    expected = [metrics(targets[rows], probabilities[rows]) for rows in repeated]
    for name, statistic in statistics(targets, probabilities).items():
        tolerance = 3e-3 if name.startswith("auc") else 1e-6
        assert statistic.at(weights.astype(float)) == pytest.approx([row[name] for row in expected], abs=tolerance), (
            name
        )


def test_linear_auc_spreads_like_the_exact_one():
    targets, probabilities = drawn(200, 4, 2)
    weights = uncertainty.bootstrap_weights(np.arange(200), 300, seed=0)
    repeated = [np.repeat(np.arange(200), row.astype(int)) for row in weights]
    for name, exact in (("auc_micro", c.auc_micro), ("auc_macro", c.auc_macro)):
        values = [exact(targets[rows], probabilities[rows]) for rows in repeated]
        linear = statistics(targets, probabilities)[name].at(weights)
        assert np.std(linear) == pytest.approx(np.std(values), rel=0.1)
        assert np.corrcoef(linear, values)[0, 1] > 0.98


def test_blocks_do_not_change_the_result(monkeypatch):
    targets, probabilities = drawn(40, 5, 1)
    weights = uncertainty.bootstrap_weights(np.arange(40), 10, seed=0)
    whole = {name: statistic.at(weights) for name, statistic in statistics(targets, probabilities).items()}
    monkeypatch.setattr(uncertainty, "BLOCK_NUMBERS", 60)
    monkeypatch.setattr("stages.evaluation.ranking.BLOCK_CELLS", 11)
    for name, statistic in statistics(targets, probabilities).items():
        assert statistic.at(weights) == pytest.approx(whole[name], rel=1e-9), name


def test_patients_are_drawn_whole():
    groups = np.array(["a", "b", "a", "c", "b"])
    weights = uncertainty.bootstrap_weights(groups, 50, seed=1)
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert np.array_equal(weights[:, 1], weights[:, 4])
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert len(np.unique(weights, axis=0)) > 5
    assert np.array_equal(weights, uncertainty.bootstrap_weights(groups, 50, seed=1))


def test_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    low, high = uncertainty.intervals({"x": uncertainty.document_mean(values)}, np.arange(400), 4000, seed=0)["x"]
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=half / 10)


def test_intervals_hold_the_estimate_and_stay_within_bounds():
    targets, probabilities = drawn(30, 4, 0.5)
    result = uncertainty.intervals(statistics(targets, probabilities), np.arange(30), 100, seed=0)
    for name, value in metrics(targets, probabilities).items():
        if name in result:
            low, high = result[name]
            assert 0 <= low <= value <= high <= 1, name
    assert uncertainty.intervals(statistics(targets, probabilities), np.arange(30), 0, seed=0) == {}


@pytest.mark.parametrize("documents", [1, 2])
@pytest.mark.parametrize("share", [0, 1])
def test_degenerate_input_is_defined(documents, share):
    targets = sp.csr_array(np.full((documents, 3), share))
    result = statistics(targets, np.full((documents, 3), 0.5, dtype=np.float32))
    intervals = uncertainty.intervals(result, np.arange(documents), 20, seed=0)
    assert np.isfinite(list(intervals.values())).all()


def test_better_predictions_differ_from_worse_ones():
    (targets, good), (_, bad) = drawn(150, 6, 0.5), drawn(150, 6, 2)
    expected = metrics(targets, good), metrics(targets, bad)
    result = uncertainty.compare([(statistics(targets, good), statistics(targets, bad))], np.arange(150), 200, seed=0)
    for name, row in result.items():
        assert row["difference"] == pytest.approx(expected[0][name] - expected[1][name], rel=1e-5, abs=1e-7)
    for name in ("f1_micro", "f1_macro", "auc_micro", "auc_macro", "mean_average_precision"):
        assert result[name]["interval"][0] > 0
        assert result[name]["p"] == pytest.approx(1 / 201)


def test_p_values_of_exchangeable_predictions_are_uniform():
    """Predictions that differ in their noise alone: the randomisation test finds p < 0.2 in a fifth of the cases."""
    small = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        targets = sp.csr_array((rng.random((30, 4)) < 0.3).astype(np.uint8))
        first, second = (rng.random((30, 4)) < 0.2 + 0.4 * targets.toarray() for _ in range(2))
        first_counts, second_counts = (
            {"f1_micro": uncertainty.f1_micro(targets, decisions)} for decisions in (first, second)
        )
        small.append(
            uncertainty.compare([(first_counts, second_counts)], np.arange(30), 99, seed)["f1_micro"]["p"] <= 0.2
        )
    assert 0.1 < np.mean(small) < 0.3
