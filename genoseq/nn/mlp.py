"""The feed-forward layer with a GELU, and a backward pass of its own.

Its input alone is kept: a product more in the backward pass costs less than the inner activations, at four
times its width, take to be written and read. The last product, which gradients do not need, is not computed
again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from genoseq.nn.tiling import Keep, in_autocast_dtype, tiles
from genoseq_kernels import gelu_backward_


class Mlp(nn.Module):
    """Two linear layers with a GELU (tanh form) between: (..., L, D) to the same. No second derivatives.

    Args:
        d_model: D.
        d_inner: width between the layers.
        sequence_tile: positions that are computed at once; None for all.
    """

    def __init__(self, *, d_model: int, d_inner: int, sequence_tile: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_inner)
        self.fc2 = nn.Linear(d_inner, d_model)
        self.sequence_tile = sequence_tile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = in_autocast_dtype(x).flatten(0, -2)
        # So many of every sequence of the batch.
        tile = x.shape[:-2].numel() * (self.sequence_tile or x.shape[-2])
        token = Keep.apply(rows.new_empty(0, requires_grad=True), rows)
        # Read by name: a weight may be the sum of several parameters.
        first, second = self.fc1, self.fc2
        y: torch.Tensor = _Mlp.apply(tile, token, rows, first.weight, first.bias, second.weight, second.bias)
        return y.view(x.shape)


class _Mlp(torch.autograd.Function):
    """Of rows (N, D); what products take and give is of their dtype, whatever the parameters are in."""

    @staticmethod
    def forward(
        ctx: Any, tile: int, token: torch.Tensor, x: torch.Tensor, *parameters: torch.Tensor
    ) -> torch.Tensor:
        ctx.tile, ctx.keeper, ctx.parameters = tile, token.grad_fn, parameters
        y = torch.empty_like(x)
        with torch.autocast(x.device.type, enabled=False):
            weight1, bias1, weight2, bias2 = (parameter.to(x.dtype) for parameter in parameters)
            for places in tiles(len(x), tile):
                torch.addmm(bias2, _linear_gelu(x[places], weight1, bias1), weight2.T, out=y[places])
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,), (x,) = grads, ctx.keeper.saved_tensors
        grad_x = torch.empty_like(x)
        sums = [torch.zeros_like(parameter) for parameter in ctx.parameters]
        with torch.autocast(x.device.type, enabled=False):
            weights = [parameter.to(x.dtype) for parameter in ctx.parameters]
            for places in tiles(len(x), ctx.tile):
                summands = _gradients(grad[places], x[places], weights, grad_x[places])
                for total, summand in zip(sums, summands, strict=True):
                    total += summand
        return (None, None, grad_x, *sums)


def _gradients(
    grad: torch.Tensor, x: torch.Tensor, parameters: list[torch.Tensor], grad_x: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Those of the parameters; that of x is written to `grad_x`."""
    weight1, bias1, weight2, _ = parameters
    inner, grad_inner = torch.addmm(bias1, x, weight1.T), torch.mm(grad, weight2)
    grad_bias1 = gelu_backward_(grad_inner, inner)
    torch.mm(grad_inner, weight1, out=grad_x)
    return grad_inner.T @ x, grad_bias1, grad.T @ inner, grad.sum(0)


def _linear_gelu(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    if x.is_cuda and x.dtype in (torch.bfloat16, torch.float16):
        # The library's product does both in the same pass, of the tanh form there; exact to about 16 bits.
        return torch._addmm_activation(bias, x, weight.T, use_gelu=True)
    return F.gelu(torch.addmm(bias, x, weight.T), approximate="tanh")
