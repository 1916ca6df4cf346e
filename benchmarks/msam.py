"""Multi-synonym attention: the blockwise form beside the plain one, time and memory of a forward and backward pass.

    python -m benchmarks.msam                                        # 1,000 codes, 4 chunks: under a minute on 2 cores
    python -m benchmarks.msam --device cuda --codes 3681 --chunks 23 # MIMIC-III-clean, its longest document

Each form runs in a process of its own. Memory is the peak above the inputs (weights, synonym vectors, token states):
resident set on the CPU, allocated on CUDA. The loss is that of training, on the maximum over the chunks ("maximum"), or
one that sends a gradient into every chunk ("every chunk"), as nothing in this project does.
"""

import argparse
import multiprocessing
import re
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.modeling.msam import MultiSynonymAttention

FORMS = ("plain", "blockwise")
LOSSES = ("maximum", "every chunk")


def plain(attention: MultiSynonymAttention, Q: Tensor, H: Tensor, ql: Tensor, mask: Tensor | None = None) -> Tensor:
    """The equations as they stand: the whole score tensor (R, C, Z, S, T), then the weighted token vectors."""
    q, k, v, u = (
        vectors.unflatten(-1, (attention.n_heads, -1))
        for vectors in (attention.W_Q(Q), torch.tanh(attention.W_K(H)), torch.tanh(H), attention.W_V(ql))
    )
    scores = torch.einsum("cszh,rtzh->rczst", q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None, None, :], -torch.inf)
    context = torch.einsum("rczst,rtzh->rczsh", scores.softmax(-1), v).mean(3)
    return torch.einsum("rczh,czh->rc", context, u)


def measure(form: str, loss: str, arguments: argparse.Namespace, answer) -> None:
    """Send the seconds (best of the repeats), the peak bytes above the inputs, and the logits' sum to `answer`."""
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    device, size = arguments.device, arguments.hidden
    attention = MultiSynonymAttention(size, arguments.synonyms).to(device)
    Q = torch.randn(arguments.codes, arguments.synonyms, size, device=device)
    H = torch.randn(arguments.chunks, arguments.tokens, size, device=device, requires_grad=True)
    ql = Q.mean(1)
    labels = (torch.rand(arguments.codes, device=device) < 0.02).float()
    run = plain if form == "plain" else MultiSynonymAttention.__call__
    start_of_memory, seconds = _memory(device, restart=True), []
    for _ in range(arguments.repeats):
        attention.zero_grad()
        H.grad = None
        started = time.perf_counter()
        logits = run(attention, Q, H, ql)
        scored = logits.amax(0) if loss == "maximum" else logits
        F.binary_cross_entropy_with_logits(scored, labels.expand_as(scored)).backward()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    answer.send((min(seconds), _memory(device) - start_of_memory, logits.double().sum().item()))


def _memory(device: str, restart: bool = False) -> int:
    """The peak bytes in use since the last restart; at a restart, the bytes in use now."""
    if device == "cuda":
        if restart:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated()
    if restart:
        Path("/proc/self/clear_refs").write_text("5")
    [peak] = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return 1024 * int(peak)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("codes", 1000), ("chunks", 4), ("tokens", 512), ("hidden", 1024), ("synonyms", 4)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    parser.add_argument("--repeats", type=int, default=3, help="the best is shown (default: 3)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default: 2)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    shape = {name: getattr(arguments, name) for name in ("codes", "chunks", "tokens", "hidden", "synonyms")}
    print(", ".join(f"{value} {name}" for name, value in shape.items()), f"on {arguments.device}")
    columns = f"{'seconds':>9}{'faster':>9}{'MB above inputs':>17}{'share':>8}{'logit sum':>14}"
    print(f"{'gradient into':<14}{'form':<12}{columns}")
    spawn = multiprocessing.get_context("spawn")
    for loss in LOSSES:
        first = None
        for form in FORMS:
            answer, sender = spawn.Pipe(duplex=False)
            worker = spawn.Process(target=measure, args=(form, loss, arguments, sender))
            worker.start()
            sender.close()
            try:
                seconds, memory, total = answer.recv()
            except EOFError:
                print(f"{loss:<14}{form:<12} stopped; out of memory?")
                continue
            finally:
                worker.join()
            first = first or (seconds, memory)
            ratios = f"{first[0] / seconds:>8.2f}x{memory / 1e6:>17.0f}{memory / first[1]:>8.2f}"
            print(f"{loss:<14}{form:<12}{seconds:>9.2f}{ratios}{total:>14.4f}")


if __name__ == "__main__":
    main()
