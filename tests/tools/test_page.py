import pandas as pd

from tools.reporting.experiments import Experiment
from tools.reporting.page import findings, markdown, page, section_of
from tools.reporting.tables import Difference


def experiment(name, type_, f1, **plots):
    params = {"model.type": type_, "synonyms.M": 4, "synonyms.criterion": "MDP"}
    params |= {"data.format": "codiesp", "data.subset": "diagnoses", "data.raw_dir": "/codiesp"}
    metrics = {
        "classification.test.f1_micro": f1,
        "quantification.test.mlp.ae": 0.02,
        "quantification.test.clq.ae": 0.01,
    }
    return Experiment(name, params, metrics, plots)


def points(estimated):
    return pd.DataFrame({"method": ["mlp"] * 3, "true": [0.1, 0.2, 0.3], "estimated": estimated})


def test_one_experiment_is_enough():
    section = section_of([experiment("only", "CE", 0.6)])
    assert section.title == "CodiEsp diagnoses"
    assert section.introduction == "1 experiment: only."
    assert "60.0" in markdown([section])


def test_comparisons_and_what_could_not_be_compared_are_shown():
    runs = [experiment("a", "CE", 0.6), experiment("b", "CE_MSAM", 0.7)]
    difference = {"f1_micro": Difference(0.1, 0.05, 0.15, 0.001)}
    section = section_of(runs, [("MSAM", "CE_MSAM MDP 4", "CE", difference)], {"CE": {"f1_micro"}}, "No tests for LE.")
    text = markdown([section])
    assert "better +10.0 (+5.0 to +15.0)" in text
    assert "60.0†" in text
    assert section.introduction.endswith("No tests for LE.")


def test_plots_of_groups_show_the_joint_model():
    runs = [
        experiment("a", "CE", 0.7, prevalence=points([0.1] * 3)),
        experiment("b", "CE_CLQ", 0.6, prevalence=points([0.2] * 3)),
    ]
    figures = [figure for part in section_of(runs).parts for figure in part.figures]
    assert any("True and estimated prevalence: CE_CLQ" in figure for figure in figures)


def test_the_page_needs_nothing_else():
    section = section_of([experiment("<a>", "CE", 0.6), experiment("b", "CE_MSAM", 0.7)])
    text = page([section, section])
    assert text.startswith("<!DOCTYPE html>")
    assert "&lt;a&gt;" in text and "<a>:" not in text
    for outside in ("<script src", "<link", "src=", 'href="http'):
        assert outside not in text.replace("http://www.w3.org", "")
    assert text.count("<svg") == 2 * len([figure for part in section.parts for figure in part.figures])
    assert text.count('<a href="#s') == 2
    assert page([section, section]) == text


def test_what_was_found_is_said_in_sentences_and_never_overstated():
    shown = {"f1_micro": Difference(0.088, 0.07, 0.105, 0.0004)}
    chance = {"f1_micro": Difference(-0.004, -0.02, 0.01, 0.4)}
    worse = {"f1_micro": Difference(-0.198, -0.216, -0.18, 0.009)}
    pairs = [("M", "M 4", "M 2", chance), ("MSAM", "CE_MSAM", "CE", shown), ("M", "M 2", "M 1", chance)]
    assert findings([*pairs, ("sliding window", "LE", "CE", worse)]) == [
        "CE_MSAM is better than CE by 8.8 points of micro-F1 (95 % interval 7.0 to 10.5).",
        "LE is worse than CE by 19.8 points of micro-F1 (95 % interval 18.0 to 21.6).",
        "No difference is shown between M 4 and M 2, between M 2 and M 1.",
    ]


def test_all_codes_stand_in_a_folded_table():
    codes = pd.DataFrame({"code": ["<b>"], "kind": ["diagnosis"], "f1": [0.5], "auc": [float("nan")]})
    text = page([section_of([experiment("a", "CE", 0.6, codes=codes.assign(training_documents=3, documents=2))])])
    assert "All 1 codes, CE" in text
    assert "&lt;b&gt;" in text and "<b>" not in text
    assert text.count("<script>") == 1


def test_a_figure_has_its_interval_or_deviation_below_it():
    run = experiment("a", "CE", 0.6)
    run.metrics["classification.test.intervals.f1_micro"] = [0.55, 0.654]
    other = experiment("b", "CE", 0.7)
    run.params["train.seed"], other.params["train.seed"] = 1, 2
    alone, both = (page([section_of(runs)]) for runs in ([run], [run, other]))
    assert '60.0<br><small title="95 % interval over patients">55.0–65.4</small>' in alone
    assert "Small: 95 % interval" in alone
    assert '65.0<br><small title="standard deviation over seeds">± 7.1</small>' in both
