"""The stages that collect, embed and select synonyms, one after the other, in a folder of their own."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file, save_file
from transformers import BertModel, BertTokenizerFast

from stages import collect_synonyms, embed_synonyms, select_synonyms
from stages.common import paths
from stages.common.io import InputError
from stages.synonyms import mdp
from tests.models import write_model
from tests.project import set_params

WORDS = ("acute", "chronic", "renal", "heart", "failure", "disease", "mild", "severe", "left", "right", "kidney",
         "pressure", "high")  # fmt: skip
CODES = {
    "401.9": {"kind": "diagnosis", "titles": ["Hypertension NOS", "Unspecified essential hypertension"]},
    "428.0": {"kind": "diagnosis", "titles": ["CHF NOS", "Congestive heart failure, unspecified"]},
    "584.9": {"kind": "diagnosis", "titles": ["Acute kidney failure NOS", "Acute kidney failure, unspecified"]},
    "99.99": {"kind": "procedure", "titles": []},
}
AUTHORED = {
    "401.9": ["high pressure", "severe high pressure", "high pressure disease", "mild high pressure",
              "chronic disease"],
    "428.0": ["heart failure", "left heart failure", "right heart failure", "chronic heart disease", "heart disease",
              "acute heart failure", "severe heart failure"],
    "584.9": ["acute renal failure", "kidney failure"],
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with what the stages before these would have left, and the parameters of the repository."""
    monkeypatch.chdir(tmp_path)
    paths.SPLITS.mkdir(parents=True)
    paths.CODES.write_text(json.dumps(CODES))
    (tmp_path / "data/pools").mkdir()
    authored = {code: {"synonyms": phrases, "mentions": ["x"]} for code, phrases in AUTHORED.items()}
    (tmp_path / "data/pools/authored.yaml").write_text(yaml.safe_dump(authored))
    write_model(paths.ENCODER, "Bert", vocabulary=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])
    set_params(compute__device="cpu")


def written() -> dict[str, bytes]:
    names = (paths.SELECTED, paths.SELECTED_TABLE, paths.SELECTION, paths.SYNONYM_STATISTICS)
    return {str(name): name.read_bytes() for name in names}


def test_from_pools_to_selected_synonyms(folder, caplog):
    caplog.set_level(logging.INFO, "stages")
    collect_synonyms.main()
    candidates = json.loads(paths.CANDIDATES.read_text())
    assert candidates["584.9"] == ["acute renal failure", "kidney failure", "acute kidney failure nos",
                                   "acute kidney failure unspecified"]  # fmt: skip
    assert candidates["99.99"] == []
    assert "1 codes have no candidate and get the phrase `unknown`: 99.99" in caplog.text
    assert json.loads(paths.POOL_STATISTICS.read_text())["authored"]["phrases"] == 14

    embed_synonyms.main()
    rows = [phrase for code in sorted(candidates) for phrase in candidates[code]]
    embeddings = load_file(paths.EMBEDDINGS)["embeddings"]
    assert embeddings.shape == (len(rows), 16)
    assert embeddings.dtype == np.float32
    encoder = BertModel.from_pretrained(paths.ENCODER).eval()
    tokenizer = BertTokenizerFast.from_pretrained(paths.ENCODER)
    for row in (0, 5, len(rows) - 1):
        with torch.no_grad():
            states = encoder(**tokenizer(rows[row], return_tensors="pt")).last_hidden_state
        np.testing.assert_allclose(embeddings[row], states[0, 0].numpy(), atol=1e-5)

    select_synonyms.main()
    selected = json.loads(paths.SELECTED.read_text())
    assert selected["99.99"] == ["unknown"] * 4
    assert sorted(selected["584.9"]) == sorted(candidates["584.9"])
    start = len(candidates["401.9"])
    distances = mdp.cosine_distances(embeddings[start : start + len(candidates["428.0"])])
    best = mdp.solve(distances, 4)
    assert selected["428.0"] == [candidates["428.0"][i] for i in best.chosen]
    statistics = json.loads(paths.SYNONYM_STATISTICS.read_text())
    assert statistics["share_proven"] == 1.0
    assert statistics["worst_gap"] == 0.0
    assert statistics["codes"] == 4
    assert statistics["codes_without_candidates"] == statistics["codes_with_fewer_than_M"] == 1
    mean = statistics["mean_diversity"]
    assert mean["chosen"] > mean["rand"] > 0
    assert f"428.0,{len(distances)},{best.objective:.6g}" in paths.SELECTION.read_text()
    assert f"| 428.0 | CHF NOS | {' · '.join(selected['428.0'])} |" in paths.SELECTED_TABLE.read_text()


def test_selection_is_the_same_for_one_thread_and_two_and_twice(folder):
    collect_synonyms.main()
    embed_synonyms.main()
    outputs = []
    for threads in (1, 2, 2):
        set_params(compute__threads=threads)
        select_synonyms.main()
        outputs.append(written())
    assert outputs[0] == outputs[1] == outputs[2]


def test_random_synonyms(folder):
    collect_synonyms.main()
    embed_synonyms.main()
    set_params(synonyms__M=6, synonyms__criterion="rand")
    select_synonyms.main()
    candidates, selected = json.loads(paths.CANDIDATES.read_text()), json.loads(paths.SELECTED.read_text())
    assert len(set(selected["428.0"])) == 6
    assert set(selected["428.0"]) <= set(candidates["428.0"])
    assert len(selected["584.9"]) == 6
    assert set(selected["584.9"]) <= set(candidates["584.9"])
    statistics = json.loads(paths.SYNONYM_STATISTICS.read_text())
    assert statistics["share_proven"] is None


@pytest.mark.parametrize(
    "pool,data,message",
    [
        ("icd10cm", {}, "icd10cm describes ICD-10-CM codes; the corpus is coded in ICD-9-CM"),
        (
            "wikipedia",
            {"data__format": "codiesp", "data__subset": "both", "data__split": "official"},
            "wikipedia describes ICD-9-CM codes",
        ),
    ],
)
def test_a_pool_of_another_revision_is_refused(folder, pool, data, message):
    set_params(synonyms__pools=[pool], **data)
    with pytest.raises(InputError, match=message):
        collect_synonyms.main()


def test_embeddings_of_other_candidates_are_refused(folder):
    collect_synonyms.main()
    embed_synonyms.main()
    candidates = json.loads(paths.CANDIDATES.read_text())
    paths.CANDIDATES.write_text(json.dumps({**candidates, "401.9": ["one phrase"]}))
    with pytest.raises(InputError, match="dvc repro"):
        select_synonyms.main()


def test_embeddings_that_are_not_finite_are_refused(folder):
    collect_synonyms.main()
    count = sum(map(len, json.loads(paths.CANDIDATES.read_text()).values()))
    save_file({"embeddings": np.full((count, 16), np.nan, dtype=np.float32)}, paths.EMBEDDINGS)
    with pytest.raises(InputError, match="not finite"):
        select_synonyms.main()


def test_no_candidates_at_all(folder):
    Path("pools").mkdir()
    Path("pools/authored.yaml").write_text("'999.9': {synonyms: [of another corpus]}\n")
    set_params(synonyms__pools=["authored"], synonyms__pool_dir="pools")
    for stage in (collect_synonyms, embed_synonyms, select_synonyms):
        stage.main()
    selected = json.loads(paths.SELECTED.read_text())
    assert selected == {code: ["unknown"] * 4 for code in CODES}
    assert json.loads(paths.SYNONYM_STATISTICS.read_text())["codes_without_candidates"] == 4
