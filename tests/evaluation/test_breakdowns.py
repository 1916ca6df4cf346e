import numpy as np
import pytest
import scipy.sparse as sp

from stages.evaluation import breakdowns
from stages.evaluation import classification as c
from stages.evaluation.scored import Resampling

CODES = ["36.15", "401.9", "427.31", "96.04"]
KINDS = {"36.15": "procedure", "401.9": "diagnosis", "427.31": "diagnosis", "96.04": "procedure"}
TRAINING = np.array([3, 700, 40, 11])
TARGETS = sp.csr_array(np.array([[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]]))
PROBABILITIES = np.array([[0.6, 0.9, 0.6, 0.1], [0.2, 0.7, 0.1, 0.4], [0.1, 0.8, 0.1, 0.3]], dtype=np.float32)


@pytest.fixture(scope="module")
def table():
    thresholds = np.array([0.5, 0.5, 0.5, 0.2], dtype=np.float32)
    return breakdowns.code_table(
        TARGETS, PROBABILITIES, CODES, KINDS, TRAINING, thresholds, 20, Resampling(np.arange(3), 200, 0)
    )


def test_bands_have_their_edges():
    masks = breakdowns.bands(np.array([0, 1, 10, 11, 50, 51, 100, 101, 500, 501, 40000]))
    assert {band: np.flatnonzero(mask).tolist() for band, mask in masks.items()} == {
        "0": [0],
        "1-10": [1, 2],
        "11-50": [3, 4],
        "51-100": [5, 6],
        "101-500": [7, 8],
        "501+": [9, 10],
    }
    assert list(breakdowns.bands(np.array([5, 7]))) == ["1-10"]


def test_code_table_by_hand(table):
    assert table.code.tolist() == CODES
    assert table.kind.tolist() == ["procedure", "diagnosis", "diagnosis", "procedure"]
    assert table.documents.tolist() == [1, 2, 0, 2]
    assert table.predicted.tolist() == [1, 3, 1, 0]
    assert table.f1.tolist() == pytest.approx([1, 4 / 5, 0, 0])
    assert ((table.f1_low <= table.f1) & (table.f1 <= table.f1_high)).all()
    assert table.f1_low.iloc[3] == table.f1_high.iloc[3] == 0  # never predicted, whichever patients are drawn
    assert table.f1_low.iloc[1] < table.f1_high.iloc[1]
    assert table.f1_at_threshold.tolist() == pytest.approx([1, 4 / 5, 0, 1])
    assert table.auc.tolist() == pytest.approx([1, 1 / 2, np.nan, 1], nan_ok=True)
    assert table.calibration_error.tolist() == pytest.approx([0.7 / 3, 1.2 / 3, 0.8 / 3, 1.4 / 3], rel=1e-6)


def test_band_table(table):
    resampling = Resampling(np.arange(3), 200, 0)
    rows = breakdowns.band_table(TARGETS, PROBABILITIES, table, resampling).set_index(["kind", "band"])
    assert list(rows.index) == [
        *(("all", band) for band in ("all", "1-10", "11-50", "501+")),
        *(("diagnosis", band) for band in ("all", "11-50", "501+")),
        *(("procedure", band) for band in ("all", "1-10", "11-50")),
    ]
    assert rows.codes.tolist() == [4, 1, 2, 1, 2, 1, 1, 2, 1, 1]
    overall = c.decision_metrics(TARGETS, PROBABILITIES > 0.5)
    for name in ("f1_micro", "f1_macro", "f1_macro_mullenbach"):
        assert rows.loc[("all", "all"), name] == pytest.approx(overall[name])
    assert rows.loc[("procedure", "all"), "f1_micro"] == pytest.approx(2 / (2 + 0 + 2))
    assert rows.loc[("diagnosis", "all"), "auc_macro"] == pytest.approx(1 / 2)
    assert np.isnan(rows.loc[("diagnosis", "11-50"), "auc_macro"])
    assert rows.loc[("procedure", "11-50"), "f1_macro_at_threshold"] == 1
    # the only procedure of that band is never predicted, whichever patients are drawn
    assert rows.loc[("procedure", "11-50"), ["f1_micro_low", "f1_micro_high"]].tolist() == [0, 0]
    assert rows.loc[("all", "all"), "f1_micro_low"] < overall["f1_micro"] < rows.loc[("all", "all"), "f1_micro_high"]
