import csv
from dataclasses import replace
from io import StringIO

import pandas as pd
import pytest
import yaml

from stages.common.io import InputError
from tools.reporting import literature, tables
from tools.reporting.experiments import Experiment, settings_of
from tools.reporting.literature import blocks_beside
from tools.reporting.metrics import METRICS
from tools.reporting.tables import Cell, Difference, Row, Table, main_table


def experiment(type_, f1, M=4, criterion="MDP", seed=1, raw_dir="/mimic", subset="top50", split="published", **metrics):
    params = {
        "model.type": type_,
        "synonyms.M": M,
        "synonyms.criterion": criterion,
        "train.seed": seed,
        "data.format": "mimic3",
        "data.subset": subset,
        "data.split": split,
        "data.raw_dir": raw_dir,
    }
    measured = {"classification.test.f1_micro": f1, "calibration.test.mece": 0.1 - f1 / 10}
    return Experiment(
        f"{type_}{seed}", params, measured | {key.replace("__", "."): value for key, value in metrics.items()}
    )


def cells(table, metric):
    """The markdown cells of a metric's column."""
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    column = next(i for i, title in enumerate(rows[0]) if title.split(" ↑")[0].split(" ↓")[0] == METRICS[metric].title)
    return [row[column] for row in rows[2:]]


def test_best_values_are_marked_in_the_right_direction():
    table = main_table(settings_of([experiment("CE", 0.6), experiment("CE_MSAM", 0.75), experiment("LE", 0.7)]))
    assert cells(table, "f1_micro")[:3] == ["60.0", "**75.0**", "70.0"]
    assert cells(table, "mece")[:3] == ["4.00", "**2.50**", "3.00"]


def test_equal_as_shown_is_equally_best():
    table = main_table(settings_of([experiment("CE", 0.60001), experiment("LE", 0.60002)]))
    assert cells(table, "f1_micro")[:2] == ["**60.0**", "**60.0**"]


def test_a_single_model_is_not_called_best():
    assert cells(main_table(settings_of([experiment("CE", 0.6)])), "f1_micro")[0] == "60.0"


def test_yardsticks_are_shown():
    known = {"baselines.test.tfidf.f1_micro": 0.9, "baselines.test.lookup.f1_micro": 0.3}
    first, second = experiment("CE", 0.6), experiment("LE", 0.5)
    first.metrics.update(known)
    table = main_table(settings_of([first, second]))
    assert cells(table, "f1_micro")[:4] == ["**60.0**", "50.0", "30.0", "90.0"]


def test_joint_models_show_their_own_quantifier():
    errors = {"quantification__test__mlp__ae": 0.02, "quantification__test__clq__ae": 0.01}
    table = main_table(settings_of([experiment("CE", 0.6, **errors), experiment("CE_CLQ", 0.6, **errors)]))
    assert cells(table, "ae")[:2] == ["2.00", "**1.00**"]


def test_ablation_has_every_synonym_setting_of_msam_models_only():
    runs = [experiment("CE", 0.5), experiment("CE_MSAM", 0.6, M=1), experiment("CE_MSAM", 0.7, criterion="rand")]
    table = tables.ablation_table(settings_of(runs))
    assert [row.labels for row in table.rows] == [("CE_MSAM", "rand", "4"), ("CE_MSAM", "MDP", "1")]


def test_tables_leave_out_what_was_not_measured():
    settings = settings_of([experiment("CE", 0.5, calibration__test__platt__mece=0.01), experiment("LE", 0.5)])
    assert [row.labels for row in tables.variant_table("calibration", settings).rows] == [
        ("CE", "none"),
        ("CE", "Platt, per code"),
        ("LE", "none"),
    ]
    assert tables.variant_table("quantification", settings).rows == ()
    assert tables.variant_table("thresholds", settings).metrics == ("f1_micro",)


def test_differences_in_words():
    pair = {"f1_micro": Difference(0.021, 0.01, 0.03, 0.0004), "mece": Difference(0.002, -0.001, 0.004, 0.2)}
    table = tables.difference_table([("MSAM", "CE_MSAM MDP 4", "CE", pair)])
    assert table.rows[0].labels == (
        "MSAM",
        "CE_MSAM MDP 4",
        "CE",
        "better +2.1 (+1.0 to +3.0), p < 0.001",
        "unclear +0.20 (-0.10 to +0.40), p 0.200",
    )
    rising_error = tables.difference_table([("CLQ", "a", "b", {"mece": Difference(0.01, 0.01, 0.02, 0.01)})])
    assert rising_error.rows[0].labels[-1].startswith("worse")


def explained(type_, f1=0.5, **more):
    """An experiment with two attributions, of which one is the random floor."""
    measured = {
        f"explanation__test__{part}__{method}__{name}": value / (1 + 9 * (method == "random"))
        for method in ("contribution", "random")
        for part, name, value in (
            ("plausibility", "f1", f1),
            ("plausibility", "auprc", 0.4),
            ("plausibility", "iou", 0.3),
            ("faithfulness", "comprehensiveness", 0.8),
            ("faithfulness", "sufficiency", 0.1),
        )
    }
    return experiment(type_, 0.6, **(measured | more))


def test_seeds_are_averaged_by_hand():
    table = main_table(settings_of([experiment("CE", 0.60), experiment("CE", 0.64, seed=2), experiment("LE", 0.5)]))
    assert cells(table, "f1_micro")[0] == "**62.0 ± 2.8**"  # 100 x 0.04 / sqrt 2
    assert "standard deviation over seeds" in table.legend()


def test_worse_than_the_best_is_marked():
    table = main_table(settings_of([experiment("CE", 0.6), experiment("LE", 0.7)]), worse={"CE": {"f1_micro"}})
    assert cells(table, "f1_micro")[:2] == ["60.0†", "**70.0**"]
    assert cells(table, "mece")[:2] == ["4.00", "**3.00**"]
    assert "†: worse than the best" in table.legend()


def test_published_rows_stand_beside_and_do_not_compete():
    text = main_table(settings_of([experiment("CE", 0.6), experiment("LE", 0.5)])).markdown()
    [msmn] = [line for line in text.splitlines() if line.startswith("| MSMN")]
    assert [cell.strip() for cell in msmn.split("|")][1:6] == ["MSMN", "published [1]", "92.8", "94.7", "68.3"]
    assert "**60.0**" in text and "**74.1**" not in text
    assert "[1] CoLa-ICD paper, table 7." in text
    assert "2024.eacl-long.137" in text


@pytest.mark.parametrize(
    ("subset", "convention", "best"), [("top50", "all", 0.741), ("full", "all", 0.621), ("clean", "present", 0.618)]
)
def test_published_figures_are_shares_and_no_row_is_empty(subset, convention, best):
    blocks = blocks_beside(experiment("CE", 0.6, subset=subset), convention)
    shares = [figures for block in blocks for _, figures in block.shares()]
    assert all(shares)
    assert max(figures["f1_micro"] for figures in shares) == pytest.approx(best)


def test_figures_of_another_corpus_split_or_convention_do_not_stand_beside():
    assert blocks_beside(experiment("CE", 0.6, subset="clean"), "all") == []
    assert blocks_beside(experiment("CE", 0.6, split="stratified"), "all") == []
    assert blocks_beside(experiment("CE", 0.6, raw_dir="data/demo/mimic"), "all") == []
    codiesp = {"data.format": "codiesp", "data.subset": "diagnoses", "data.split": "official"}
    blocks = blocks_beside(Experiment("x", codiesp, {}), "official")
    assert [model for block in blocks for model, _ in block.shares()] == ["Lopez-Garcia et al.", "IXA-AAA", "IAM"]
    assert all("Spanish texts" in block.source for block in blocks)
    demo = main_table(settings_of([experiment("CE", 0.6, raw_dir="data/demo/mimic")]))
    assert "synthetic" in demo.caption


def test_a_file_of_the_users_own_is_picked_up(tmp_path, monkeypatch):
    block = {"format": "mimic3", "subset": "top50", "split": "published", "convention": "all"}
    block |= {"source": "mine", "metrics": ["f1_micro"], "rows": {"CE": [70.1]}}
    monkeypatch.setattr(literature, "FOLDER", tmp_path)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump([block]))
    [result] = blocks_beside(experiment("CE", 0.6), "all")
    assert (list(result.shares()), result.source) == ([("CE", {"f1_micro": pytest.approx(0.701)})], "mine")
    for content, message in (
        ([block | {"metrics": ["f1"], "rows": {"CE": [1, 2]}}], "more or fewer"),
        ([block | {"metrics": ["f2"]}], "unknown metrics: f2"),
        ([block | {"rows": {"CE": [float("nan")]}}], "should be a finite number"),
        ("just words", "mine.yaml: : Input should be a valid list"),
    ):
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
        with pytest.raises(InputError, match=message):
            blocks_beside(experiment("CE", 0.6), "all")


def test_bands_have_their_interval_or_of_several_seeds_their_deviation():
    bands = pd.DataFrame({"kind": ["all"], "band": ["1-10"], "f1_micro": [0.5]})
    single = replace(experiment("CE", 0.6), plots={"bands": bands.assign(f1_micro_low=0.4, f1_micro_high=0.62)})
    two = replace(experiment("CE", 0.6, seed=2), plots={"bands": bands.assign(f1_micro=0.6)})
    [row] = [row for row in tables.band_table(settings_of([single])).rows if row.competes]
    assert row.cells["band_1-10"] == Cell(0.5, interval=(0.4, 0.62))
    [row] = [row for row in tables.band_table(settings_of([single, two])).rows if row.competes]
    assert row.cells["band_1-10"] == pytest.approx((0.55, 0.0707107, False, None))


def test_a_single_run_has_its_interval():
    measured = experiment("CE", 0.6, classification__test__intervals__f1_micro=[0.55, 0.654])
    assert main_table(settings_of([measured])).rows[0].cells["f1_micro"].interval == (0.55, 0.654)
    both = main_table(settings_of([measured, experiment("CE", 0.7, seed=2)]))
    assert both.rows[0].cells["f1_micro"].interval is None


def test_explanations_by_method_with_a_floor_that_does_not_compete():
    traps = {"explanation__test__traps__named": 1234, "explanation__test__traps__assigned": 5}
    table = tables.explanation_table(settings_of([explained("CE_MSAM", **traps), explained("LE_MSAM", f1=0.6)]))
    assert cells(table, "token_f1") == ["50.0", "5.0", "**60.0**", "6.0"]
    assert cells(table, "sufficiency") == ["**10.0**", "1.0", "**10.0**", "1.0"]
    assert "Of 1,234 codes that test documents name without having them" in table.caption
    assert "CE_MSAM assigns 5." in table.caption


def test_figures_on_texts_of_another_corpus_say_so():
    result = {"annotated_in": "MIMIC-III", "annotated_documents": 61, "masked_documents": 40}
    result = {f"explanation__test__{name}": value for name, value in result.items()}
    table = tables.explanation_table(settings_of([explained("CE_MSAM", **result)]))
    assert "61 annotated charts of MIMIC-III, texts of another corpus, and 40 masked documents." in table.caption


def test_published_plausibility_stands_beside_models_of_full_alone():
    for subset, n_published in (("full", 5), ("top50", 0)):
        table = tables.explanation_table(settings_of([explained("CE_MSAM", subset=subset)]))
        assert sum(row.labels[-1].startswith("published") for row in table.rows) == n_published
        assert ("explainable-medical-coding" in table.caption) == (n_published > 0)


def test_markdown_and_csv():
    rows = (Row(("a|b", "<x>"), {"ae": Cell(0.01234567, 0.001)}), Row(("a|b", "y"), {"ae": Cell(0.02)}))
    table = Table("t", "Title", "Caption.", ("one", "two"), ("ae",), rows)
    lines = [line for line in table.markdown().splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert "a\\|b" in lines[2] and "a\\|b" not in lines[3]  # a label that repeats stands once
    assert list(csv.reader(StringIO(table.csv()))) == [
        ["one", "two", "ae", "ae_deviation"],
        ["a|b", "<x>", "0.0123457", "0.001"],
        ["a|b", "y", "0.02", ""],
    ]
