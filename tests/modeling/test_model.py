import copy
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pad_sequence

from stages.common.io import InputError
from stages.encoder.architecture import Architecture
from stages.encoder.chunking import document_rows
from stages.encoder.tokenizer import special_ids
from stages.modeling import data, msam, side_by_side
from stages.modeling.clq import GroupSums, JointLoss
from stages.modeling.data import Batch, Documents
from stages.modeling.model import build_model, load_model, save_model
from stages.quantification.quantifiers import PrevalenceMLP

CODES = 5
SYNONYMS = [[f"w{code} w{code + 20}", f"w{code + 40}"] for code in range(CODES)]
CE = Architecture(encoder="CE", head="plain", padding="masked", dropout=0.1, chunk_length=12, max_tokens=70)
LE = Architecture(encoder="LE", head="plain", padding="masked", dropout=0.1, window=8, max_positions=64)
TYPES = {
    "CE": CE,
    "CE_MSAM": CE.model_copy(update={"head": "msam"}),
    "LE": LE,
    "LE_MSAM": LE.model_copy(update={"head": "msam"}),
}


def built(folder, architecture, seed=0):
    torch.manual_seed(seed)
    synonyms = SYNONYMS if architecture.head == "msam" else None
    return build_model(folder, architecture, CODES, synonyms).eval()


def text(words: int, seed: int = 0) -> list[int]:
    """[CLS], so many words of the tiny encoders' vocabulary, [SEP]."""
    drawn = torch.randint(5, 60, (words,), generator=torch.Generator().manual_seed(seed))
    return [2, *drawn.tolist(), 3]


def logits(model, documents, padding_behind=0):
    """The logits of documents in one batch, with so many columns of padding more than needed."""
    special = special_ids(model.tokenizer)
    rows, masks, document = [], [], []
    for number, tokens in enumerate(documents):
        ids, mask = document_rows(tokens, model.architecture, special)
        rows += list(torch.tensor(ids))
        masks += list(torch.tensor(mask))
        document += [number] * len(ids)
    ids = pad_sequence(rows, batch_first=True, padding_value=special.pad)
    mask = pad_sequence(masks, batch_first=True)
    room = min(padding_behind, model.encoder.config.max_position_embeddings - ids.shape[1])
    ids, mask = (torch.nn.functional.pad(ids, (0, room), value=special.pad), torch.nn.functional.pad(mask, (0, room)))
    with torch.no_grad():
        return model(Batch(ids, mask, torch.tensor(document), len(documents)))


@pytest.fixture(scope="module")
def models(megatron_folder, bert_folder):
    """Every type, upon either encoder and with either padding."""
    return {
        (name, kind, padding): built(folder, architecture.model_copy(update={"padding": padding}))
        for name, architecture in TYPES.items()
        for kind, folder in (("bert", bert_folder), ("megatron", megatron_folder))
        for padding in ("masked", "original")
    }


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.integers(0, 80), min_size=1, max_size=4), more=st.integers(0, 9), seed=st.integers(0, 99))
def test_neither_padding_nor_the_batch_changes_a_documents_logits(models, words, more, seed):
    documents = [text(count, seed + number) for number, count in enumerate(words)]
    for name, model in models.items():
        alone = torch.cat([logits(model, [document]) for document in documents])
        together = logits(model, documents, padding_behind=more)
        torch.testing.assert_close(together, alone, rtol=0, atol=1e-5, msg=str(name))


def test_groups_of_rows_change_neither_logits_nor_gradients(models, monkeypatch: pytest.MonkeyPatch):
    """Short rows that the encoder reads by themselves, whichever the type: a first-state encoder, a sliding window."""
    texts = [text(count, seed=count) for count in (50, 3, 21, 10)]
    offsets = np.cumsum([0, *map(len, texts)])
    for (name, kind, padding), model in models.items():
        if padding == "original":
            continue
        special = special_ids(model.tokenizer)
        documents = Documents("abcd", np.concatenate(texts), offsets, None, model.architecture, special)
        result = []
        for cost in (10**6, 1):
            monkeypatch.setattr(data, "GROUP_COST", cost)
            batch = documents.batch(range(4))
            assert bool(batch.groups) == (cost == 1)
            scored = model(batch)
            gradients = torch.autograd.grad(scored.square().sum(), [*model.parameters()], allow_unused=True)
            result.append([scored, *(gradient for gradient in gradients if gradient is not None)])
        for together, grouped in zip(*result, strict=True):
            largest = together.abs().max().item()
            torch.testing.assert_close(grouped, together, rtol=0, atol=1e-5 * max(1, largest), msg=f"{name} {kind}")


def test_parts_side_by_side_change_neither_logits_nor_gradients(models, monkeypatch: pytest.MonkeyPatch):
    """And the same bits come out each time."""
    monkeypatch.setattr(data, "GROUP_COST", 1)
    texts = [text(count, seed=count) for count in (50, 3, 21, 10)]
    offsets = np.cumsum([0, *map(len, texts)])
    calls, in_threads = [], side_by_side.in_threads
    monkeypatch.setattr(side_by_side, "in_threads", lambda *given: calls.append(len(given[1])) or in_threads(*given))
    for (name, kind, padding), model in models.items():
        special = special_ids(model.tokenizer)
        batch = Documents("abcd", np.concatenate(texts), offsets, None, model.architecture, special).batch(range(4))
        result = []
        for count in (1, 2, 2, 3):
            torch.set_num_threads(count)
            calls.clear()
            scored = model(batch)
            with torch.inference_mode():
                torch.testing.assert_close(model(batch), scored.detach(), rtol=0, atol=0)
            gradients = torch.autograd.grad(scored.square().sum(), [*model.parameters()], allow_unused=True)
            assert calls == ([] if count == 1 else [len(batch.parts(count))] * 2)
            result.append([scored, *(gradient for gradient in gradients if gradient is not None)])
        for alone, two, again, three in zip(*result, strict=True):
            assert torch.equal(two, again)
            for other in (two, three):
                atol = 1e-5 * max(1, alone.abs().max().item())
                torch.testing.assert_close(other, alone, rtol=0, atol=atol, msg=f"{name} {kind} {padding}")


def test_one_thread_where_parts_would_depend_on_each_other(models):
    torch.set_num_threads(3)
    cpu, model = torch.device("cpu"), copy.deepcopy(models["CE", "bert", "masked"])
    assert side_by_side.n_threads(model, cpu) == 3
    assert side_by_side.n_threads(model, torch.device("cuda")) == 1
    with torch.autocast("cpu", torch.bfloat16):
        assert side_by_side.n_threads(model, cpu) == 1
    model.train()  # the head has dropout
    assert side_by_side.n_threads(model, cpu) == 1
    model.eval()
    model.encoder.compile()
    assert side_by_side.n_threads(model, cpu) == 1


def test_an_error_in_a_thread_is_that_of_the_pass(models):
    torch.set_num_threads(2)
    special = special_ids(models["CE", "bert", "masked"].tokenizer)
    ids, mask = (torch.tensor(part) for part in document_rows(text(50), CE, special))
    ids[-1, 0] = 10**6
    with pytest.raises(IndexError):
        models["CE", "bert", "masked"](Batch(ids, mask, torch.zeros(len(ids), dtype=torch.long), 1))


@pytest.mark.parametrize("name", ["CE_MSAM", "LE_MSAM"])
def test_original_padding_takes_part_in_attention(models, name):
    documents = [text(5)]  # 7 tokens: a chunk of 12, a row of 8
    masked, original = (logits(models[name, "megatron", padding], documents) for padding in ("masked", "original"))
    assert (masked - original).abs().max() > 1e-3


def test_original_chunks_without_text_take_part_in_the_maximum(models):
    # 22 tokens, one more than the bucket of 21: the fifth chunk holds [SEP] alone.
    masked, original = (logits(models["CE", "megatron", padding], [text(20)]) for padding in ("masked", "original"))
    assert (original >= masked - 1e-6).all()
    assert (original > masked + 1e-3).any()


@pytest.mark.parametrize("name", ["CE", "LE"])
def test_padding_makes_no_difference_where_every_chunk_holds_text(models, name):
    masked, original = (logits(models[name, "bert", padding], [text(12)]) for padding in ("masked", "original"))
    torch.testing.assert_close(masked, original, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TYPES)
def test_every_weight_is_trained_and_the_synonym_vectors_are_not(megatron_folder, name):
    model = built(megatron_folder, TYPES[name]).train()
    special = special_ids(model.tokenizer)
    ids, mask = (torch.tensor(part) for part in document_rows(text(50), model.architecture, special))
    model(Batch(ids, mask, torch.zeros(len(ids), dtype=torch.long), 1)).sum().backward()
    for weight_name, weight in model.named_parameters():
        assert weight.grad is not None, weight_name
        # A key's bias shifts all scores of a query alike, which a softmax does not see.
        assert weight.grad.any() or weight_name.endswith("key.bias"), weight_name
    assert "head.Q" not in dict(model.named_parameters())


@pytest.mark.parametrize("padding", ["masked", "original"])
@pytest.mark.parametrize("name", TYPES)
def test_forward_and_backward_make_every_tensor_on_the_models_device(megatron_folder, monkeypatch, name, padding):
    """On the meta device, which knows shapes, no values, and lets no tensor of another device in."""
    monkeypatch.setitem(msam.BLOCK_SCORES, "meta", 2**9)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    model = built(megatron_folder, TYPES[name].model_copy(update={"padding": padding})).train().to("meta")
    ids = torch.empty(4, 12 if name.startswith("CE") else 32, dtype=torch.long, device="meta")
    document = torch.empty(4, dtype=torch.long, device="meta")
    loss = JointLoss(PrevalenceMLP(CODES, 4).to("meta"), GroupSums(9, CODES, 0), weight=1.0, delta=0.5)
    loss(model(Batch(ids, torch.ones_like(ids), document, 3)), torch.empty(3, CODES, device="meta")).sum().backward()
    with pytest.raises(RuntimeError, match="device"):
        model(Batch(ids, torch.ones(ids.shape, dtype=torch.long), document, 3))


@pytest.mark.parametrize("name", TYPES)
def test_written_and_read_again(megatron_folder, tmp_path, name):
    model = built(megatron_folder, TYPES[name].model_copy(update={"lowercase_documents": True}))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)  # as training would, of the encoder too
    save_model(model, tmp_path)
    before = torch.random.get_rng_state()
    again = load_model(tmp_path)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert again.architecture == model.architecture
    assert not again.training
    assert again.tokenizer.get_vocab() == model.tokenizer.get_vocab()
    documents = [text(50), text(3, seed=1)]
    assert torch.equal(logits(again, documents), logits(model, documents))


def test_equal_models_are_written_as_equal_bytes(megatron_folder, tmp_path):
    elsewhere = shutil.copytree(megatron_folder, tmp_path / "encoder elsewhere")
    for folder, source in (("first", megatron_folder), ("second", elsewhere)):
        (tmp_path / folder).mkdir()
        save_model(built(source, TYPES["LE_MSAM"]), tmp_path / folder)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} for folder in ("first", "second")
    )
    assert first == second
    assert not any(str(megatron_folder).encode() in content for content in first.values())


def test_a_model_without_its_files_is_refused(megatron_folder, tmp_path):
    with pytest.raises(InputError, match=r"architecture\.json does not exist"):
        load_model(tmp_path)
    save_model(built(megatron_folder, CE), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(InputError, match=r"model\.safetensors holds no model"):
        load_model(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"model\.safetensors does not exist"):
        load_model(tmp_path)


def test_the_plain_chunk_head_starts_from_the_pooler(bert_folder, tmp_path, caplog):
    weights = load_file(bert_folder / "model.safetensors")
    assert torch.equal(built(bert_folder, CE).head.dense.weight, weights["pooler.dense.weight"])
    folder = shutil.copytree(bert_folder, tmp_path / "encoder")
    kept = {name: weight for name, weight in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with caplog.at_level("INFO", "stages"):
        assert not torch.equal(built(folder, CE).head.dense.weight, weights["pooler.dense.weight"])
    assert "the encoder has no pooler" in caplog.text


def test_synonym_vectors(megatron_folder):
    model = built(megatron_folder, TYPES["CE_MSAM"])
    assert model.head.Q.shape == (CODES, 2, 16)
    ids = torch.tensor([model.tokenizer(SYNONYMS[3][1])["input_ids"]])
    with torch.no_grad():
        expected = model.encoder(ids, attention_mask=torch.ones(1, 1, 1, 3, dtype=torch.bool)).last_hidden_state[0, 0]
    torch.testing.assert_close(model.head.Q[3, 1], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "synonyms, wrong",
    [
        (None, "0 codes have none"),
        (SYNONYMS[:3], "3 codes have 2"),
        ([SYNONYMS[0][:1], *SYNONYMS[1:]], "5 codes have 1, 2"),
        ([[], *SYNONYMS[1:]], "5 codes have 0, 2"),
    ],
)
def test_codes_without_their_synonyms_are_refused(megatron_folder, synonyms, wrong):
    with pytest.raises(InputError, match=f"needs equally many for each of the 5 codes; {wrong}"):
        build_model(megatron_folder, TYPES["CE_MSAM"], CODES, synonyms)


def test_heads_that_do_not_divide_the_hidden_size_are_refused(megatron_folder):
    with pytest.raises(InputError, match=r"synonyms\.M: 3 does not divide 16"):
        build_model(megatron_folder, TYPES["CE_MSAM"], CODES, [[*phrases, "w1"] for phrases in SYNONYMS])


def test_the_seed_decides_the_new_weights(megatron_folder):
    first, same, other = (built(megatron_folder, TYPES["LE_MSAM"], seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.attention.W_Q.weight"], other["head.attention.W_Q.weight"])


@pytest.mark.skipif(torch.version.cuda is None, reason="needs torch's CUDA build")
def test_on_another_device_no_tensor_is_left_behind(models):
    """On a CUDA device that is made up, so that a tensor of the CPU among the model's is an error."""
    texts = [text(count, seed=count) for count in (50, 3, 21)]
    offsets = np.cumsum([0, *map(len, texts)])
    for model in models.values():
        special = special_ids(model.tokenizer)
        batch = Documents("abc", np.concatenate(texts), offsets, None, model.architecture, special).batch(range(3))
        with FakeTensorMode(), torch.no_grad():

            def moved(tensor):
                return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")

            weights = {name: moved(tensor) for name, tensor in model.state_dict(keep_vars=True).items()}
            weights |= {name: moved(tensor) for name, tensor in model.named_buffers()}
            ids, mask, document = map(moved, batch[:3])
            placed = batch._replace(input_ids=ids, attention_mask=mask, document=document)
            scored = torch.func.functional_call(model, weights, (placed,))
        assert scored.device.type == "cuda" and scored.shape == (3, CODES)
