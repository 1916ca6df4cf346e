"""The stage prepare_encoder: the built-in encoder, folders and hub models as they are stored, and what is refused."""

import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import ByteLevelBPETokenizer, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    AutoModel,
    AutoTokenizer,
    MegatronBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from stages import prepare_encoder
from stages.common import io, paths
from stages.common.io import InputError
from stages.encoder import pretrained
from stages.encoder.architecture import Architecture
from stages.encoder.builtin import Recipe
from stages.encoder.encoder import load_encoder
from stages.encoder.tokenizer import load_tokenizer
from tests.models import write_model
from tests.project import ROOT, set_params

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "cough", "##s", "and", "no", ","]
SPECIAL = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
TEXTS = ["fever and cough", "coughs, no fever"] * 5
CE = Architecture(encoder="CE", head="plain", padding="masked", chunk_length=16, max_tokens=64)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A folder with params.yaml as the present directory; returns the function that sets `encoder.*` there."""
    monkeypatch.chdir(tmp_path)
    tiny = {"layers": 1, "hidden": 16, "heads": 2, "vocabulary": 300, "positions": 64, "batch_size": 4}
    monkeypatch.setattr(prepare_encoder, "Recipe", partial(Recipe, **tiny))
    set_params(compute__threads=1, encoder__steps=3)
    io.write_parquet(paths.split("train"), pd.DataFrame({"text": TEXTS}))
    io.write_json(paths.CANDIDATES, {"486": ["cough", "fevers"], "780.6": ["fever", "coughs"]})
    return lambda **changes: set_params(**{f"encoder__{key}": value for key, value in changes.items()})


@pytest.fixture(scope="module")
def megatron(tmp_path_factory) -> Path:
    """A small MegatronBert with its tokenizer, in safetensors form."""
    folder = tmp_path_factory.mktemp("megatron")
    return write_model(folder, "MegatronBert", vocabulary=WORDS, max_position_embeddings=64)


def as_pickle(folder: Path) -> None:
    """Store the weights in PyTorch's own form, as older models on the hub are."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def as_shards(folder: Path) -> None:
    """Store the weights in several safetensors files with an index."""
    model = MegatronBertModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="5KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1


FORMS = {"safetensors": lambda folder: None, "shards": as_shards, "pickle": as_pickle}


@pytest.fixture
def stored(request, megatron, tmp_path) -> Path:
    """The small MegatronBert in one of the forms in which models are stored."""
    folder = tmp_path / "stored"
    shutil.copytree(megatron, folder)
    FORMS[request.param](folder)
    return folder


def hub_cache(model: Path, cache: Path, name: str) -> None:
    """Lay out a model as the hub's cache holds it: refs/main, snapshots/COMMIT."""
    home = cache / f"models--{name.replace('/', '--')}"
    shutil.copytree(model, home / "snapshots" / COMMIT)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)


def the_same_as(megatron: Path) -> bool:
    """Whether models/encoder holds the weights of `megatron`."""
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (paths.ENCODER, megatron))
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("stored", FORMS, indirect=True)
def test_a_folder_in_any_form(workspace, stored, megatron):
    workspace(source=str(stored))
    prepare_encoder.main()
    names = {path.name for path in paths.ENCODER.iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert the_same_as(megatron)
    encoder, pooler = load_encoder(paths.ENCODER, CE)
    assert pooler is not None
    assert encoder.config.model_type == "megatron-bert"
    tokenizer = AutoTokenizer.from_pretrained(paths.ENCODER, local_files_only=True)
    assert tokenizer("Fevers")["input_ids"] == [2, 5, 7, 3]


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_weights_become_float32(workspace, megatron, tmp_path, half):
    folder = tmp_path / "half"
    shutil.copytree(megatron, folder)
    MegatronBertModel.from_pretrained(folder).to(half).save_pretrained(folder)
    halves = load_file(folder / "model.safetensors")
    assert {weight.dtype for weight in halves.values()} == {half}
    workspace(source=str(folder))
    prepare_encoder.main()
    kept = load_file(paths.ENCODER / "model.safetensors")
    assert all(kept[name].dtype == torch.float32 and torch.equal(kept[name], halves[name].float()) for name in halves)
    encoder, _ = load_encoder(paths.ENCODER, CE)
    assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}


def test_a_vocabulary_alone_makes_berts_tokenizer(workspace, megatron, tmp_path):
    """vocab.txt gives the ids that tokenizer.json gives."""
    folder = tmp_path / "old"
    shutil.copytree(megatron, folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in WORDS))
    workspace(source=str(folder), lowercase_documents=None)
    prepare_encoder.main()
    kept = AutoTokenizer.from_pretrained(paths.ENCODER, local_files_only=True)
    assert kept(TEXTS)["input_ids"] == AutoTokenizer.from_pretrained(megatron)(TEXTS)["input_ids"]


def test_vocabulary_and_merges_alone_make_robertas_tokenizer(workspace, tmp_path):
    """Byte-level pairs, <s> and </s> around, and a casing that cannot be set."""
    folder = tmp_path / "old"
    folder.mkdir()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pairs = ByteLevelBPETokenizer()
    pairs.train_from_iterator(TEXTS, vocab_size=280, special_tokens=special, show_progress=False)
    pairs.save_model(str(folder))
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = RobertaConfig(vocab_size=pairs.get_vocab_size(), max_position_embeddings=66, type_vocab_size=1, **sizes)
    RobertaModel(config).save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == {"vocab.json", "merges.txt", "config.json", "model.safetensors"}
    workspace(source=str(folder), lowercase_documents=None)
    prepare_encoder.main()
    kept = AutoTokenizer.from_pretrained(paths.ENCODER, local_files_only=True)
    for text in TEXTS:
        assert kept(text)["input_ids"] == [0, *pairs.encode(text).ids, 2]
    workspace(source=str(folder), lowercase_documents=True)
    with pytest.raises(InputError, match=r"casing of this tokenizer cannot be set"):
        prepare_encoder.main()


@pytest.mark.parametrize(("stored", "revision"), [("safetensors", None), ("shards", COMMIT)], indirect=["stored"])
@pytest.mark.slow
def test_a_model_of_the_hub(workspace, stored, megatron, tmp_path, revision):
    hub_cache(stored, tmp_path / "hub", "someone/small-megatron")
    workspace(source="someone/small-megatron", revision=revision)
    result = run_offline(tmp_path / "hub")
    assert result.returncode == 0, result.stderr
    assert the_same_as(megatron)
    assert (f"using the newest commit of someone/small-megatron, {COMMIT}" in result.stderr) == (revision is None)


def run_offline(cache: Path) -> subprocess.CompletedProcess:
    """Run the stage as a command, with `cache` as the hub's and no network."""
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.prepare_encoder"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_an_unknown_model_is_one_line(workspace, tmp_path):
    workspace(source="nobody/nothing", revision=COMMIT)
    result = run_offline(tmp_path / "hub")
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("prepare_encoder: encoder.source: nobody/nothing cannot be loaded (")
    assert "check the name, encoder.revision and the network" in result.stderr
    assert not paths.ENCODER.exists()


def test_bytes_do_not_tell_where_an_encoder_came_from(workspace, megatron, tmp_path):
    contents = []
    for name in ("here", "there"):
        shutil.copytree(megatron, tmp_path / name)
        workspace(source=str(tmp_path / name))
        prepare_encoder.main()
        contents.append({path.name: path.read_bytes() for path in paths.ENCODER.iterdir()})
    assert contents[0] == contents[1]
    assert all(str(tmp_path).encode() not in content for content in contents[0].values())


def test_an_encoder_without_pooler(workspace, megatron, tmp_path, caplog):
    shutil.copytree(megatron, tmp_path / "bare")
    MegatronBertModel.from_pretrained(megatron, add_pooling_layer=False).save_pretrained(tmp_path / "bare")
    workspace(source=str(tmp_path / "bare"))
    prepare_encoder.main()
    assert "has no pooler" in caplog.text
    assert not any(name.startswith("pooler") for name in load_file(paths.ENCODER / "model.safetensors"))
    assert load_encoder(paths.ENCODER, CE)[1] is None


class Trap:
    """Unpickled, it would write a file."""

    def __reduce__(self):
        return Path.touch, (Path("trapped"),)


def config(**changes):
    """Change config.json; a key with None goes."""

    def damage(folder: Path) -> None:
        content = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps({k: v for k, v in content.items() if v is not None}))

    return damage


def more_weights(name: str):
    def damage(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors") | {name: torch.zeros(3, 8)}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])


def harmful_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with (folder / "pytorch_model.bin").open("wb") as file:
        pickle.dump({"embeddings": Trap()}, file)


def no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def vocabulary_alone(content: str):
    def damage(folder: Path) -> None:
        no_tokenizer(folder)
        (folder / "vocab.txt").write_text(content)

    return damage


def no_padding(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)


def no_post_processor(folder: Path) -> None:
    no_tokenizer(folder)
    bare = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    bare.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=bare, **SPECIAL).save_pretrained(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (config(model_type=None), "Unrecognized model in"),
        (config(position_embedding_type="relative_key_query"), "its position_embedding_type is relative_key_query"),
        (config(num_hidden_layers=3), r"lacks 16 of its encoder's weights, such as encoder\.layer\.2\."),
        (config(hidden_size=32), "cannot be loaded"),
        (
            config(model_type="gpt2"),
            "is a gpt2; it must be one of bert, megatron-bert, electra, roberta, xlm-roberta, ",
        ),
        (config(model_type="big_bird"), r"is a big_bird \(its attention takes random and global blocks"),
        (cut_weights, "cannot be loaded"),
        (harmful_pickle, "cannot be loaded"),
        (more_weights("encoder.layer.0.attention.self.distance_embedding.weight"), "1 weights in its layers that a"),
        (more_weights("encoder.layers.0.attn.Wqkv.weight"), "another kind of model; set model_type to modernbert in"),
        (no_tokenizer, "has no tokenizer"),
        (no_padding, r"has no \[PAD\] token"),
        (no_post_processor, r"does not put \[CLS\] before and \[SEP\] after a text"),
        (vocabulary_alone("\ufeff" + "\n".join(WORDS) + "\n"), "has 12 tokens, the encoder only 11"),
        (vocabulary_alone("\n".join(WORDS) + "\n\n"), "has 12 tokens, the encoder only 11"),
    ],
)
def test_what_is_refused(workspace, megatron, tmp_path, damage, message):
    paths.ENCODER.mkdir(parents=True)
    (paths.ENCODER / "earlier").touch()
    shutil.copytree(megatron, tmp_path / "source")
    damage(tmp_path / "source")
    workspace(source=str(tmp_path / "source"))
    with pytest.raises(InputError, match=message) as caught:
        prepare_encoder.main()
    assert str(caught.value).startswith(f"encoder.source: {tmp_path / 'source'}")
    assert "\n" not in str(caught.value)
    assert [path.name for path in paths.ENCODER.iterdir()] == ["earlier"]
    assert not Path("trapped").exists()


def test_a_folder_needs_no_network(workspace, megatron, monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    workspace(source=str(megatron))
    prepare_encoder.main()
    assert the_same_as(megatron)


def test_a_full_disk_is_not_the_users_mistake(workspace, megatron, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pretrained.AutoConfig, "from_pretrained", full)
    workspace(source=str(megatron))
    with pytest.raises(OSError, match="No space left"):
        prepare_encoder.main()


def test_the_builtin_encoder(workspace):
    texts = ["Admitted with fever and cough.", "Pneumonia ruled out; fever settled."] * 5
    io.write_parquet(paths.split("train"), pd.DataFrame({"text": texts}))
    io.write_json(paths.CANDIDATES, {"486": ["pneumonia", "lung infection"], "780.6": ["fever", "pyrexia"]})
    prepare_encoder.main()
    encoder = AutoModel.from_pretrained(paths.ENCODER, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(paths.ENCODER, local_files_only=True)
    assert encoder.config.hidden_size == 16
    assert {"pyrexia", "settled", "admitted"} <= set(tokenizer.get_vocab())
    assert load_encoder(paths.ENCODER, CE)[1] is not None


def test_the_casing_is_that_of_the_tokenizers_own_file(workspace, megatron, tmp_path, caplog):
    """transformers lower-cases where tokenizer_config.json does not say, whatever tokenizer.json has."""
    shutil.copytree(megatron, tmp_path / "cased")
    stored = Tokenizer.from_file(str(tmp_path / "cased" / "tokenizer.json"))
    stored.normalizer = normalizers.BertNormalizer(lowercase=False)
    stored.save(str(tmp_path / "cased" / "tokenizer.json"))
    settings = json.loads((tmp_path / "cased" / "tokenizer_config.json").read_text())
    settings.pop("do_lower_case", None)
    (tmp_path / "cased" / "tokenizer_config.json").write_text(json.dumps(settings))
    workspace(source=str(tmp_path / "cased"), lowercase_documents=None)
    prepare_encoder.main()
    tokenizer = load_tokenizer(paths.ENCODER)
    assert tokenizer("Fever")["input_ids"] == [2, 1, 3]
    assert tokenizer("fever")["input_ids"] == [2, 5, 3]


def test_what_a_file_asks_of_batches_is_not_another_tokenizer(workspace, megatron, tmp_path):
    """all-MiniLM-L6-v2's tokenizer.json pads and cuts to 128 tokens."""
    shutil.copytree(megatron, tmp_path / "padding")
    stored = Tokenizer.from_file(str(tmp_path / "padding" / "tokenizer.json"))
    stored.enable_padding(length=128)
    stored.enable_truncation(128)
    stored.save(str(tmp_path / "padding" / "tokenizer.json"))
    workspace(source=str(tmp_path / "padding"), lowercase_documents=None)
    prepare_encoder.main()
    assert len(load_tokenizer(paths.ENCODER)("fever")["input_ids"]) == 3


def test_a_tokenizer_is_tried_on_training_texts(workspace, megatron, tmp_path):
    """Words cut at `q`, as no text but a training document shows."""
    shutil.copytree(megatron, tmp_path / "cut")
    stored = Tokenizer.from_file(str(tmp_path / "cut" / "tokenizer.json"))
    at_q = pre_tokenizers.Split("q", "isolated")
    stored.pre_tokenizer = pre_tokenizers.Sequence([stored.pre_tokenizer, at_q])
    stored.save(str(tmp_path / "cut" / "tokenizer.json"))
    workspace(source=str(tmp_path / "cut"), lowercase_documents=None)
    prepare_encoder.main()
    texts = pd.read_parquet(paths.split("train"))
    io.write_parquet(paths.split("train"), texts.assign(text="fever feverqfever"))
    with pytest.raises(InputError, match="another tokenizer than its tokenizer"):
        prepare_encoder.main()


@pytest.mark.parametrize(("n_capital", "message"), [(2, "are unknown; encoder.lowercase_documents"), (20, None)])
def test_documents_in_another_casing_than_the_encoders(workspace, megatron, caplog, n_capital, message):
    """Of 60 words the capital ones are unknown to an uncased tokenizer that is told to leave them as they are."""
    texts = ["FEVER and cough"] * n_capital + ["fever and cough"] * (20 - n_capital)
    io.write_parquet(paths.split("train"), pd.DataFrame({"text": texts}))
    workspace(source=str(megatron), lowercase_documents=False)
    if message is None:
        with pytest.raises(InputError, match=r"33\.3 % of the tokens of the training documents are unknown"):
            prepare_encoder.main()
        workspace(source=str(megatron), lowercase_documents=True)
        prepare_encoder.main()
    else:
        prepare_encoder.main()
        assert message in caplog.text


def test_a_casing_that_the_tokenizer_cannot_obey_is_refused(workspace, megatron, tmp_path):
    folder = tmp_path / "bytes"
    shutil.copytree(megatron, folder)
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    stored.normalizer = normalizers.Lowercase()
    for path in folder.glob("tokenizer*"):
        path.unlink()
    PreTrainedTokenizerFast(tokenizer_object=stored, **SPECIAL).save_pretrained(folder)
    workspace(source=str(folder), lowercase_documents=True)
    with pytest.raises(InputError, match=r"cannot be set.*set encoder\.lowercase_documents to null"):
        prepare_encoder.main()
    workspace(source=str(folder), lowercase_documents=None)
    prepare_encoder.main()
