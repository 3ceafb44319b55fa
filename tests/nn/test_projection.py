"""Projections between the two layouts are linear maps, and copy nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genoseq.nn.projection import from_channels, to_channels
from genoseq_kernels.rows import empty_rows


def make(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def inputs(batch: int, length: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """x (B, L, D), the weights of (D -> E) and (E -> D), and the second's bias."""
    return [make(*shape, dtype=dtype) for shape in ((batch, length, 3), (5, 3), (3, 5), (3,))]


def ours(x: torch.Tensor, there: torch.Tensor, back: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return from_channels(to_channels(x, there), back, bias)


def plain(x: torch.Tensor, there: torch.Tensor, back: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return F.linear(F.linear(x, there), back, bias)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("length", [1, 16, 21])
def test_values_and_gradients(batch: int, length: int) -> None:
    tensors = inputs(batch, length, torch.float64)
    y, expected = ours(*tensors), plain(*tensors)
    torch.testing.assert_close(y, expected)
    weight = make(*y.shape).detach()
    for a, b in zip(
        torch.autograd.grad((y * weight).sum(), tensors),
        torch.autograd.grad((expected * weight).sum(), tensors),
        strict=True,
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("batch", [1, 2])
def test_under_autocast_gradients_have_the_dtype_of_what_they_are_of(batch: int) -> None:
    tensors = inputs(batch, 21, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        middle, y, expected = to_channels(*tensors[:2]), ours(*tensors), plain(*tensors)
    assert middle.dtype == y.dtype == torch.bfloat16
    torch.testing.assert_close(y, expected, rtol=2e-2, atol=2e-2)
    for tensor, a, b in zip(
        tensors,
        torch.autograd.grad(y.float().square().sum(), tensors),
        torch.autograd.grad(expected.float().square().sum(), tensors),
        strict=True,
    ):
        assert a.dtype == tensor.dtype == torch.float32
        assert (a - b).norm() < 0.02 * b.norm()


@pytest.mark.parametrize("batch", [1, 2])
def test_autocast_of_the_backward_pass_alone_rounds_nothing(batch: int) -> None:
    tensors = inputs(batch, 21, torch.float32)
    y = ours(*tensors).square().sum()
    expected = torch.autograd.grad(y, tensors, retain_graph=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = torch.autograd.grad(y, tensors)
    for a, b in zip(actual, expected, strict=True):
        assert torch.equal(a, b)


def test_float64_stays_so_under_autocast() -> None:
    tensors = inputs(2, 21, torch.float64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(*tensors), ours(*tensors).double())


@pytest.mark.parametrize("batch", [1, 2])
def test_layouts(batch: int) -> None:
    x, there, back, bias = inputs(batch, 21, torch.float64)
    middle = to_channels(x, there)
    y = from_channels(middle, back, bias)
    grad_middle, grad_x = torch.autograd.grad(y, [middle, x], torch.ones_like(y))
    assert middle.stride()[1:] == grad_middle.stride()[1:] == (32, 1)
    assert y.is_contiguous()
    assert grad_x.is_contiguous()


def test_what_is_frozen_has_no_gradient() -> None:
    for index in range(4):
        tensors = inputs(2, 5, torch.float64)
        tensors[index].requires_grad_(False)
        ours(*tensors).sum().backward()
        assert [tensor.grad is not None for tensor in tensors] == [other != index for other in range(4)]


@pytest.mark.parametrize(
    ("shape", "strides"),
    [((5, 16), (16, 1)), ((5, 17), (32, 1)), ((2, 3, 1), (48, 16, 1)), ((2, 3, 4, 15), (192, 64, 16, 1))],
)
def test_rows(shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    rows = empty_rows(shape, torch.empty(0, dtype=torch.bfloat16))
    assert (rows.shape, rows.stride(), rows.dtype) == (shape, strides, torch.bfloat16)
