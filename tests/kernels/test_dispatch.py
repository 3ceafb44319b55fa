"""Which backend `auto` takes on a GPU, of which tensors without content only say that they are on it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genoseq_kernels import causal_conv1d, fft_conv, layer_norm, selective_scan, ssd
from genoseq_kernels.dispatch import choose_backend

Call = Callable[[torch.Tensor], Any]
"""Of an operator, on inputs with the device and dtype of a tensor."""


def call_fft_conv(like: torch.Tensor) -> Any:
    return fft_conv(like.new_empty(1, 2, 64), like.new_empty(2, 64))


def call_causal_conv1d(like: torch.Tensor, taps: int = 4) -> Any:
    return causal_conv1d(like.new_empty(1, 2, 64), like.new_empty(2, taps))


def call_layer_norm(like: torch.Tensor, width: int = 64) -> Any:
    return layer_norm(like.new_empty(4, width), like.new_empty(width), like.new_empty(width))


def call_selective_scan(like: torch.Tensor, groups: int = 1) -> Any:
    """`groups` of B; C has one."""
    u, B, C = like.new_empty(1, 2, 64), like.new_empty(1, groups, 16, 64), like.new_empty(1, 1, 16, 64)
    return selective_scan(u, u, like.new_empty(2, 16), B, C)


def call_ssd(like: torch.Tensor, states: int = 16) -> Any:
    x, B = like.new_empty(1, 64, 2, 64), like.new_empty(1, 64, 1, states)
    return ssd(x, like.new_empty(1, 64, 2), like.new_empty(2), B, B)


CALLS: dict[str, Call] = {
    "fft_conv": call_fft_conv,
    "causal_conv1d": call_causal_conv1d,
    "layer_norm": call_layer_norm,
    "selective_scan": call_selective_scan,
    "ssd": call_ssd,
}
UNFIT: dict[str, Call] = {
    "causal_conv1d": lambda like: call_causal_conv1d(like, taps=5),
    "layer_norm": lambda like: call_layer_norm(like, width=8193),
    "selective_scan": lambda like: call_selective_scan(like, groups=2),
    "ssd": lambda like: call_ssd(like, states=512),
}


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `auto` has taken, call by call, as if there were an H100."""
    taken: list[str] = []

    def choose(*args: Any, **options: Any) -> str:
        taken.append(choose_backend(*args, **options))
        return taken[-1]

    for operator in CALLS:
        # Under its own name the package has the function, not the module.
        monkeypatch.setattr(sys.modules[f"genoseq_kernels.{operator}"], "choose_backend", choose)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    return taken


def call_on(device: str, dtype: torch.dtype, call: Call) -> None:
    with FakeTensorMode():
        call(torch.empty(0, device=device, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("operator", CALLS)
def test_triton_on_a_gpu_and_torch_on_a_cpu(operator: str, dtype: torch.dtype, chosen: list[str]) -> None:
    call_on("cuda", dtype, CALLS[operator])
    call_on("cpu", dtype, CALLS[operator])
    assert chosen == ["triton", "reference"]


@pytest.mark.parametrize("operator", CALLS)
def test_float64_stays_with_torch(operator: str, chosen: list[str]) -> None:
    call_on("cuda", torch.float64, CALLS[operator])
    assert chosen == ["reference"]


@pytest.mark.parametrize("operator", UNFIT)
def test_what_the_kernels_do_not_take_stays_with_torch(operator: str, chosen: list[str]) -> None:
    call_on("cuda", torch.float32, UNFIT[operator])
    assert chosen == ["reference"]


def test_a_gpu_before_ampere_has_torch_alone(chosen: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    for call in CALLS.values():
        call_on("cuda", torch.float32, call)
    assert chosen == ["reference"] * len(CALLS)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two devices")
@pytest.mark.parametrize("operator", CALLS)
def test_tensors_that_are_not_on_the_current_device(operator: str) -> None:
    """Triton launches on the current one."""
    like = torch.zeros(0, device="cuda:1")
    with torch.cuda.device(0):
        CALLS[operator](like)
    torch.cuda.synchronize(1)
