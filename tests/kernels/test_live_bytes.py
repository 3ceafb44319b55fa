"""What is alive is counted once, and what operators take inside is what they declare."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from genoseq_kernels import fft_conv
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


@pytest.mark.parametrize("shape", [(1, 3, 1000), (2, 4, 997), (3, 2, 4096)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_workspace_of_the_long_convolution(shape: tuple[int, int, int], dtype: torch.dtype) -> None:
    u, gate = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
    k, skip = torch.randn(shape[1:]), torch.randn(shape[1])
    inputs = (u, k, skip, gate, gate, None, "causal")

    def scratch(function, *args) -> int:
        with LiveBytes() as watch:
            watch.watch(args)
            given = watch.live["cpu"]
            results = function(*args)
            return watch.peak["cpu"] - given - sum(x.nbytes for x in results if x is not None)

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
