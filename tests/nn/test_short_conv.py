"""The short convolution is torch's own, and its gradients are right."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from genoseq.nn.short_conv import short_conv


@pytest.mark.parametrize("taps", [1, 2, 3, 5])
@pytest.mark.parametrize("length", [1, 2, 4, 17])
def test_equals_conv1d(length: int, taps: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, length, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, taps, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    expected = F.conv1d(F.pad(x, (taps - 1, 0)), weight, bias, groups=3)
    torch.testing.assert_close(short_conv(x, weight, bias), expected)
    assert torch.autograd.gradcheck(short_conv, (x, weight, bias))
