from pathlib import Path

import pytest
import yaml

from stages.modeling.model_type import TYPES
from tools.reporting.experiments import Experiment, comparable, contrasts, corpora, flat, main_settings, settings_of

BASE = {
    "model.type": "CE_MSAM",
    "model.window": 64,
    "synonyms.M": 4,
    "synonyms.criterion": "MDP",
    "clq.lambda": 100.0,
    "train.epochs": 10,
    "train.seed": 42,
    "compute.threads": 2,
    "data.format": "mimic3",
    "data.subset": "top50",
    "data.raw_dir": "data/demo/mimic",
    "demo.admissions": 100,
}


def experiment(name="", f1=0.5, **changed):
    params = BASE | {key.replace("__", "."): value for key, value in changed.items()}
    return Experiment(name, params, {"classification.test.f1_micro": f1})


def test_flat():
    assert flat({"a": {"b": 1, "c": {"d": [2, 3]}}, "e": None}) == {"a.b": 1, "a.c.d": [2, 3], "e": None}


def test_seeds_make_one_row():
    [setting] = settings_of([experiment(f1=0.5), experiment(f1=0.7, train__seed=43)])
    assert setting.values("classification.test.f1_micro").tolist() == [0.5, 0.7]
    assert setting.label == "CE_MSAM MDP 4"


@pytest.mark.parametrize(
    ("type_", "key", "rows"),
    [
        ("CE_MSAM", "synonyms__M", 2),
        ("CE", "synonyms__M", 1),
        ("CE", "clq__lambda", 1),
        ("CE_CLQ", "clq__lambda", 2),
        ("CE", "model__window", 1),
        ("LE", "model__window", 2),
        ("CE", "compute__threads", 1),
        ("CE", "train__epochs", 2),
        ("CE", "compute__precision", 2),
        ("CE_CLQ", "compute__launch", 1),
        ("CE", "compute__processes", 1),
        ("CE_CLQ", "compute__processes", 2),
        ("CE", "model__dropout", 2),
        ("CE_MSAM", "model__dropout", 1),
        ("CE_MSAM", "model__initialisation", 2),
        ("CE", "model__initialisation", 1),
        ("CE", "train__output_learning_rate", 2),
        ("CE_MSAM", "train__output_learning_rate", 1),
        ("CE", "train__compile", 1),
        ("CE_MSAM", "synonyms__pools", 2),
        ("CE", "synonyms__pools", 1),
    ],
)
def test_only_what_matters_to_a_type_makes_rows(type_, key, rows):
    pair = [experiment(model__type=type_, f1=0.1), experiment(model__type=type_, f1=0.2, **{key: 1})]
    assert len(settings_of(pair)) == rows


def test_what_else_differs_is_named():
    settings = settings_of([experiment(), experiment(train__epochs=20, f1=0.6)])
    assert [setting.other for setting in settings] == ["train.epochs=10", "train.epochs=20"]
    assert settings[1].label == "CE_MSAM MDP 4 (train.epochs=20)"


def test_rows_are_in_the_order_of_the_paper():
    types = ["LE_MSAM", "CE_CLQ", "LE", "CE_MSAM", "CE"]
    ordered = settings_of([experiment(model__type=type_) for type_ in types])
    assert [setting.type for setting in ordered] == ["CE", "CE_MSAM", "CE_CLQ", "LE", "LE_MSAM"]


def test_corpora_do_not_mix():
    other = experiment("b", data__subset="full")
    groups = corpora([experiment("a"), other, experiment("same"), experiment("c", demo__admissions=200)])
    assert [[run.name for run in group] for group in groups] == [["a", "same"], ["b"], ["c"]]


def test_demo_parameters_do_not_matter_to_real_corpora():
    real = {"data__raw_dir": "/mimic"}
    assert len(corpora([experiment(**real), experiment(**real, demo__admissions=200, f1=0.6)])) == 1


def grid():
    types = ["CE", "CE_MSAM", "CE_MSAM_CLQ", "LE", "LE_MSAM"]
    rows = [experiment(model__type=type_) for type_ in types]
    rows += [experiment(synonyms__M=M) for M in (1, 2)]
    return settings_of(
        [*rows, experiment(synonyms__criterion="rand"), experiment(synonyms__criterion="rand", synonyms__M=2)]
    )


def test_the_main_comparison_is_at_the_synonyms_of_most_types():
    labels = [setting.label for setting in main_settings(grid())]
    assert labels == ["CE", "CE_MSAM MDP 4", "CE_MSAM_CLQ MDP 4", "LE", "LE_MSAM MDP 4"]


def test_a_type_that_was_run_with_other_synonyms_only_stays_in_the_main_comparison():
    settings = settings_of(
        [experiment(), experiment(model__type="CE_MSAM_CLQ"), experiment(model__type="LE_MSAM", synonyms__M=2)]
    )
    assert [setting.label for setting in main_settings(settings)] == [
        "CE_MSAM MDP 4",
        "CE_MSAM_CLQ MDP 4",
        "LE_MSAM MDP 2",
    ]


def test_contrasts_are_the_papers_questions():
    result = {(question, first.label, second.label) for question, first, second in contrasts(grid())}
    assert result == {
        ("MSAM", "CE_MSAM MDP 4", "CE"),
        ("MSAM", "LE_MSAM MDP 4", "LE"),
        ("CLQ", "CE_MSAM_CLQ MDP 4", "CE_MSAM MDP 4"),
        ("sliding window", "LE", "CE"),
        ("sliding window", "LE_MSAM MDP 4", "CE_MSAM MDP 4"),
        ("MDP", "CE_MSAM MDP 2", "CE_MSAM rand 2"),
        ("MDP", "CE_MSAM MDP 4", "CE_MSAM rand 4"),
        ("M", "CE_MSAM MDP 2", "CE_MSAM MDP 1"),
        ("M", "CE_MSAM MDP 4", "CE_MSAM MDP 2"),
        ("M", "CE_MSAM rand 4", "CE_MSAM rand 2"),
    }


def test_what_cannot_matter_makes_no_replicate():
    """One run counts, the last, so there is no deviation over seeds of one seed."""
    [setting] = settings_of([experiment("a"), experiment("b", clq__seed=1, evaluate__seed=1)])
    assert [run.name for run in setting.experiments] == ["b"]


@pytest.mark.parametrize("dropout", [None, 0.1])
def test_with_dropout_another_chunk_budget_is_another_setting(dropout):
    """Other masks are drawn, so other figures may come out; without, it is one run."""
    runs = [experiment(name, encoder__dropout=dropout, train__chunk_budget=n) for name, n in (("a", 64), ("b", 128))]
    assert len(settings_of(runs)) == 2


def test_labels_are_unique_and_pairs_have_equal_seeds():
    runs = [experiment("a"), experiment("b", train__novelty=1)]
    assert len({setting.label for setting in settings_of(runs)}) == 2
    first = settings_of([experiment("a", train__seed=1), experiment("b", train__seed=2)])[0]
    second = settings_of(
        [experiment("c", train__seed=2, model__type="CE"), experiment("d", train__seed=3, model__type="CE")]
    )[0]
    assert [[run.name for run in pair] for pair in comparable(first, second)] == [["b", "c"]]
    assert len(comparable(first, first)) == 2


ROOT = Path(__file__).parents[2]
PARAMS = flat(yaml.safe_load((ROOT / "params.yaml").read_text()))
BESIDE = ("baselines", "score_open", "explain")  # stages that no figure of the classifier comes from
# Where a file lies, how long or on how many threads something runs, and what is asked of the same predictions.
SAME_RUN = {
    *("data.evidence_dir", "data.published_dir", "data.notes_dir", "synonyms.solver", "synonyms.time_limit"),
    *("evaluate.bootstrap", "evaluate.seed", "selective.precision", "selective.recall"),
    *("compute.portable", "compute.threads", "train.compile"),
    *("data.min_documents", "encoder.revision", "train.chunk_budget"),  # a fixed list; built in; no dropout
}


def decides_figures(key):
    """Whether dvc.yaml says that a stage which the classifier's figures come from depends on a parameter."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    named = [name for stage, entry in stages.items() if stage not in BESIDE for name in entry.get("params", [])]
    return key.startswith("demo.") or any(key == name or key.startswith(f"{name}.") for name in named)


def another(value):
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return not value
    return value + 1 if isinstance(value, int | float) else value[:-1] or "other"


@pytest.mark.parametrize("key", sorted(PARAMS.keys() - {"model.type", "encoder.source"}))
def test_two_runs_that_differ_in_one_parameter_are_one_or_two_rows_whose_figures_can_differ(key):
    """Over all types of model: two rows, or two seeds of one, where DVC too sees a difference; else one run."""
    n_apart = 0
    for type_ in TYPES:
        params = PARAMS | {"model.type": type_}
        runs = [Experiment("a", params, {}), Experiment("b", params | {key: another(params[key])}, {})]
        rows = [setting for group in corpora(runs) for setting in settings_of(group)]
        n_runs = sum(len(setting.experiments) for setting in rows)
        if key.endswith(".seed") and not key.startswith(("data.", "demo.")):
            assert len(rows) == 1
        elif len(rows) == 2:
            labels = {(setting.label, setting.experiments[0].corpus) for setting in rows}
            assert len(labels) == n_runs == 2
        else:
            assert n_runs == 1
        n_apart += n_runs == 2
    assert bool(n_apart) == (decides_figures(key) and key not in SAME_RUN)
