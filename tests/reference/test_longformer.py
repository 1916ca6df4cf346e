"""The sliding window against the authors' converted encoders, and the position table's rows."""

import json

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, MegatronBertConfig, MegatronBertModel

from stages.encoder.architecture import Architecture
from stages.encoder.attention import position_source
from stages.encoder.encoder import adapt, token_states

CLASSES = {"bert": (BertConfig, BertModel), "megatron": (MegatronBertConfig, MegatronBertModel)}


def cases(reference) -> dict[str, tuple[dict, dict[str, np.ndarray]]]:
    result = {}
    for path in sorted((reference / "longformer").glob("*.json")):
        description = json.loads(path.read_text())
        if "arch" in description:
            result[path.stem] = (description, dict(np.load(path.with_suffix(".npz"))))
    assert result
    return result


def encoder(description: dict, case: dict[str, np.ndarray]):
    config_class, model_class = CLASSES[description["arch"]]
    described = {name: description[name] for name in ("layer_norm_eps", "hidden_act")}
    model = model_class(config_class(**description["config"], **described), add_pooling_layer=False).eval()
    prefix = "w.bert."
    weights = {name.removeprefix(prefix): torch.tensor(case[name]) for name in case if name.startswith(prefix)}
    model.load_state_dict({name: weight for name, weight in weights.items() if not name.startswith("pooler.")})
    return model


def sliding(description: dict) -> Architecture:
    window, positions = description["attention_window"], description["longformer_max_length"]
    return Architecture(encoder="LE", head="plain", padding="original", window=window, max_positions=positions)


def test_converted_encoder(reference, device):
    for name, (description, case) in cases(reference).items():
        model = adapt(encoder(description, case), sliding(description), name).to(device)
        ids, mask = (torch.tensor(case[part], device=device).long() for part in ("input_ids", "attention_mask"))
        with torch.no_grad():
            states = token_states(model, ids, mask).cpu()
        np.testing.assert_allclose(states, case["last_hidden_state"], rtol=0, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(states[:, 0], case["cls"], rtol=0, atol=1e-5, err_msg=name)


def test_attention_of_the_first_layer(reference):
    for name, (description, case) in cases(reference).items():
        attention = adapt(encoder(description, case), sliding(description), name).encoder.layer[0].attention.self
        visible = torch.tensor(case["attention_mask"]).bool()
        with torch.no_grad():
            context, _ = attention(torch.tensor(case["layer0_attention_input"]), visible[:, None, None])
        np.testing.assert_allclose(context, case["layer0_attention_context"], rtol=0, atol=1e-5, err_msg=name)
        assert not context[~visible].any()


def test_full_attention_is_that_of_the_unconverted_encoder(reference):
    n_compared = 0
    for name, (description, case) in cases(reference).items():
        if "out_before_conversion" not in case:
            continue
        n_compared += 1
        length = description["config"]["max_position_embeddings"]
        full = Architecture(encoder="CE", head="plain", padding="original", chunk_length=length, max_tokens=2 * length)
        model = adapt(encoder(description, case), full, name)
        with torch.no_grad():
            states = token_states(model, torch.tensor(case["input_ids"]).long(), torch.tensor(case["attention_mask"]))
        np.testing.assert_allclose(states, case["out_before_conversion"], rtol=0, atol=1e-5, err_msg=name)
    if not n_compared:
        pytest.skip("no case holds the unconverted encoder's output")


def test_position_rows(reference):
    table = np.load(reference / "longformer" / "position_row_source.npz")
    assert table.files
    for name in table.files:
        old_rows, max_positions = (int(part.lstrip("origln_")) for part in name.split("_"))
        expected = table[name]
        ours = position_source(old_rows, max_positions).numpy()
        assert len(ours) == len(expected) == max_positions + 2
        written = expected != -1
        np.testing.assert_array_equal(ours[written], expected[written], err_msg=name)
        assert (ours[~written] >= 1).all() and (ours[~written] <= old_rows - 2).all()
