"""Where tests run, the reference cases, and encoders small enough for every test."""

import os
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import BertConfig, BertModel, BertTokenizerFast, MegatronBertConfig, MegatronBertModel

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(60)), "Fever", "fever"]
SIZES = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.3,
}


class LargestTensor(TorchDispatchMode):
    """Notes the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.fixture(scope="session")
def largest_tensor():
    """A context that notes the size of the largest tensor made in it, as `.elements`."""
    return LargestTensor


def written(folder, config, model_class):
    torch.manual_seed(7)
    model_class(config).save_pretrained(folder)
    BertTokenizerFast(vocab={token: index for index, token in enumerate(VOCABULARY)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A BERT with 32 positions and 16 hidden units whose tokenizer knows the words w0 to w59."""
    return written(tmp_path_factory.mktemp("bert"), BertConfig(**SIZES), BertModel)


@pytest.fixture(scope="session")
def megatron_folder(tmp_path_factory):
    """The same as a MegatronBert."""
    return written(tmp_path_factory.mktemp("megatron"), MegatronBertConfig(**SIZES), MegatronBertModel)


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with inputs and outputs of the authors' program."""
    return Path(os.environ.get("REFERENCE_DIR", Path(__file__).parent / "reference" / "data"))


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of the CUDA device; tests are skipped where there is none."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request) -> str:
    """Where what must be the same everywhere is computed."""
    return request.getfixturevalue("cuda") if request.param == "cuda" else "cpu"
