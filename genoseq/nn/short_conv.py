"""Depthwise causal convolution with a few taps.

A sum of shifted copies: a library's depthwise convolution is an order of magnitude slower, forward and
backward, on CPU.
"""

from __future__ import annotations

from typing import Any

import torch


def short_conv(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """y[t] = bias + sum_j weight[K - 1 - j] x[t - j], with zeros before the sequence.

    Args:
        x: (B, C, L).
        weight: (C, 1, K), the layout of `torch.nn.Conv1d`; its last tap meets the position itself.
        bias: (C,).

    Returns:
        (B, C, L) of the dtype of `x`.
    """
    return _ShortConv.apply(x, weight.to(x.dtype), bias.to(x.dtype))


class _ShortConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        taps = weight.shape[-1]
        y = torch.addcmul(bias.unsqueeze(-1), x, weight[..., -1])
        for lag in range(1, min(taps, x.shape[-1])):
            y[..., lag:].addcmul_(x[..., :-lag], weight[..., taps - 1 - lag])
        return y

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        (grad,) = grads
        x, weight = ctx.saved_tensors
        taps = weight.shape[-1]
        grad_x = grad * weight[..., -1]
        grad_weight = torch.zeros_like(weight)
        grad_weight[:, 0, -1] = _sum_product(grad, x)
        for lag in range(1, min(taps, x.shape[-1])):
            tap = taps - 1 - lag
            grad_x[..., :-lag].addcmul_(grad[..., lag:], weight[..., tap])
            grad_weight[:, 0, tap] = _sum_product(grad[..., lag:], x[..., :-lag])
        return grad_x, grad_weight, grad.sum((0, 2))


def _sum_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vecdot(a, b).sum(0)
