"""What kernels read and write: sequences, filters and spectra, as tiles.

Offsets of rows are 64-bit integers; positions within a row are below 2**26.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

from functools import partial

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.transform import kept, largest_of, power_of_two, root
from genoseq_kernels.room import row_end

launched = partial(
    triton.jit, do_not_specialize_on_alignment=["first", "channels", "entries", "radix", "blocks", "rows"]
)
"""Of kernels that are launched: what divides these integers tells nothing, and would compile them again."""

_LARGEST = tl.constexpr(2.0**14)
"""What the largest number of a tile in float16 may be, before the skip term is added."""


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
def load_gated(source, source_offset, gate, gate_offset, n, inside):
    """Sequence times gate, in float32; the gate may be None."""
    x = tl.load(source + source_offset + n, inside, other=0.0).to(tl.float32)
    if gate is not None:
        x *= tl.load(gate + gate_offset + n, inside, other=0.0).to(tl.float32)
    return x


@triton.jit
def load_sequence(source, source_offset, gate, gate_offset, n, inside, length, ROOM: tl.constexpr):
    """`load_gated` of what is before the sequence's end, and zeros; with ROOM it is read in whole vectors."""
    x = load_gated(source, source_offset, gate, gate_offset, n, inside & (n < row_end(length, ROOM)))
    if ROOM:
        x = tl.where(n < length, x, 0.0)
    return x


@triton.jit
def times_loaded(x, factor, offset, n, inside, like):
    """Float32 times what is loaded of `factor`, which may be None, in the type that `like` points to."""
    if factor is not None:
        x *= tl.load(factor + offset + n, inside, other=0.0).to(tl.float32)
    return x.to(like.dtype.element_ty)


@triton.jit
def store_gated(x, offset, n, inside, target, gate, gate_offset, second, factor, factor_offset):
    """`x * gate` to `target`, and `x * factor` to `second`; gate, second and factor may be None."""
    if second is not None:
        z = times_loaded(x, factor, factor_offset, n, inside, second)
        tl.store(second + offset + n, z, inside)
    y = times_loaded(x, gate, gate_offset, n, inside, target)
    tl.store(target + offset + n, y, inside)


@triton.jit
def halves_joined(first, second, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr):
    """Two neighbouring tiles (A, C, B) as one (A, 2 * C, B)."""
    return tl.reshape(tl.permute(tl.join(first, second), (0, 3, 1, 2)), (A, 2 * C, B))


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
def load_spectrum(spectrum, channel, block, rows, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr):
    """Tile of a filter's spectrum, made before."""
    index = rows_of_block(block, BLOCK)
    size = rows * (P * Q)
    offsets = spectrum_offsets(index, P, Q)
    return load_complex_row(spectrum, channel, 2 * size, offsets, index < rows, size)


@triton.jit
def with_skip(re, im, factor, skip, channel, points, PARTS: tl.constexpr):
    """A filter's tile and the skip term, `skip` (may be None) times the identity; and what to multiply by.

    16-bit ones so scaled that no product of theirs leaves float16: the frequencies of a sequence are those of
    `points` numbers up to 1, transformed unitarily, and with all that comes of them have a norm of no more
    than sqrt(points) times the largest of the filter's.
    """
    if PARTS == 1:
        largest = factor * largest_of(re, im, False)
    else:
        largest = factor
    weight = 0.0
    if skip is not None:
        weight = tl.load(skip + channel).to(tl.float32)
        largest = tl.maximum(largest, tl.abs(weight))
    strength = power_of_two(largest)
    if PARTS == 1:
        strength *= power_of_two(tl.sqrt(tl.cast(points, tl.float32))) / _LARGEST
    share = factor / strength
    return kept(re * share + weight / strength, PARTS), kept(im * share, PARTS), strength


@triton.jit
def dealt(SIZE: tl.constexpr, TURNS: tl.constexpr, INNER: tl.constexpr = 1):
    """0 to SIZE - 1, dealt out in TURNS: what stands SIZE // TURNS apart, and is loaded by one thread, are
    neighbours of each other, INNER apart. `gathered` puts them side by side, so that the thread hands them on
    as one vector."""
    TURN: tl.constexpr = min(TURNS, SIZE // INNER)
    place = tl.arange(0, SIZE)
    turn, rest = place // (SIZE // TURN), place % (SIZE // TURN)
    return (rest // INNER * TURN + turn) * INNER + rest % INNER


@triton.jit
def gathered(x, TURNS: tl.constexpr, INNER: tl.constexpr = 1):
    """A matrix whose rows are in the order of `dealt`, in order."""
    SIZE: tl.constexpr = x.shape[0]
    WIDTH: tl.constexpr = x.shape[1]
    TURN: tl.constexpr = min(TURNS, SIZE // INNER)
    x = tl.reshape(x, (TURN, SIZE // (TURN * INNER), INNER, WIDTH))
    return tl.reshape(tl.permute(x, (1, 0, 2, 3)), (SIZE, WIDTH))


@triton.jit
def column_tile_offsets(tile, lines, C: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
    """Place in scratch of the real parts of a tile of columns, (lines, C * BLOCK); lines are blocks.

    Scratch holds (blocks, COLUMNS // C, 2, C, BLOCK) numbers: a line is what a tile of columns and one of
    rows have in common, its real parts and then its imaginary ones.
    """
    run = tl.arange(0, C * BLOCK)[None, :]
    return (lines[:, None] * (COLUMNS // C) + tile) * (2 * C * BLOCK) + run


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
def row_tile_offsets(block, lines, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr):
    """Place in scratch of the real parts of a block of rows, (P * Q // C, C * BLOCK); lines are tiles."""
    return (block * (P * Q // C) + lines[:, None]) * (2 * C * BLOCK) + tl.arange(0, C * BLOCK)[None, :]


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
def load_complex_row(memory, row, size, offsets, inside, apart):
    """Complex numbers of one of rows of `size` numbers, imaginary parts `apart` from the real ones.

    `inside` is None where all is.
    """
    start = memory + row.to(tl.int64) * size
    other = None if inside is None else 0.0
    return tl.load(start + offsets, inside, other), tl.load(start + apart + offsets, inside, other)


@triton.jit
def store_complex_row(re, im, memory, row, size, offsets, inside, apart):
    """The reverse of `load_complex_row`."""
    start = memory + row.to(tl.int64) * size
    tl.store(start + offsets, re.to(memory.dtype.element_ty), inside)
    tl.store(start + apart + offsets, im.to(memory.dtype.element_ty), inside)
