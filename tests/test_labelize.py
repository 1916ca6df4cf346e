from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import labelize
from stages.common import io, paths
from stages.common.io import InputError
from stages.common.parts import PARTS
from tests.project import set_params


def test_one_hot():
    targets = labelize.one_hot([["486", "401.9"], [], ["486", "486"]], ["401.9", "412", "486"])
    assert targets.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert targets.dtype == np.uint8
    assert labelize.one_hot([], ["401.9"]).shape == (0, 1)


def test_a_code_outside_the_label_set_is_named():
    with pytest.raises(InputError, match=r"code 999\.9 of a document"):
        labelize.one_hot([["999.9"]], ["401.9"])


@pytest.mark.parametrize(("kind", "phrases", "joint"), [("CE_MSAM_CLQ", 2, True), ("CE", 0, False)])
def test_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, phrases: int, joint: bool):
    monkeypatch.chdir(tmp_path)
    set_params(model__type=kind, synonyms__M=2)
    io.write_json(paths.CODES, {"486": {}, "401.9": {}})
    io.write_json(paths.SELECTED, {"486": ["a", "b"], "401.9": ["c", "d"]})
    for part, code in zip(PARTS, ("486", "401.9", "486"), strict=True):
        row = {"document_id": [part], "subject_id": ["1"], "text": ["x"], "codes": [[code]]}
        io.write_parquet(paths.split(part), pd.DataFrame(row))
    labelize.main()
    assert io.read_json(paths.LABEL_CODES) == ["401.9", "486"]
    assert io.read_csr(paths.targets("val")).toarray().tolist() == [[1, 0]]
    assert pd.read_parquet(paths.LABEL_DOCUMENTS)["part"].tolist() == list(PARTS)
    assert {len(s) for s in io.read_json(paths.HEAD_SYNONYMS).values()} == ({phrases} if phrases else set())
    assert io.read_json(paths.JOINT) == {"joint": joint}
    io.write_json(paths.SELECTED, {"486": ["a", "b"]})
    with pytest.raises(InputError, match=r"lacks 1 codes, the first is 401\.9"):
        labelize.main()
    assert io.read_json(paths.LABEL_CODES) == ["401.9", "486"]


def test_synonyms_of_another_number_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    set_params()
    io.write_json(paths.CODES, {"486": {}})
    io.write_json(paths.SELECTED, {"486": ["a", "b"]})
    with pytest.raises(InputError, match=r"has 2 synonyms for 486, not synonyms\.M = 4"):
        labelize.main()
