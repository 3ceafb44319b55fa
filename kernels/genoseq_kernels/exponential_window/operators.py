"""The Triton path of `exponential_window_` as operators, each one node for torch.compile and plans."""

from __future__ import annotations

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.exponential_window import triton_impl
from genoseq_kernels.rows import rows_like


@torch.library.custom_op("genoseq::exponential_window_", mutates_args=("x",))
def window_(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> None:
    """See `genoseq_kernels.exponential_window_`."""
    with on_device_of(x):
        triton_impl.window(x, remains, t, scale, out=x)


@window_.register_fake
def _(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> None:
    return None


@torch.library.custom_op("genoseq::exponential_window", mutates_args=())
def windowed(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> torch.Tensor:
    """The same, leaving x as it is."""
    with on_device_of(x):
        return triton_impl.window(x, remains, t, scale, out=rows_like(x))


@windowed.register_fake
def _(x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float) -> torch.Tensor:
    return rows_like(x)
