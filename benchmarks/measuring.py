"""What the benchmarks of training and prediction share: sizes, invented documents, random models, and the yardsticks.

The straightforward loop is the authors' way of computing the same model: float32, one document a pass, the text
tokenised twice per access, chunks padded to the document's bucket, attention by plain matrix products, the whole MSAM
score tensor.
"""

import argparse
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from transformers import AutoModel, BertConfig, BertTokenizerFast, MegatronBertConfig

from benchmarks.msam import plain
from stages.common.io import InputError
from stages.common.params import Compute
from stages.encoder.architecture import Architecture
from stages.encoder.attention import ATTENTION, SelfAttention
from stages.encoder.chunking import document_rows
from stages.encoder.encoder import adapt
from stages.encoder.tokenizer import special_ids
from stages.modeling.data import Documents, tokenise
from stages.modeling.heads import MsamHead, PlainHead, document_maximum
from stages.modeling.model import CodingModel
from stages.modeling.model_type import ModelType

SYNONYMS = 4
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Size:
    """An encoder and the documents that it reads: their words lie between `shortest` and `longest`."""

    config: BertConfig | MegatronBertConfig
    chunk_length: int
    max_tokens: int
    max_positions: int
    shortest: int
    longest: int
    batch_documents: int
    chunk_budget: int

    def architecture(self, model_type: str, padding: str) -> Architecture:
        """CE, LE, CE_MSAM or LE_MSAM at this size."""
        model = ModelType.parse(model_type)
        sizes = {
            "CE": {"chunk_length": self.chunk_length, "max_tokens": self.max_tokens},
            "LE": {"window": self.chunk_length, "max_positions": self.max_positions},
        }
        return Architecture.parse(
            {"encoder": model.encoder, "head": model.head, "padding": padding, **sizes[model.encoder]}
        )


def encoder_config(
    kind: type, vocabulary: int, hidden: int, layers: int, heads: int
) -> BertConfig | MegatronBertConfig:
    """An encoder of the usual proportions, without dropout."""
    return kind(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        max_position_embeddings=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


SIZES = {
    "demo": Size(
        config=encoder_config(BertConfig, 4000, 64, 2, 4),
        chunk_length=32,
        max_tokens=1024,
        max_positions=1024,
        shortest=200,
        longest=450,
        batch_documents=4,
        chunk_budget=256,
    ),
    "minilm": Size(  # all-MiniLM-L6-v2's, with documents as long as CodiEsp's
        config=encoder_config(BertConfig, 30522, 384, 6, 12),
        chunk_length=512,
        max_tokens=2048,
        max_positions=2048,
        shortest=120,
        longest=1200,
        batch_documents=8,
        chunk_budget=32,
    ),
    "gatortron": Size(
        config=encoder_config(MegatronBertConfig, 50176, 1024, 24, 16),
        chunk_length=512,
        max_tokens=6122,
        max_positions=8192,
        shortest=300,
        longest=6000,
        batch_documents=16,
        chunk_budget=96,
    ),
}


def invented_texts(size: Size, count: int) -> list[str]:
    """Texts of random words, their lengths spread evenly on a logarithmic scale."""
    rng = np.random.default_rng(0)
    lengths = np.exp(rng.uniform(np.log(size.shortest), np.log(size.longest), count)).astype(int)
    return [" ".join(f"w{word}" for word in rng.integers(0, size.config.vocab_size - 10, length)) for length in lengths]


def word_tokenizer(size: Size) -> BertTokenizerFast:
    """One token a word."""
    words = [*SPECIAL, *(f"w{number}" for number in range(size.config.vocab_size - len(SPECIAL)))]
    return BertTokenizerFast(vocab={word: number for number, word in enumerate(words)})


def invented_documents(size: Size, texts: list[str], architecture: Architecture, n_codes: int) -> Documents:
    """The texts, tokenised, each with a few random codes."""
    tokenizer = word_tokenizer(size)
    targets = sp.random_array((len(texts), n_codes), density=min(0.1, 12 / n_codes), rng=np.random.default_rng(1))
    targets = sp.csr_array(targets != 0).astype(np.uint8)
    ids = [str(number) for number in range(len(texts))]
    return Documents(ids, *tokenise(texts, tokenizer), targets, architecture, special_ids(tokenizer))


def random_model(size: Size, architecture: Architecture, n_codes: int, device: str) -> CodingModel:
    """A classifier with random weights and random synonym vectors."""
    torch.manual_seed(0)
    with torch.device(device):
        encoder = AutoModel.from_config(size.config, attn_implementation="eager")
        encoder.pooler = None
        encoder = adapt(encoder, architecture, Path("benchmark"))
        hidden = size.config.hidden_size
        head: PlainHead | MsamHead
        if architecture.head == "msam":
            head = MsamHead(torch.randn(n_codes, SYNONYMS, hidden), "torch")
        else:
            head = PlainHead(hidden, n_codes, 0.0, drop_states=architecture.encoder == "LE")
        return CodingModel(architecture, word_tokenizer(size), encoder, head)


def forward_operations(size: Size, documents: Documents, n_codes: int) -> float:
    """Multiplications and additions of the forward passes of all documents, of real tokens alone, as matrix products.

    A training step has three times as many. Of attention what the method asks for is counted (each token sees its
    chunk, or its window), whatever is computed.
    """
    config, architecture = size.config, documents.architecture
    tokens = sum(
        int(document_rows(documents.tokens[start:end], architecture, documents.special)[1].sum())
        for start, end in itertools.pairwise(documents.offsets)
    )
    d = config.hidden_size
    layer = 8 * d * d + 4 * d * config.intermediate_size + 4 * size.chunk_length * d
    msam = 2 * d * d + 2 * n_codes * (SYNONYMS + 1) * d
    keys_and_values = 4 * d * d  # of the last layer under a plain head; the rest is asked for at [CLS] alone
    last = layer + msam if architecture.head == "msam" else keys_and_values
    return tokens * ((config.num_hidden_layers - 1) * layer + last)


def matrix_rate(device: str) -> float:
    """The device's own rate at square matrix products, operations per second: bfloat16 on CUDA, float32 on a CPU."""
    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (1024, torch.float32)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = np.inf
    for _ in range(20):
        wait(device)
        began = time.perf_counter()
        a @ b
        wait(device)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def compute(options: argparse.Namespace) -> Compute:
    """How a benchmark computes."""
    return Compute(device=options.device, precision="auto", threads=options.threads, portable=False, launch="python")


def wait(device: str) -> None:
    """Wait until the device has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def peak_memory(device: str) -> int:
    """The most bytes held by this process: of the GPU, or resident."""
    if device == "cuda":
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def straightforward(model: CodingModel) -> CodingModel:
    """Compute `model` in the authors' way, in place."""
    model.__dict__["forward"] = lambda batch: document_maximum(
        model.row_logits(batch), batch.document, batch.n_documents
    )
    if model.architecture.encoder == "CE":
        model.encoder.config._attn_implementation = "straightforward"
        for module in model.modules():
            if isinstance(module, SelfAttention):
                module.first_only = False
    if isinstance(model.head, MsamHead):
        attention = model.head.attention
        attention.__dict__["forward"] = lambda *arguments: plain(attention, *arguments[:4])
    return model


def _eager_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, dropout: float = 0.0, **_: Any
) -> tuple[Tensor, None]:
    """Attention by plain matrix products, as transformers' attention functions take and give it."""
    scores = query @ key.mT / query.shape[-1] ** 0.5
    scores = scores.masked_fill(~attention_mask, torch.finfo(scores.dtype).min)
    return (scores.softmax(-1) @ value).transpose(1, 2), None


ATTENTION.register("straightforward", _eager_attention)


def one_by_one(size: Size, texts: list[str], documents: Documents, device: str) -> Iterator[tuple[Any, Tensor]]:
    """Each document as a batch of its own with its targets, the text tokenised twice."""
    tokenizer = word_tokenizer(size)
    for index, text in enumerate(texts):
        for _ in range(2):
            tokenizer(text, verbose=False)
        targets = documents.dense_targets([index])
        assert targets is not None
        yield documents.batch([index]).to(torch.device(device)), targets.to(device)


def rates(
    size: Size, documents: Documents, n_codes: int, seconds: float, device: str, n_passes: int
) -> dict[str, float]:
    """Documents, tokens and operations per second, and peak memory; training counts three passes."""
    return {
        "documents": len(documents) / seconds,
        "tokens": len(documents.tokens) / seconds,
        "operations": n_passes * forward_operations(size, documents, n_codes) / seconds,
        "memory": peak_memory(device),
    }


def in_own_process(measure: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any] | str:
    """The result of `measure` in a new process, or in words why there is none."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_answer, args=(measure, arguments, sender))
    worker.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return "stopped; out of memory?"
    finally:
        worker.join()


def _answer(measure: Callable[..., dict[str, float]], arguments: tuple, sender) -> None:
    try:
        sender.send(measure(*arguments))
    except (torch.cuda.OutOfMemoryError, MemoryError):
        sender.send("out of memory")
    except InputError as error:
        sender.send(str(error))


def run_table(
    description: str, ours: Callable, plain_loop: Callable, documents: dict[str, int], plain_documents: int
) -> None:
    """Read the command line, measure both forms for each model, and print the table."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="demo")
    parser.add_argument("--types", nargs="+", default=["CE", "LE", "CE_MSAM", "LE_MSAM"])
    parser.add_argument("--codes", nargs="+", type=int, default=[50])
    parser.add_argument("--documents", type=int, help=f"default: {documents}")
    parser.add_argument("--plain-documents", type=int, default=plain_documents, help="for the straightforward form")
    parser.add_argument("--chunk-budget", type=int, help="default: by size")
    parser.add_argument("--compile", action="store_true", help="torch.compile the encoder")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    options.documents = options.documents or documents[options.device]
    torch.set_num_threads(options.threads)
    rate = matrix_rate(options.device)
    name = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {options.threads} threads"
    print(f"{name}, torch {torch.__version__}: {rate / 1e12:.3f} T operations/s at square matrix products")
    columns = ("documents/s", "ratio", "tokens/s", "of rate", "peak GiB")
    print(f"{'model':<10}{'codes':>6}  {'form':<17}" + "".join(f"{column:>12}" for column in columns))
    for model_type in options.types:
        for codes in options.codes:
            forms = {
                "straightforward": in_own_process(plain_loop, model_type, codes, options),
                "ours": in_own_process(ours, model_type, codes, options),
            }
            for form, result in forms.items():
                print(
                    f"{model_type:<10}{codes:>6}  {form:<17}" + row(result, forms["straightforward"], rate), flush=True
                )


def row(result: dict[str, float] | str, yardstick: dict[str, float] | str, rate: float) -> str:
    """The figures of one form, beside those of the straightforward one."""
    if isinstance(result, str):
        return f"  {result}"
    ratio = result["documents"] / yardstick["documents"] if isinstance(yardstick, dict) else float("nan")
    share, memory = 100 * result["operations"] / rate, result["memory"] / 2**30
    return f"{result['documents']:>12.2f}{ratio:>11.2f}x{result['tokens']:>12.0f}{share:>10.1f} %{memory:>12.2f}"
