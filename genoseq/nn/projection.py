"""Linear maps between sequences of vectors (B, L, D) and channels over time (B, D, L).

The products turn the layout themselves: results and gradients are made where they belong, and nothing is
copied before or after. What lies as (B, D, L) has rows as `empty_rows` makes them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable

from genoseq.nn.tiling import in_autocast_dtype
from genoseq_kernels.rows import empty_rows


def to_channels(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`F.linear(x, weight).transpose(1, 2)`, with rows of positions in memory.

    Args:
        x: (B, L, D).
        weight: (E, D).

    Returns:
        (B, E, L), in autocast's dtype where it is on. Second derivatives are not defined.
    """
    y: torch.Tensor = _ToChannels.apply(in_autocast_dtype(x), in_autocast_dtype(weight))
    return y


def from_channels(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """`F.linear(x.transpose(1, 2), weight, bias)`.

    Args:
        x: (B, D, L).
        weight: (E, D).
        bias: (E,).

    Returns:
        (B, L, E), in autocast's dtype where it is on. Second derivatives are not defined.
    """
    y: torch.Tensor = _FromChannels.apply(*map(in_autocast_dtype, (x, weight, bias)))
    return y


class _ToChannels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        return _to_channels(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = _product(grad.transpose(1, 2), _for_all(weight, x), x.new_empty(x.shape))
        return grad_x, _grad_weight(grad, x) if ctx.needs_input_grad[1] else None


class _FromChannels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        batch, _, length = x.shape
        y = x.new_empty(batch, length, weight.shape[0])
        if batch == 1:
            # Two axes: the library's product then adds the bias itself, in the same pass.
            torch.addmm(bias, x[0].T, weight.T, out=y[0])
        else:
            torch.baddbmm(bias, x.transpose(1, 2), _for_all(weight.T, x), out=y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        (grad,) = grads
        return (
            _to_channels(grad, weight.T) if ctx.needs_input_grad[0] else None,
            _grad_weight(grad.transpose(1, 2), x.transpose(1, 2)) if ctx.needs_input_grad[1] else None,
            grad.sum((0, 1)) if ctx.needs_input_grad[2] else None,
        )


def _to_channels(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, L, D) and (E, D) to (B, E, L)."""
    y = empty_rows((x.shape[0], weight.shape[0], x.shape[1]), x)
    return _product(_for_all(weight, x), x.transpose(1, 2), y)


def _grad_weight(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """(B, E, L) and (B, L, D) to (E, D)."""
    return _product(grad, x, x.new_empty(x.shape[0], grad.shape[1], x.shape[2])).sum(0)


def _for_all(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return weight.expand(x.shape[0], -1, -1)


def _product(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """a (B, M, K) times b (B, K, N), written to `out`: that way autocast, were it on, leaves it alone."""
    if out.shape[0] == 1:
        # The product of two axes also cuts a long sum over K into parts that run at once.
        torch.mm(a[0], b[0], out=out[0])
    else:
        torch.bmm(a, b, out=out)
    return out
