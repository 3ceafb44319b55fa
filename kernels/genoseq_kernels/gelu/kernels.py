"""Triton kernel of `gelu_backward_`, over tiles (ROWS, WIDTH) of `rows` rows of `width` numbers."""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import math

import triton
import triton.language as tl

# gelu(x) = x * sigmoid(_FACTOR * (x + _CUBIC * x ** 3))
_FACTOR = tl.constexpr(2 * math.sqrt(2 / math.pi))
_CUBIC = tl.constexpr(0.044715)
_EXPONENT = tl.constexpr(-2 * math.sqrt(2 / math.pi) / math.log(2))


@triton.jit
def backward(grad, x, sums, rows, width, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """In place; in `sums` (programs, width) what a program's tiles of some columns sum up to."""
    column = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)[None, :]
    # Summed over rows at the end: until then no number goes to another thread.
    total = tl.zeros((ROWS, WIDTH), tl.float32)
    for tile in tl.range(tl.program_id(0), tl.cdiv(rows, ROWS), tl.num_programs(0)):
        row = tl.cast(tile, tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
        places, inside = row * width + column, (row < rows) & (column < width)
        given = tl.load(x + places, inside, other=0.0).to(tl.float32)
        outer = tl.load(grad + places, inside, other=0.0).to(tl.float32)
        square = given * given
        share = 1 / (1 + tl.exp2(given * (square * (_EXPONENT * _CUBIC) + _EXPONENT)))
        value = given * share
        slope = share + value * (1 - share) * (square * (3 * _CUBIC * _FACTOR) + _FACTOR)
        result = outer * slope
        total += result
        tl.store(x + places, value.to(x.dtype.element_ty), inside)
        tl.store(grad + places, result.to(grad.dtype.element_ty), inside)
    start = sums + tl.program_id(0).to(tl.int64) * width
    tl.store(start + column, tl.sum(total, 0, keep_dims=True), column < width)
