"""Triton kernels of `layer_norm`, over tiles (ROWS, WIDTH) of a matrix of `rows` rows of `width` numbers.

`CENTRED` is layer norm; without, nothing is subtracted and there is no bias: RMS norm.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _places(tile, rows, width, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Place of each number of a tile, and whether it is there."""
    row = tl.cast(tile, tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, WIDTH)[None, :]
    return row * width + column, (row < rows) & (column < width)


@triton.jit
def _normal(x, inside, width, epsilon, CENTRED: tl.constexpr):
    """Rows of mean square 1, and what that multiplied them by: (ROWS, WIDTH) and (ROWS, 1)."""
    if CENTRED:
        mean = tl.sum(x, 1, keep_dims=True) / width
        x = tl.where(inside, x - mean, 0.0)
    scale = 1 / tl.sqrt(tl.sum(x * x, 1, keep_dims=True) / width + epsilon)
    return x * scale, scale


@triton.jit
def _parameter(pointer, width, WIDTH: tl.constexpr):
    column = tl.arange(0, WIDTH)[None, :]
    return tl.load(pointer + column, column < width, other=0.0).to(tl.float32)


@triton.jit
def forward(
    x, added, weight, bias, total, y, rows, width, epsilon,
    CENTRED: tl.constexpr, ADDED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The result; with ADDED that of the `total` of x and `added`, which is written as well."""
    places, inside = _places(tl.program_id(0), rows, width, ROWS, WIDTH)
    given = tl.load(x + places, inside, other=0.0).to(tl.float32)
    if ADDED:
        given += tl.load(added + places, inside, other=0.0).to(tl.float32)
        tl.store(total + places, given.to(total.dtype.element_ty), inside)
    normal, _ = _normal(given, inside, width, epsilon, CENTRED)
    result = normal * _parameter(weight, width, WIDTH)
    if CENTRED:
        result += _parameter(bias, width, WIDTH)
    tl.store(y + places, result.to(y.dtype.element_ty), inside)


@triton.jit
def backward(
    grad, beside, x, weight, grad_x, copy, sums, rows, width, tiles, epsilon,
    CENTRED: tl.constexpr, BESIDE: tl.constexpr, COPY: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The gradient of x, with BESIDE on top of another, `beside`, and with COPY in another dtype too; in
    `sums` (programs, 2, width) what a program's tiles give to weight and bias."""
    factor = _parameter(weight, width, WIDTH)
    # Summed over rows at the end: until then no number goes to another thread.
    to_weight = tl.zeros((ROWS, WIDTH), tl.float32)
    to_bias = tl.zeros((ROWS, WIDTH), tl.float32)
    for tile in tl.range(tl.program_id(0), tiles, tl.num_programs(0)):
        places, inside = _places(tile, rows, width, ROWS, WIDTH)
        given = tl.load(x + places, inside, other=0.0).to(tl.float32)
        normal, scale = _normal(given, inside, width, epsilon, CENTRED)
        outer = tl.load(grad + places, inside, other=0.0).to(tl.float32)
        to_weight += outer * normal
        inner = outer * factor
        along = tl.sum(inner * normal, 1, keep_dims=True) / width
        result = inner - normal * along
        if CENTRED:
            to_bias += outer
            result -= tl.sum(inner, 1, keep_dims=True) / width
        result *= scale
        if BESIDE:
            result += tl.load(beside + places, inside, other=0.0).to(tl.float32)
        tl.store(grad_x + places, result.to(grad_x.dtype.element_ty), inside)
        if COPY:
            tl.store(copy + places, result.to(copy.dtype.element_ty), inside)
    column = tl.arange(0, WIDTH)[None, :]
    start = sums + tl.program_id(0) * 2 * width
    tl.store(start + column, tl.sum(to_weight, 0, keep_dims=True), column < width)
    tl.store(start + width + column, tl.sum(to_bias, 0, keep_dims=True), column < width)
