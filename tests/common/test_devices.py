import pytest
import torch

from stages.common import devices, threads
from stages.common.io import InputError
from stages.common.params import Compute


def test_emulated_bf16_does_not_count(monkeypatch: pytest.MonkeyPatch):
    """A V100 or T4 computes bfloat16 by emulation, which is slower than float32."""
    asked = {}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.update(how) or False)
    monkeypatch.setattr(devices, "Accelerator", Taken)
    devices.start(Compute(device="auto", precision="auto", threads=1, portable=False, launch="python"))
    assert asked == {"including_emulation": False}
    assert Taken.precision == "no"


class Taken:
    """What accelerate would be asked for."""

    precision = ""
    num_processes = 1
    device = torch.device("cpu")

    def __init__(self, mixed_precision: str, **_: object) -> None:
        Taken.precision = self.mixed_precision = mixed_precision


def test_missing_cuda_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"compute\.device: cuda, but no CUDA device is found"):
        devices.start(Compute(device="cuda", precision="auto", threads=1, portable=False, launch="python"))
    with pytest.raises(InputError, match=r"compute\.precision: fp16 needs a CUDA device"):
        devices.start(Compute(device="cpu", precision="fp16", threads=1, portable=False, launch="python"))


def test_threads_are_what_was_asked_for():
    threads.limit(2)
    assert torch.get_num_threads() == 2
