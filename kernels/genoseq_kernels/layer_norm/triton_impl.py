"""`layer_norm` by Triton: a program takes some rows; mean and variance are made again for the gradient.

Sums of the parameters' gradients are kept apart by program and added up in a fixed order: the same bits each
time.
"""

from __future__ import annotations

from typing import Any

import torch
import triton

from genoseq_kernels.layer_norm import kernels

_NUMBERS = 4096
"""Of a tile, at least one row."""
_PROGRAMS = 1056
"""Of the backward pass, at most: 8 for each multiprocessor of an H100."""


def forward(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, epsilon: float, dtype: torch.dtype
) -> torch.Tensor:
    """See `reference.forward`."""
    rows = _as_rows(x)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    options = _options(rows, centred=bias is not None)
    shift = weight if bias is None else bias
    kernels.forward[(triton.cdiv(rows.shape[0], options["ROWS"]),)](
        rows, weight.contiguous(), shift.contiguous(), y, *rows.shape, epsilon, **options
    )
    return y


def backward(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x, weight and bias, `beside` added to the first; zeros for a bias that is not there."""
    rows = _as_rows(x)
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    options = _options(rows, centred=centred) | {"BESIDE": beside is not None}
    other = rows if beside is None else _as_rows(beside)
    tiles = triton.cdiv(rows.shape[0], options["ROWS"])
    sums = torch.empty(min(tiles, _PROGRAMS), 2, rows.shape[1], dtype=torch.float32, device=x.device)
    kernels.backward[(sums.shape[0],)](
        _as_rows(grad), other, rows, weight.contiguous(), grad_x, sums, *rows.shape, tiles, epsilon, **options
    )
    grad_weight, grad_bias = sums.sum(0)
    return grad_x, grad_weight.to(weight.dtype, copy=True), grad_bias.to(weight.dtype, copy=True)


def backward_workspace(x: torch.Tensor) -> int:
    """Bytes that `backward` takes beside its results, at most."""
    return _PROGRAMS * 2 * x.shape[-1] * torch.float32.itemsize


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(-1, x.shape[-1])


def _options(rows: torch.Tensor, *, centred: bool) -> dict[str, Any]:
    width = triton.next_power_of_2(rows.shape[1])
    warps = 4 if width <= _NUMBERS else 8
    return {"CENTRED": centred, "ROWS": max(1, _NUMBERS // width), "WIDTH": width, "num_warps": warps}
