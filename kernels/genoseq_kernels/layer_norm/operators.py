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
        return triton_impl.forward(x, None, weight, bias, epsilon, dtype)[1]


@layer_norm_forward.register_fake
def _(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    return _like(x, dtype)


@torch.library.custom_op("genoseq::add_layer_norm", mutates_args=())
def add_layer_norm(
    x: torch.Tensor,
    added: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    epsilon: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and `added` together, and the norm of that."""
    with on_device_of(x):
        return triton_impl.forward(x, added, weight, bias, epsilon, dtype)


@add_layer_norm.register_fake
def _(
    x: torch.Tensor,
    added: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    epsilon: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    return _like(x, x.dtype), _like(x, dtype)


@torch.library.custom_op("genoseq::layer_norm_backward", mutates_args=())
def layer_norm_backward(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
    copy: torch.dtype | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x, with `beside` added, and again in another dtype; of weight and bias.

    What is not there is empty, or for a bias means nothing.
    """
    with on_device_of(x):
        return triton_impl.backward(grad, beside, x, weight, epsilon, centred, copy)


@layer_norm_backward.register_fake
def _(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
    copy: torch.dtype | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    copied = x.new_empty(0) if copy is None else _like(x, copy)
    return _like(x, x.dtype), copied, torch.empty_like(weight), torch.empty_like(weight)


def _like(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    return torch.empty(x.shape, dtype=dtype, device=x.device)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    x, weight, bias, ctx.epsilon, _ = inputs
    ctx.centred = bias is not None
    ctx.save_for_backward(x, weight)


def _backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    grad_x, _, grad_weight, grad_bias = layer_norm_backward(
        grad, None, *ctx.saved_tensors, ctx.epsilon, ctx.centred, None
    )
    return grad_x, grad_weight, grad_bias if ctx.centred else None, None, None


layer_norm_forward.register_autograd(_backward, setup_context=_setup_context)


class Branch(torch.autograd.Function):
    """`branch_norm`: an operator of torch.library may not give back what it was given, and this does."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        added: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        epsilon: float,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if added is None:
            total, y = x, layer_norm_forward(x, weight, bias, epsilon, dtype)
        else:
            total, y = add_layer_norm(x, added, weight, bias, epsilon, dtype)
        _setup_context(ctx, (total, weight, bias, epsilon, dtype), y)
        ctx.added = None if added is None else added.dtype
        return total, y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (beside, grad), (x, weight) = grads, ctx.saved_tensors
        copy = None if ctx.added == x.dtype else ctx.added
        grad_x, copied, grad_weight, grad_bias = layer_norm_backward(
            grad, beside, x, weight, ctx.epsilon, ctx.centred, copy
        )
        grad_added = grad_x if copy is None else copied
        return (
            grad_x,
            None if ctx.added is None else grad_added,
            grad_weight,
            grad_bias if ctx.centred else None,
            None,
            None,
        )
