"""Wide two-dimensional convolutions: the values and gradients of `nn.Conv2d`."""

from __future__ import annotations

import pytest
import torch

from genoseq.nn.wide_conv2d import WideConv2d


@pytest.mark.parametrize("kernel", [(1, 1), (3, 7), (31, 31), (9, 1)])
@pytest.mark.parametrize("size", [(5, 7), (1, 40), (80, 36)])
def test_values_and_gradients_are_those_of_conv2d(kernel: tuple[int, int], size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    wide = WideConv2d(kernel).double()
    plain = torch.nn.Conv2d(1, 1, kernel, padding=(kernel[0] // 2, kernel[1] // 2), bias=False).double()
    plain.load_state_dict(wide.state_dict())
    x = torch.randn(3, *size, dtype=torch.float64, generator=generator)
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    found, expected = wide(ours), plain(theirs.unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn(found.shape, dtype=found.dtype, generator=generator)
    found.backward(upstream)
    expected.backward(upstream)
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(wide.weight.grad, plain.weight.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_is_lost_at_the_ends_alone(dtype: torch.dtype) -> None:
    wide = WideConv2d((5, 5)).to(dtype)
    x = torch.randn(2, 9, 11, generator=torch.Generator().manual_seed(0)).to(dtype)
    expected = wide.double()(x.double())
    wide.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = wide(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=torch.finfo(dtype).eps, atol=1e-6)
