"""`layer_norm` by Triton: a program takes some rows; mean and variance are made again for the gradient.

Sums of the parameters' gradients are kept apart by program and added up in a fixed order: the same bits each
time.
"""

from __future__ import annotations

import torch
import triton

from genoseq_kernels.layer_norm import kernels

_NUMBERS = 4096
"""Of a tile of the forward pass, at least one row."""
_NUMBERS_OF_A_WARP = 512
"""Of a tile of the backward pass, at least one row. Up to that width a warp has rows to itself: nothing goes
through shared memory, and nobody waits. 256 wide, for sm_90 (Triton 3.6.0), 110 registers; tiles of four
warps took up to 197, and 25 barriers."""
_WARPS = 16 * 132
"""Of the backward pass, at most: what an H100 has room for at 110 registers."""


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
    width = triton.next_power_of_2(rows.shape[1])
    options = {
        "CENTRED": bias is not None,
        "ADDED": added is not None,
        "ROWS": max(1, _NUMBERS // width),
        "WIDTH": width,
        "num_warps": 4 if width <= _NUMBERS else 8,
    }
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
    width, warps = _width_and_warps(x)
    options = {
        "CENTRED": centred,
        "BESIDE": beside is not None,
        "COPY": copy is not None,
        "ROWS": max(1, _NUMBERS_OF_A_WARP // width),
        "WIDTH": width,
        "num_warps": warps,
    }
    other = rows if beside is None else _as_rows(beside)
    tiles = triton.cdiv(rows.shape[0], options["ROWS"])
    sums = torch.empty(min(tiles, _WARPS // warps), 2, rows.shape[1], dtype=torch.float32, device=x.device)
    kernels.backward[(sums.shape[0],)](
        _as_rows(grad), other, rows, weight.contiguous(), grad_x, copied, sums, *rows.shape, tiles, epsilon,
        **options,
    )  # fmt: skip
    grad_weight, grad_bias = sums.sum(0)
    return grad_x, copied, grad_weight.to(weight.dtype, copy=True), grad_bias.to(weight.dtype, copy=True)


def backward_workspace(x: torch.Tensor) -> int:
    """Bytes that `backward` takes beside its results, at most."""
    return _WARPS // _width_and_warps(x)[1] * 2 * x.shape[-1] * torch.float32.itemsize


def _width_and_warps(x: torch.Tensor) -> tuple[int, int]:
    """Of a tile of the backward pass."""
    width = triton.next_power_of_2(x.shape[-1])
    return width, max(1, width // _NUMBERS_OF_A_WARP)


def _as_rows(x: torch.Tensor) -> torch.Tensor:
    return x.contiguous().view(-1, x.shape[-1])
