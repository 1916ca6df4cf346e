import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModel, LongformerModel, MegatronBertConfig, MegatronBertForMaskedLM

from stages.common.io import InputError
from stages.encoder.architecture import Architecture
from stages.encoder.attention import only_first_state
from stages.encoder.encoder import bare_encoder, cls_embeddings, load_encoder, token_states
from stages.encoder.tokenizer import SpecialIds, load_tokenizer, special_ids

CE = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=16, max_tokens=64)
LE = Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=96)


AS_ROBERTA = ("roberta", "xlm-roberta", "camembert")
REPLACED = [
    "bert_folder",
    "megatron_folder",
    "electra_folder",
    "roberta_folder",
    "xlm_roberta_folder",
    "camembert_folder",
]


@pytest.fixture(params=REPLACED)
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def copied(megatron_folder, tmp_path):
    """A MegatronBert that a test may damage."""
    return shutil.copytree(megatron_folder, tmp_path / "encoder")


def tokens(rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.randint(5, 60, (rows, length), generator=torch.Generator().manual_seed(0))
    return ids, torch.arange(length) < torch.tensor([length] + [length // 2] * (rows - 1))[:, None]


def states(encoder, ids, mask):
    with torch.no_grad():
        return token_states(encoder, ids, mask)


def test_attention_put_in_is_the_encoders_own(folder):
    encoder, pooler = load_encoder(folder, CE)
    original = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    ids, mask = tokens(3, 16)
    with torch.no_grad():
        expected = original(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(states(encoder, ids, mask)[mask], expected[mask], rtol=0, atol=1e-5)
    if pooler is None:
        assert getattr(original, "pooler", None) is None
    else:
        assert torch.equal(pooler.weight, original.pooler.dense.weight)
    assert set(encoder.state_dict()) == {name for name in original.state_dict() if not name.startswith("pooler.")}


def banded(model, ids: torch.Tensor, mask: torch.Tensor, reach: int) -> torch.Tensor:
    """transformers' own eager attention under a dense band."""
    place = torch.arange(ids.shape[1])
    band = (place[:, None] - place).abs() <= reach
    seen = (band & mask[:, None, :]) | torch.eye(len(place), dtype=torch.bool)
    additive = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)[:, None]
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=additive).last_hidden_state


def test_the_sliding_window_is_a_dense_band(folder):
    """At the encoder's own length, so that its position table stays; of one layer's reach, real tokens alone."""
    narrow = Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=32)
    encoder, _ = load_encoder(folder, narrow)
    original = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    ids, mask = tokens(2, 32)
    expected = banded(original, ids, mask, 4)
    torch.testing.assert_close(states(encoder, ids, mask)[mask], expected[mask], rtol=0, atol=1e-5)


def test_modernbert_is_transformers_own(modernbert_folder):
    original = AutoModel.from_pretrained(modernbert_folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids, mask = tokens(2, 60)
    with torch.no_grad():
        expected = original(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    long = Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=128)
    for architecture in (CE, long):
        encoder, pooler = load_encoder(modernbert_folder, architecture)
        assert pooler is None
        torch.testing.assert_close(states(encoder, ids, mask)[mask], expected[mask], rtol=0, atol=1e-5)
        only_first_state(encoder)
        assert states(encoder, ids, mask).shape == expected.shape
    with pytest.raises(InputError, match="reads 128 tokens by itself"):
        load_encoder(
            modernbert_folder,
            Architecture(encoder="LE", head="plain", padding="masked", window=8, max_positions=256),
        )


@pytest.mark.parametrize(("architecture", "length"), [(CE, 16), (LE, 60)])
def test_a_longformer_reads_as_transformers_without_global_attention(
    longformer_source, longformer_folder, architecture, length
):
    original = LongformerModel.from_pretrained(longformer_source, dtype=torch.float32).eval()
    ids, mask = tokens(2, length)
    with torch.no_grad():
        expected = original(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    encoder, _ = load_encoder(longformer_folder, architecture)
    torch.testing.assert_close(states(encoder, ids, mask)[mask], expected[mask], rtol=0, atol=1e-5)


def test_a_longformer_s_positions_are_not_repeated(longformer_folder, caplog):
    with pytest.raises(InputError, match="reads 128 tokens by itself, and its positions are not repeated"):
        load_encoder(longformer_folder, LE.model_copy(update={"max_positions": 200}))
    load_encoder(longformer_folder, LE.model_copy(update={"window": 16}))
    assert "was trained with a window of 8, model.window is 16" in caplog.text


@pytest.mark.parametrize("architecture", [CE, LE])
def test_dropout_is_the_configuration_s_or_the_architecture_s(folder, architecture, tmp_path):
    """In training alone, and as well in a model that is built without its weights."""
    copy = tmp_path / "with dropout"
    shutil.copytree(folder, copy)
    config = AutoConfig.from_pretrained(copy)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.5
    config.save_pretrained(copy)
    ids, mask = tokens(2, 16)
    for named, differs in ((None, True), (0.0, False), (0.3, True)):
        asked = architecture.model_copy(update={"encoder_dropout": named})
        for encoder in (load_encoder(copy, asked)[0], bare_encoder(copy, asked)):
            assert torch.equal(states(encoder.eval(), ids, mask), states(encoder, ids, mask))
            encoder.train()
            first, second = (token_states(encoder, ids, mask) for _ in range(2))
            assert torch.equal(first, second) != differs
            assert encoder.config.hidden_dropout_prob == (0.5 if named is None else named)


@pytest.mark.parametrize(("architecture", "length"), [(CE, 16), (LE, 40)])
def test_the_first_state_alone_is_the_first_of_all(folder, architecture, length):
    """The same state, and the same gradients of all weights."""
    ids, mask = tokens(3, length)

    def first(encoder):
        state = token_states(encoder, ids, mask)[:, 0]
        state.square().sum().backward()
        return state.detach(), {name: weight.grad for name, weight in encoder.named_parameters()}

    whole, _ = load_encoder(folder, architecture)
    trimmed, _ = load_encoder(folder, architecture)
    only_first_state(trimmed)
    assert states(trimmed, ids, mask).shape == (3, 1, trimmed.config.hidden_size)
    (expected, expected_gradients), (result, found_gradients) = first(whole), first(trimmed)
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-5)
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(found_gradients[name], gradient, rtol=1e-3, atol=1e-4)


def test_long_text_reads_the_repeated_position_rows(folder):
    encoder, _ = load_encoder(folder, LE)
    table = encoder.embeddings.position_embeddings.weight
    assert len(table) == encoder.config.max_position_embeddings == 98
    if encoder.config.model_type in AS_ROBERTA:  # 32 rows from row 2 on
        assert torch.equal(table[34:66], table[2:34])
    else:
        assert torch.equal(table[31:61], table[1:31])
    ids, mask = tokens(2, 96)
    assert states(encoder, ids, mask).isfinite().all()


def test_weights_of_a_pretraining_model_in_shards_are_read(copied, megatron_folder):
    config = MegatronBertConfig.from_pretrained(megatron_folder)
    model = MegatronBertForMaskedLM(config)
    whole, _ = load_encoder(megatron_folder, CE)
    model.bert.load_state_dict(whole.state_dict())
    (copied / "model.safetensors").unlink()
    model.save_pretrained(copied, max_shard_size="5KB")
    assert len(list(copied.glob("model-*.safetensors"))) > 1
    encoder, pooler = load_encoder(copied, CE)
    assert pooler is None
    for name, weight in whole.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], weight), name


def test_an_encoder_with_missing_weights_is_refused(copied):
    weights = load_file(copied / "model.safetensors")
    del weights["encoder.layer.1.attention.self.key.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"lacks 1 of its weights, such as encoder\.layer\.1\.attention\.self\.key"):
        load_encoder(copied, CE)


def test_a_damaged_weights_file_is_refused(copied):
    (copied / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(InputError, match="the encoder's weights cannot be read"):
        load_encoder(copied, CE)


def test_pickled_weights_are_refused(copied):
    torch.save(load_file(copied / "model.safetensors"), copied / "pytorch_model.bin")
    (copied / "model.safetensors").unlink()
    with pytest.raises(InputError, match="the encoder's weights cannot be read"):
        load_encoder(copied, CE)


def test_chunks_longer_than_the_positions_are_refused(folder):
    long = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=64, max_tokens=256)
    with pytest.raises(InputError, match="the encoder has 32 positions, too few for chunks of 64 tokens"):
        load_encoder(folder, long)


@pytest.mark.parametrize(
    ("name", "special"), [("bert", SpecialIds(2, 3, 0, unknown=1)), ("roberta", SpecialIds(0, 2, 1, unknown=3))]
)
def test_special_ids_are_the_tokenizers_own(request, name, special):
    tokenizer = load_tokenizer(request.getfixturevalue(f"{name}_folder"))
    assert special_ids(tokenizer) == special
    assert tokenizer("w0 w1")["input_ids"] == [special.cls, 5, 6, special.sep]


def test_casing(folder):
    fever = {word: load_tokenizer(folder).convert_tokens_to_ids(word) for word in ("Fever", "fever")}
    assert load_tokenizer(folder)("Fever")["input_ids"][1] == fever["fever"]
    assert load_tokenizer(folder, lowercase=True)("Fever")["input_ids"][1] == fever["fever"]
    assert load_tokenizer(folder, lowercase=False)("Fever")["input_ids"][1] == fever["Fever"]


@pytest.mark.parametrize("architecture", [CE, LE], ids=["CE", "LE"])
def test_cls_embeddings_do_not_depend_on_what_else_is_embedded(folder, architecture):
    encoder, _ = load_encoder(folder, architecture)
    encoder.train()
    tokenizer = load_tokenizer(folder)
    phrases = ["w1 w2 w3 w4 w5", "w6", "w7 w8", "Fever w1", *(f"w{number}" for number in range(60))]
    together = cls_embeddings(encoder, tokenizer, phrases)
    assert encoder.training
    encoder.eval()
    for phrase, embedding in list(zip(phrases, together, strict=True))[:4]:
        ids = torch.tensor([tokenizer(phrase)["input_ids"]])
        expected = states(encoder, ids, torch.ones_like(ids))[0, 0]
        torch.testing.assert_close(embedding, expected, rtol=0, atol=1e-5)


def test_a_phrase_longer_than_the_positions_is_cut_and_closed(folder):
    encoder, _ = load_encoder(folder, CE)
    tokenizer = load_tokenizer(folder)
    long = " ".join(f"w{number % 60}" for number in range(80))
    ids = tokenizer(long)["input_ids"]
    expected = states(encoder, torch.tensor([[*ids[:31], ids[-1]]]), torch.ones(1, 32))[0, 0]
    torch.testing.assert_close(cls_embeddings(encoder, tokenizer, [long])[0], expected, rtol=0, atol=1e-5)
