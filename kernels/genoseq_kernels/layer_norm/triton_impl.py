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
    x: torch.Tensor,
    added: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    epsilon: float,
    dtype: torch.dtype,
) -> tuple[torch.Tensor, torch.Tensor]:
    """x and `added` together, if that is there, else x; and its norm, as of `reference.forward`."""
    rows = _as_rows(x)
    y = torch.empty(x.shape, dtype=dtype, device=x.device)
    total = x if added is None else torch.empty(x.shape, dtype=x.dtype, device=x.device)
    options = _options(rows, centred=bias is not None) | {"ADDED": added is not None}
    other = rows if added is None else _as_rows(added)
    shift = weight if bias is None else bias
    kernels.forward[(triton.cdiv(rows.shape[0], options["ROWS"]),)](
        rows, other, weight.contiguous(), shift.contiguous(), total, y, *rows.shape, epsilon, **options
    )
    return total, y


def backward(
    grad: torch.Tensor,
    beside: torch.Tensor | None,
    x: torch.Tensor,
    weight: torch.Tensor,
    epsilon: float,
    centred: bool,
    copy: torch.dtype | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of x, with `beside` added, and again in another dtype, if any; of weight and bias."""
    rows = _as_rows(x)
    grad_x = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    copied = x.new_empty(0) if copy is None else torch.empty(x.shape, dtype=copy, device=x.device)
    options = _options(rows, centred=centred) | {"BESIDE": beside is not None, "COPY": copy is not None}
    other = rows if beside is None else _as_rows(beside)
    tiles = triton.cdiv(rows.shape[0], options["ROWS"])
    sums = torch.empty(min(tiles, _PROGRAMS), 2, rows.shape[1], dtype=torch.float32, device=x.device)
    kernels.backward[(sums.shape[0],)](
        _as_rows(grad), other, rows, weight.contiguous(), grad_x, copied, sums, *rows.shape, tiles, epsilon,
        **options,
    )  # fmt: skip
    grad_weight, grad_bias = sums.sum(0)
    return grad_x, copied, grad_weight.to(weight.dtype, copy=True), grad_bias.to(weight.dtype, copy=True)


def backward_workspace(x: torch.Tensor) -> int:
    """Bytes that `backward` takes beside its results, at most."""
    return _PROGRAMS * 2 * x.shape[-1] * torch.float32.itemsize


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(-1, x.shape[-1])


def _options(rows: torch.Tensor, *, centred: bool) -> dict[str, Any]:
    width = triton.next_power_of_2(rows.shape[1])
    warps = 4 if width <= _NUMBERS else 8
    return {"CENTRED": centred, "ROWS": max(1, _NUMBERS // width), "WIDTH": width, "num_warps": warps}
