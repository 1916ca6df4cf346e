"""Every family of encoders under every kind of model: what a document scores does not depend on what is beside it."""

import itertools

import numpy as np
import pytest
import torch

from stages.encoder.architecture import Architecture
from stages.encoder.tokenizer import special_ids
from stages.modeling.data import Documents
from stages.modeling.model import build_model, load_model, save_model

FAMILIES = ["bert", "megatron", "electra", "roberta", "xlm_roberta", "camembert", "longformer", "modernbert"]
CE = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=16, max_tokens=200)
LE = Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=96)
TYPES = {
    "CE": CE,
    "CE_MSAM": CE.model_copy(update={"head": "msam"}),
    "LE": LE,
    "LE_MSAM": LE.model_copy(update={"head": "msam"}),
}
SYNONYMS = [[f"w{i}", f"w{i} w{i + 9}"] for i in range(3)]
LENGTHS = (3, 40, 70)
TEXTS = [" ".join(f"w{n}" for n in np.random.default_rng(i).integers(0, 60, LENGTHS[i])) for i in range(len(LENGTHS))]


@pytest.mark.parametrize(("family", "kind"), list(itertools.product(FAMILIES, TYPES)))
def test_a_document_scores_the_same_alone_in_a_batch_and_after_loading(request, tmp_path, family, kind):
    folder = request.getfixturevalue(f"{family}_folder")
    torch.manual_seed(3)
    model = build_model(folder, TYPES[kind], 3, SYNONYMS if "MSAM" in kind else None).eval()
    ids = [np.array(model.tokenizer(text)["input_ids"], dtype=np.int32) for text in TEXTS]
    special = special_ids(model.tokenizer)
    offsets = np.cumsum([0, *map(len, ids)])
    documents = Documents(["a", "b", "c"], np.concatenate(ids), offsets, None, model.architecture, special)
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    with torch.no_grad():
        together = model(documents.batch([0, 1, 2]))
        assert together.isfinite().all()
        for row in range(3):
            torch.testing.assert_close(model(documents.batch([row]))[0], together[row], rtol=0, atol=1e-5)
        assert torch.equal(again(documents.batch([0, 1, 2])), together)
