"""What a layer reads of the residual stream: the module's norm, in the dtype of the product that follows."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from genoseq.nn.residual import Norm, branched, make_norm, normed, normed_input
from genoseq_kernels.testing import random_normal


@pytest.mark.parametrize("kind", get_args(Norm))
@pytest.mark.parametrize("weights", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_the_norm_of_the_module_as_the_product_reads_it(
    kind: Norm, weights: torch.dtype, autocast: bool
) -> None:
    norm = make_norm(kind, 24, epsilon=1e-3).to(weights)
    with torch.no_grad():
        for index, parameter in enumerate(norm.parameters()):
            parameter.copy_(random_normal(24, seed=index + 1))
    x = random_normal(2, 5, 24)
    expected = norm(x.to(weights))
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        y = normed_input(norm, x)
        same, branch = branched(norm, x)
        assert torch.equal(normed(norm, x), expected)
        total, sum_branch = branched(norm, x, x.bfloat16())
        assert torch.equal(sum_branch, normed_input(norm, x + x.bfloat16()))
    assert torch.equal(total, x + x.bfloat16())
    assert torch.equal(branch, y)
    assert torch.equal(same, x)
    assert y.dtype == (torch.bfloat16 if autocast and weights == torch.float32 else weights)
    assert expected.dtype == weights
    torch.testing.assert_close(y, expected.to(y.dtype))
