"""Where tests run, the reference cases, and encoders small enough for every test."""

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.models import AS_ROBERTA, write_model
from tests.project import Project

# The same examples in every run; `--hypothesis-profile=default` draws others.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

# Every test begins with one thread, on whatever machine and after whichever other; threads are never fewer than asked.
# torch loads with the tests that need it: pytest's first process, which only deals them out, does without.
os.environ |= {"OMP_NUM_THREADS": "1", "MKL_DYNAMIC": "FALSE", "OMP_DYNAMIC": "FALSE"}

gc.disable()  # until all tests are collected: nothing imported is garbage


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that the other worker tests the rest beside them."""
    items.sort(key=lambda item: item.path.name not in ("test_pipeline.py", "test_reruns.py"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Leave torch with one thread."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture(scope="session")
def largest_tensor():
    """A context that notes the number of elements of the largest tensor made in it, as `.elements`."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class LargestTensor(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            result = function(*arguments, **(keywords or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    self.elements = max(self.elements, tensor.numel())
            return result

    return LargestTensor


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory):
    """A BERT with 32 positions and 16 hidden units."""
    return write_model(tmp_path_factory.mktemp("bert"), "Bert")


@pytest.fixture(scope="session")
def megatron_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("megatron"), "MegatronBert")


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("roberta"), "Roberta", **AS_ROBERTA)


@pytest.fixture(scope="session")
def xlm_roberta_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("xlm"), "XLMRoberta", **AS_ROBERTA)


@pytest.fixture(scope="session")
def camembert_folder(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("camembert"), "Camembert", **AS_ROBERTA)


@pytest.fixture(scope="session")
def electra_folder(tmp_path_factory):
    """Its word embeddings are narrower than its states; it has no pooler."""
    return write_model(tmp_path_factory.mktemp("electra"), "Electra", embedding_size=8)


@pytest.fixture(scope="session")
def modernbert_folder(tmp_path_factory):
    sizes = {"max_position_embeddings": 128, "num_hidden_layers": 4, "local_attention": 8, "pad_token_id": 0}
    special = {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
    return write_model(tmp_path_factory.mktemp("modernbert"), "ModernBert", **sizes | special)


@pytest.fixture(scope="session")
def longformer_source(tmp_path_factory):
    """A Longformer of 128 positions and windows of 8 as the hub has it, with its head for masked words."""
    sizes = AS_ROBERTA | {"attention_window": [8, 8], "max_position_embeddings": 130}
    return write_model(tmp_path_factory.mktemp("longformer"), "Longformer", "ForMaskedLM", **sizes)


@pytest.fixture(scope="session")
def longformer_folder(longformer_source, tmp_path_factory):
    """The same as prepare_encoder keeps it."""
    from stages.encoder.pretrained import load_pretrained, save_pretrained

    folder = tmp_path_factory.mktemp("longformer_kept")
    save_pretrained(*load_pretrained(str(longformer_source), None), folder)
    return folder


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project after its cold run."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.ran_cold = project.repro()
    return project


@pytest.fixture
def base(project: Project) -> Iterator[Project]:
    """The project in the state of its cold run, which afterwards comes back from DVC's run cache."""
    lock = (project.root / "dvc.lock").read_bytes()
    yield project
    project.configure()
    assert project.repro() <= {"evaluate"}  # the one stage that `persist` keeps out of the run cache
    assert (project.root / "dvc.lock").read_bytes() == lock


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder with inputs and outputs of the authors' program."""
    return Path(os.environ.get("REFERENCE_DIR", Path(__file__).parent / "reference" / "data"))


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of the CUDA device; tests are skipped where there is none."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


@pytest.fixture(scope="session", params=["cpu", "cuda"])
def device(request) -> str:
    """Where what must be the same everywhere is computed."""
    return request.getfixturevalue("cuda") if request.param == "cuda" else "cpu"
