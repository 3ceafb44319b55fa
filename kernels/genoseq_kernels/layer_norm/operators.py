"""The Triton path of `layer_norm` as operators, so that torch.compile and checkpointing see one node each."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.layer_norm import triton_impl


@torch.library.custom_op("genoseq::layer_norm", mutates_args=())
def layer_norm_forward(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    """See `genoseq_kernels.layer_norm`; without bias it is `rms_norm`."""
    with on_device_of(x):
        return triton_impl.forward(x, weight, bias, epsilon, dtype)


@layer_norm_forward.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    return torch.empty(x.shape, dtype=dtype, device=x.device)


@torch.library.custom_op("genoseq::layer_norm_backward", mutates_args=())
def layer_norm_backward(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x, weight and bias, `beside` added to the first; zeros for a bias that is not there."""
    with on_device_of(x):
        return triton_impl.backward(grad, beside, x, weight, epsilon, centred)


@layer_norm_backward.register_fake
def _(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    return grad_x, torch.empty_like(weight), torch.empty_like(weight)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, weight, bias, ctx.epsilon, _ = inputs
    ctx.centred = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return _gradients(ctx, grad, None)


def _gradients(ctx: Any, grad: torch.Tensor, beside: torch.Tensor | None) -> tuple[torch.Tensor | None, ...]:
    gradients = layer_norm_backward(grad, beside, *ctx.saved_tensors, ctx.epsilon, ctx.centred)
    grad_x, grad_weight, grad_bias = gradients
    return grad_x, grad_weight, grad_bias if ctx.centred else None, None, None


layer_norm_forward.register_autograd(_backward, setup_context=_setup_context)


class Branch(torch.autograd.Function):
    """x itself and its norm. An operator of torch.library may not give back what it was given: this does."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        epsilon: float,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        y = layer_norm_forward(x, weight, bias, epsilon, dtype)
        _setup_context(ctx, (x, weight, bias, epsilon, dtype), y)
        return x, y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        beside, grad = grads
        return _gradients(ctx, grad, beside)
