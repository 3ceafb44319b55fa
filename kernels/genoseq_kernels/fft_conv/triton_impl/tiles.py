"""What kernels read and write: sequences, filters and spectra, as tiles.

Offsets of rows are 64-bit integers; positions within a row are below 2**26.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.transform import root


@triton.jit
def positions(
    columns, radix, A: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr
):  # columns is (1, C, 1)
    """Position (A, C, B) of each number of a tile of columns, and whether its row is below the radix."""
    a = tl.arange(0, A)[:, None, None]
    b = tl.arange(0, B)[None, None, :]
    return (a * B + b) * COLUMNS + columns, a < radix


@triton.jit
def column_twiddle(columns, radix, A: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr):
    """Factors (A, C, B) between the passes, the right angle's weight of the column included."""
    k = tl.arange(0, A)[:, None, None] + radix * tl.arange(0, B)[None, None, :]
    return root(columns * (4 * k - 1), radix * B * COLUMNS)


@triton.jit
def row_end(length, ROOM: tl.constexpr):
    """Of what may be read and written of a sequence; for ROOM see `rows.have_room`."""
    return (length + 15) // 16 * 16 if ROOM else length


@triton.jit
def load_gated(source, source_offset, gate, gate_offset, n, inside):
    """Sequence times gate, in float32; the gate may be None."""
    x = tl.load(source + source_offset + n, inside, other=0.0).to(tl.float32)
    if gate is not None:
        x *= tl.load(gate + gate_offset + n, inside, other=0.0).to(tl.float32)
    return x


@triton.jit
def store_gated(x, offset, n, inside, target, gate, gate_offset, second, factor, factor_offset):
    """`x * gate` to `target`, and `x * factor` to `second`; gate, second and factor may be None."""
    if second is not None:
        y = x
        if factor is not None:
            y *= tl.load(factor + factor_offset + n, inside, other=0.0).to(tl.float32)
        tl.store(second + offset + n, y.to(second.dtype.element_ty), inside)
    if gate is not None:
        x *= tl.load(gate + gate_offset + n, inside, other=0.0).to(tl.float32)
    tl.store(target + offset + n, x.to(target.dtype.element_ty), inside)


@triton.jit
def load_filter(k, offset, n, inside, taps, points, centre, wrap, WRAPPED: tl.constexpr):
    """Taps at lags n, and with WRAPPED, as imaginary part, minus those at lags n - points.

    Where sequences are real numbers times the right angle's weight, going around the circle is a factor i.
    Without WRAPPED filters are real.
    """
    re = tl.load(k + offset + n + centre, inside & (n + centre < taps), other=0.0).to(tl.float32)
    if WRAPPED:
        tap = n + (wrap - points)
        im = tl.load(k + offset + tap, inside & (tap >= 0) & (tap < taps), other=0.0).to(tl.float32)
        return re, -im
    else:
        return re, re


@triton.jit
def store_filter_gradient(re, im, offset, n, inside, taps, points, centre, wrap, near, far):
    """The adjoint of `load_filter`, from lags n to taps of `near`, from lags n - points to those of `far`."""
    tl.store(near + offset + n + centre, re.to(near.dtype.element_ty), inside & (n + centre < taps))
    if far is not None:
        tap = n + (wrap - points)
        beyond = inside & (tap >= 0) & (tap < taps)
        tl.store(far + offset + tap, (-im).to(far.dtype.element_ty), beyond)


@triton.jit
def spectrum_offsets(row, P: tl.constexpr, Q: tl.constexpr):
    """Place in a spectrum of the frequencies (P, BLOCK, Q) of rows (1, BLOCK, 1), whatever BLOCK is."""
    frequency = tl.arange(0, P)[:, None, None] * Q + tl.arange(0, Q)[None, None, :]
    return row * (P * Q) + frequency


@triton.jit
def column_tile_offsets(
    tile,
    blocks,
    A: tl.constexpr,
    C: tl.constexpr,
    B: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Place in scratch of a tile of columns, (A * B // BLOCK, C * BLOCK), and which of it there is.

    Scratch holds (blocks, COLUMNS, BLOCK) numbers, rows innermost: each pass reads and writes long runs.
    """
    block = tl.arange(0, A * B // BLOCK)[:, None]
    return (block * COLUMNS + tile * C) * BLOCK + tl.arange(0, C * BLOCK)[None, :], block < blocks


@triton.jit
def columns_as_stored(x, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr):
    """From (A, C, B) to the order of `column_tile_offsets`."""
    x = tl.reshape(tl.permute(x, (0, 2, 1)), (A * B // BLOCK, BLOCK, C))
    return tl.reshape(tl.permute(x, (0, 2, 1)), (A * B // BLOCK, C * BLOCK))


@triton.jit
def columns_as_tile(x, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, BLOCK: tl.constexpr):
    """The reverse of `columns_as_stored`."""
    x = tl.permute(tl.reshape(x, (A * B // BLOCK, C, BLOCK)), (0, 2, 1))
    return tl.permute(tl.reshape(x, (A, B, C)), (0, 2, 1))


@triton.jit
def row_tile_offsets(block, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr):
    """Place in scratch of a block of rows, (P * Q // C, C * BLOCK): a line for each tile of columns."""
    line = tl.arange(0, P * Q // C)[:, None]
    return (block * (P * Q) + line * C) * BLOCK + tl.arange(0, C * BLOCK)[None, :]


@triton.jit
def rows_as_stored(x, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr):
    """From (P, BLOCK, Q) to the order of `row_tile_offsets`."""
    return tl.reshape(tl.permute(x, (0, 2, 1)), (P * Q // C, C * BLOCK))


@triton.jit
def rows_as_tile(x, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr):
    """The reverse of `rows_as_stored`."""
    return tl.permute(tl.reshape(x, (P, Q, BLOCK)), (0, 2, 1))


@triton.jit
def rows_of_block(block, BLOCK: tl.constexpr):
    """Rows (1, BLOCK, 1) of a block."""
    return block * BLOCK + tl.arange(0, BLOCK)[None, :, None]


@triton.jit
def load_complex_row(memory, row, offsets, inside, plane):
    """Complex numbers of one row of scratch or spectra, whose two planes hold `plane` numbers each.

    `inside` is None where all is.
    """
    start = memory + row.to(tl.int64) * (2 * plane)
    other = None if inside is None else 0.0
    re = tl.load(start + offsets, inside, other).to(tl.float32)
    return re, tl.load(start + plane + offsets, inside, other).to(tl.float32)


@triton.jit
def store_complex_row(re, im, memory, row, offsets, inside, plane):
    """The reverse of `load_complex_row`."""
    start = memory + row.to(tl.int64) * (2 * plane)
    tl.store(start + offsets, re.to(memory.dtype.element_ty), inside)
    tl.store(start + plane + offsets, im.to(memory.dtype.element_ty), inside)
