"""`gelu_backward_` in plain torch."""

from __future__ import annotations

import torch
from torch.nn import functional as F


@torch.no_grad()
def backward_(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """See `genoseq_kernels.gelu_backward_`."""
    torch.ops.aten.gelu_backward.grad_input(grad, x, approximate="tanh", grad_input=grad)
    x.copy_(F.gelu(x, approximate="tanh"))
    return grad.sum(0, dtype=torch.promote_types(grad.dtype, torch.float32))
