"""Whole models against the authors': a small MegatronBert, four types, documents of one to many chunks."""

import json

import numpy as np
import pytest
import torch
from transformers import BertTokenizerFast, MegatronBertConfig, MegatronBertModel

from stages.encoder.architecture import Architecture
from stages.encoder.chunking import document_rows
from stages.encoder.tokenizer import special_ids
from stages.modeling.data import Batch
from stages.modeling.model import build_model, load_model, save_model

TYPES = {"ce50": ("CE", "plain"), "msam50": ("CE", "msam"), "le50": ("LE", "plain"), "lemsam50": ("LE", "msam")}


@pytest.fixture(scope="module")
def encoder_folder(reference, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    config = json.loads((reference / "end_to_end" / "encoder_config.json").read_text())
    model = MegatronBertModel(MegatronBertConfig(**config))
    weights = encoder_weights(reference)
    model.load_state_dict({name[5:]: weight for name, weight in weights.items() if name.startswith("bert.")})
    model.save_pretrained(folder)
    BertTokenizerFast.from_pretrained(reference / "end_to_end").save_pretrained(folder)
    return folder


def encoder_weights(reference) -> dict[str, torch.Tensor]:
    return {
        name: torch.tensor(weight) for name, weight in np.load(reference / "end_to_end/encoder_weights.npz").items()
    }


def of_prefix(weights, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): torch.as_tensor(weights[name]) for name in weights if name.startswith(prefix)}


@pytest.mark.parametrize("name", TYPES)
def test_logits(reference, encoder_folder, tmp_path, name):
    folder, (encoder, head) = reference / "end_to_end", TYPES[name]
    case = dict(np.load(folder / f"{name}.npz"))
    synonyms = json.loads((folder / "synonyms.json").read_text()) if head == "msam" else None
    documents = sorted({key.split("/")[0] for key in case if key.startswith("doc")})
    architecture = Architecture(
        encoder=encoder,
        head=head,
        padding="original",
        dropout=0.1,
        **{"chunk_length": 512, "max_tokens": 7142} if encoder == "CE" else {"window": 512, "max_positions": 8192},
    )
    codes = case[f"{documents[0]}/logits"].shape[1]
    model = build_model(encoder_folder, architecture, codes, synonyms)
    if head == "msam":
        np.testing.assert_allclose(model.head.Q, case["synonym_matrix"], rtol=0, atol=1e-5)
        np.testing.assert_allclose(model.head.Q.mean(1), case["code_vectors"], rtol=0, atol=1e-5)
        model.head.attention.load_state_dict(of_prefix(case, "w.attention."))
    elif encoder == "CE":
        model.head.output.load_state_dict(of_prefix(encoder_weights(reference), "classifier."))
    else:
        model.head.dense.load_state_dict(of_prefix(case, "w.clsHead.dense."))
        model.head.output.load_state_dict(of_prefix(case, "w.clsHead.out_proj."))
    save_model(model, tmp_path)
    model = load_model(tmp_path)

    special = special_ids(model.tokenizer)
    rows, masks, document = [], [], []
    for number, of in enumerate(documents):
        ids, mask = document_rows([special.cls, *case[f"{of}/word_ids"], special.sep], architecture, special)
        with torch.no_grad():
            alone = model(Batch(torch.tensor(ids), torch.tensor(mask), torch.zeros(len(ids), dtype=torch.long), 1))
        np.testing.assert_allclose(alone, case[f"{of}/logits"], rtol=0, atol=1e-5, err_msg=of)
        rows += list(torch.tensor(ids))
        masks += list(torch.tensor(mask))
        document += [number] * len(ids)
    with torch.no_grad():
        ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=special.pad)
        mask = torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)
        together = model(Batch(ids, mask, torch.tensor(document), len(documents)))
    expected = np.concatenate([case[f"{of}/logits"] for of in documents])
    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-5)
