import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages import files, labelize, params, paths
from stages.errors import InputError

MODEL = params.parse(paths.PARAMS.read_text(encoding="utf-8"))["model"]


def architecture(kind: str, **changes: object) -> dict:
    return labelize.architecture(params.Model(**{**MODEL, "type": kind, **changes}), False, 4)


def test_one_hot():
    targets = labelize.one_hot([["486", "401.9"], [], ["486", "486"]], ["401.9", "412", "486"])
    assert targets.toarray().tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]
    assert targets.dtype == np.uint8
    assert labelize.one_hot([], ["401.9"]).shape == (0, 1)


def test_a_code_outside_the_label_set_is_named():
    with pytest.raises(InputError, match=r"code 999\.9 of a document"):
        labelize.one_hot([["999.9"]], ["401.9"])


def test_architecture_holds_what_the_type_reads_and_nothing_else():
    built = architecture("CE_MSAM")
    assert built["encoder"], built["head"] == ("CE", "msam")
    assert built["heads"] == 4
    assert built["window"] is None
    assert built["chunk_length"] == MODEL["chunk_length"]
    assert architecture("CE_MSAM_CLQ") == built
    assert architecture("CE_MSAM", window=128, max_positions=4096, dropout=0.3) == built
    plain = architecture("LE")
    assert (plain["heads"], plain["chunk_length"], plain["max_tokens"]) == (None, None, None)
    assert architecture("LE_CLQ", chunk_length=32) == plain
    assert architecture("CE") != architecture("LE")


@pytest.mark.parametrize(("kind", "phrases", "joint"), [("CE_MSAM_CLQ", 2, True), ("CE", 0, False)])
def test_main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, phrases: int, joint: bool):
    content = params.parse(paths.PARAMS.read_text(encoding="utf-8"))
    content["model"]["type"] = kind
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_text(json.dumps(content))
    files.write_json(paths.CODES, {"486": {}, "401.9": {}})
    files.write_json(paths.SELECTED, {"486": ["a", "b"], "401.9": ["c", "d"]})
    for part, code in zip(paths.PARTS, ("486", "401.9", "486"), strict=True):
        row = {"document_id": [part], "subject_id": ["1"], "text": ["x"], "codes": [[code]]}
        files.write_parquet(paths.split(part), pd.DataFrame(row))
    labelize.main()
    assert files.read_json(paths.LABEL_CODES) == ["401.9", "486"]
    assert files.read_csr(paths.targets("val")).toarray().tolist() == [[1, 0]]
    assert pd.read_parquet(paths.LABEL_DOCUMENTS)["part"].tolist() == list(paths.PARTS)
    assert {len(s) for s in files.read_json(paths.HEAD_SYNONYMS).values()} == ({phrases} if phrases else set())
    assert files.read_json(paths.JOINT) == {"joint": joint}
    files.write_json(paths.SELECTED, {"486": ["a", "b"]})
    with pytest.raises(InputError, match=r"lacks 1 codes, the first is 401\.9"):
        labelize.main()
    assert files.read_json(paths.LABEL_CODES) == ["401.9", "486"]
