"""What is alive is counted once, and what operators take inside is what they declare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._library.custom_ops import OPDEFS
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from genoseq_kernels import causal_conv1d, fft_conv, gated_delta_rule, selective_scan, ssd
from genoseq_kernels.dry_run import scratch_bytes
from genoseq_kernels.fft_conv import reference
from genoseq_kernels.live_bytes import LiveBytes
from genoseq_kernels.workspaces import WORKSPACES


def test_views_count_once_and_what_is_let_go_not_at_all() -> None:
    with LiveBytes() as watch:
        x = torch.zeros(1000)
        y = x.view(10, 100).T[3:]
        assert watch.live["cpu"] == 4096
        z = x + 1
        assert watch.live["cpu"] == 8192
        del x, z
        assert watch.live["cpu"] == 4096
        del y
        assert watch.live["cpu"] == 0
        assert watch.peak["cpu"] == 8192
        watch.reset_peak()
        assert watch.peak["cpu"] == 0


def test_what_was_made_before_is_counted_on_request() -> None:
    x = torch.zeros(256)
    with LiveBytes() as watch:
        watch.watch({"a": [x, x.view(2, 128)]})
        assert watch.live["cpu"] == 1024
        y = torch.ones(256, requires_grad=True)
        (y * x).sum().backward()
        assert watch.live["cpu"] == 3 * 1024


def test_fakes_are_counted_as_if_they_were_real() -> None:
    def step() -> tuple[int, int]:
        with LiveBytes() as watch:
            layer = torch.nn.Sequential(torch.nn.Linear(64, 256), torch.nn.GELU(), torch.nn.Linear(256, 64))
            layer(torch.zeros(100, 64)).square().sum().backward()
            return watch.peak["cpu"], watch.live["cpu"]

    with FakeTensorMode():
        faked = step()
    assert faked == step()


def scratch(function: Callable[..., Any], *args: Any) -> int:
    """The peak of a call on real tensors, without its arguments and results."""
    with torch.no_grad(), LiveBytes() as watch:
        watch.watch(args)
        given = watch.live["cpu"]
        results = function(*args)
        return watch.peak["cpu"] - given - sum(x.nbytes for x in results if x is not None)


@pytest.mark.parametrize("shape", [(1, 3, 1000), (2, 4, 997), (3, 2, 4096)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_workspace_of_the_long_convolution(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    u, gate = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    k, skip = torch.randn(shape[1:]), torch.randn(shape[1])
    inputs = (u, k, skip, gate, gate, None, "causal")

    _, convolved = reference.forward(*inputs)
    forward = WORKSPACES["genoseq::fft_conv"](inputs, None, "cpu")
    assert forward == pytest.approx(scratch(reference.forward, *inputs), rel=0.1, abs=4096)
    inputs = (u, u, k, skip, gate, gate, convolved, "causal")
    backward = WORKSPACES["genoseq::fft_conv_backward"](inputs, None, "cpu")
    assert backward == pytest.approx(scratch(reference.backward, *inputs), rel=0.1, abs=4096)
    # A library of transforms has scratch of its own there.
    assert WORKSPACES["genoseq::fft_conv_backward"](inputs, None, "cuda") > backward


def test_operators_report_their_workspace() -> None:
    u = torch.zeros(1, 8, 1000)
    with LiveBytes(WORKSPACES) as watch:
        watch.watch(u)
        fft_conv(u, torch.zeros(8, 1000))
        assert watch.peak["cpu"] > 4 * u.nbytes
        assert watch.undeclared == set()
    with LiveBytes() as blind:
        fft_conv(u, torch.zeros(8, 1000))
        assert blind.undeclared == {"genoseq::fft_conv"}


def scan_steps(length: int, dtype: torch.dtype) -> dict[str, Callable[[], torch.Tensor]]:
    """Every operator that scans, with gradients."""

    def given(*shape: int) -> torch.Tensor:
        return torch.rand(shape, dtype=dtype, requires_grad=True)

    rates = -torch.rand(4, 8)
    heads, sides = given(1, length, 4, 16), given(1, length, 2, 8)
    rows, weights = given(1, 16, length), given(1, 1, 8, length)
    shares = given(1, length, 4)
    return {
        "ssd": lambda: ssd(heads, given(1, length, 4), rates[:, 0], sides, sides, z=heads, D=torch.ones(4)),
        "selective_scan": lambda: selective_scan(
            rows, rows, rates.repeat(4, 1), weights, weights, z=rows, delta_softplus=True
        ),
        "selective_scan in torch": lambda: selective_scan(
            *(x.double() for x in (rows, rows, rates.repeat(4, 1), weights, weights))
        ),
        "gated_delta_rule": lambda: gated_delta_rule(heads, heads, heads, -shares, shares)[0],
        "causal_conv1d": lambda: causal_conv1d(rows, torch.rand(16, 4), activation="silu"),
    }


class Calls(TorchDispatchMode):
    """Keeps the calls of operators of ours, by name, with their own functions."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[str, tuple]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name()
        if name.startswith("genoseq::"):
            self.made.append((name, args))
        return func(*args, **(kwargs or {}))


# The gated delta rule is slow in torch, and much the same over many chunks: short alone.
SCANS = [
    (name, length, dtype)
    for name in scan_steps(1, torch.float32)
    for length, dtype in ((100, torch.float32), (5000, torch.bfloat16))
    if name != "gated_delta_rule" or length == 100
]


@pytest.mark.parametrize(("name", "length", "dtype"), SCANS)
def test_scans_declare_what_they_take(name: str, length: int, dtype: torch.dtype) -> None:
    with Calls() as calls:
        scan_steps(length, dtype)[name]().sum().backward()
    assert len(calls.made) == 2
    for operator, args in calls.made:
        counted = scratch(OPDEFS[operator]._init_fn, *args)
        declared = WORKSPACES[operator](args, None, "cpu")
        if args[-1] == "compiled":
            assert 0.4 * declared < counted <= declared
        else:
            assert declared == pytest.approx(counted, abs=4096)


def test_kernels_of_triton_are_not_launched_for_it() -> None:
    triton = pytest.importorskip("triton")

    @triton.jit
    def never(x) -> None:
        raise AssertionError

    def function(x: torch.Tensor) -> torch.Tensor:
        y = torch.empty(3, *x.shape)
        never[(1,)](y)
        return y.sum(0)

    assert scratch_bytes(function, (torch.empty(1024),), "cpu") == 3 * 4096
