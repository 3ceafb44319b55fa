"""The Triton path of `gelu_backward_` as an operator, one node for torch.compile and plans."""

from __future__ import annotations

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.gelu import triton_impl


@torch.library.custom_op("genoseq::gelu_backward_", mutates_args=("grad", "x"))
def backward_(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """See `genoseq_kernels.gelu_backward_`."""
    with on_device_of(x):
        return triton_impl.backward_(grad, x)


@backward_.register_fake
def _(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape[1:], dtype=torch.float32, device=x.device)
