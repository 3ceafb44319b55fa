"""Rows with room after them: operators read and write them whole, and what is in the room means nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from genoseq_kernels import causal_conv1d, fft_conv
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.rows import empty_rows, have_room, rows_like
from genoseq_kernels.testing import random_normal

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKENDS = ("reference", "triton") if triton_runs(torch.empty(0, device=DEVICE)) else ("reference",)
LENGTHS = (1, 63, 1000, 2101, pytest.param(8209, marks=pytest.mark.slow))


def in_rows(x: torch.Tensor) -> torch.Tensor:
    """x in rows with room, NaN there."""
    rows = empty_rows(x.shape, x)
    torch.as_strided(rows, (rows.untyped_storage().nbytes() // x.element_size(),), (1,), 0).fill_(
        float("nan")
    )
    return rows.copy_(x)


def convolve(backend: str) -> Callable[..., torch.Tensor]:
    def function(packed: torch.Tensor) -> torch.Tensor:
        weight, bias = (random_normal(*shape, seed=3, device=DEVICE) for shape in ((9, 3), (9,)))
        length = packed.shape[-1]
        k, skip = (random_normal(*shape, seed=4, device=DEVICE) for shape in ((3, length), (3,)))
        mixed = causal_conv1d(packed, weight, bias, activation="silu", backend=backend)  # type: ignore[arg-type]
        u, gate_in, gate_out = mixed.split(3, dim=1)
        return fft_conv(u, k / length**0.5, skip, gate_in=gate_in, gate_out=gate_out, backend=backend)  # type: ignore[arg-type]

    return function


def results(function: Callable[..., torch.Tensor], x: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
    leaf = x.detach().requires_grad_()
    y = function(leaf)
    return [y.detach(), torch.autograd.grad(y, leaf, grad)[0]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", LENGTHS)
def test_the_same_as_rows_without_room(length: int, backend: str) -> None:
    x, grad = (random_normal(2, 9, length, device=DEVICE), random_normal(2, 3, length, seed=2, device=DEVICE))
    expected = results(convolve(backend), x, grad)
    actual = results(convolve(backend), in_rows(x), in_rows(grad))
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert have_room(actual[0]) == (length % 16 != 0)


def test_layout() -> None:
    rows = empty_rows((2, 3, 17), torch.empty(0, dtype=torch.float16))
    assert rows.stride() == (96, 32, 1)
    assert have_room(rows, None, rows[:, 1:])
    assert rows_like(rows).stride() == rows.stride()
    assert rows_like(rows.contiguous()).is_contiguous()
    assert not have_room(rows.contiguous())
    assert not have_room(rows[..., 1:])
    assert not have_room(empty_rows((3, 32), rows))
    cut = torch.empty(2 * 32 + 17)[: 2 * 32 + 17].as_strided((3, 17), (32, 1))
    assert not have_room(cut)  # the last row has none


@pytest.mark.parametrize("backend", BACKENDS)
def test_fakes_lie_as_real_tensors_do(backend: str) -> None:
    x = in_rows(random_normal(1, 3, 50, device=DEVICE)).requires_grad_()
    weight = random_normal(3, 3, device=DEVICE)
    torch.library.opcheck(
        torch.ops.genoseq.causal_conv1d.default, (x, weight, None, None, None, False, False, backend)
    )
    k = random_normal(3, 50, device=DEVICE)
    torch.library.opcheck(torch.ops.genoseq.fft_conv.default, (x, k, None, x, x, None, "causal", backend))
