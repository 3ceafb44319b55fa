"""First and last pass of a long convolution: columns, there and back.

Row `entry * channels + channel` of scratch memory belongs to a batch entry and to a channel counted from
`first`. Scratch memory is float32, or float16 with a float32 scale, a power of two, for each tile of the pass
that wrote it.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    column_tile_offsets,
    column_twiddle,
    columns_as_stored,
    columns_as_tile,
    dealt,
    gathered,
    launched,
    load_complex_row,
    load_filter,
    load_sequence,
    positions,
    store_complex_row,
    store_filter_gradient,
    store_gated,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    alike,
    load_matrix,
    multiply,
    shrink,
    transform,
)
from genoseq_kernels.room import row_end


@triton.jit
def _column_tile(C: tl.constexpr, COLUMNS: tl.constexpr):
    """Row of this program, its tile, and the tile's columns (1, C, 1)."""
    tiles: tl.constexpr = COLUMNS // C
    index = tl.program_id(0)
    tile = index % tiles
    return index // tiles, tile, tile * C + tl.arange(0, C)[None, :, None]


@triton.jit
def _columns_to_scratch(
    re, im, row, tile, columns, scratch, scales, left, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    re, im, peak = shrink(re, im, REAL)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    re, im = transform(re, im, left, right, radix, 1, A, C, B, REAL, PARTS)
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    if scales is None:
        t_re, t_im = t_re * peak, t_im * peak
    re, im = multiply(re, im, t_re, t_im)
    re, im = columns_as_stored(re, A, C, B, BLOCK), columns_as_stored(im, A, C, B, BLOCK)
    lines = tl.arange(0, A * B // BLOCK)
    offsets = column_tile_offsets(tile, lines, C, COLUMNS, BLOCK)
    inside = (lines < plane // (COLUMNS * BLOCK))[:, None]
    store_complex_row(re, im, scratch, row, 2 * plane, offsets, inside, C * BLOCK)
    if scales is not None:
        tl.store(scales + row.to(tl.int64) * (COLUMNS // C) + tile, peak)


@triton.jit
def _columns_from_scratch(
    row, tile, columns, scratch, scales, left, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    blocks = plane // (COLUMNS * BLOCK)
    lines = dealt(A * B // BLOCK, TURNS)
    offsets, inside = column_tile_offsets(tile, lines, C, COLUMNS, BLOCK), lines < blocks
    re, im = load_complex_row(scratch, row, 2 * plane, offsets, inside[:, None], C * BLOCK)
    if scales is None:
        re, im, peak = shrink(re, im, False)
    else:
        scale = tl.load(scales + row.to(tl.int64) * blocks + lines, inside, other=0.0)
        re, im, peak = alike(re, im, scale)
    re, im = gathered(re, TURNS), gathered(im, TURNS)
    re, im = columns_as_tile(re, A, C, B, BLOCK), columns_as_tile(im, A, C, B, BLOCK)
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    re, im = multiply(re.to(tl.float32), im.to(tl.float32), t_re, -t_im)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    re, im = adjoint(re, im, left, right, radix, 1, A, C, B, PARTS)
    return re * peak, im * peak


@launched()
def sequence_columns(
    source, gate, scratch, scales, left, right,
    source_entry, source_channel, gate_entry, gate_channel, first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """First pass of sequences times gate."""
    row, tile, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    n, inside = positions(columns, radix, A, B, COLUMNS)
    x = load_sequence(
        source, entry * source_entry + channel * source_channel,
        gate, entry * gate_entry + channel * gate_channel, n, inside, length, ROOM,
    )  # fmt: skip
    _columns_to_scratch(
        x, x, row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, True, PARTS,
    )  # fmt: skip


@launched()
def filter_columns(
    k, scratch, scales, left, right, k_channel, first, taps, centre, wrap, radix, plane,
    WRAPPED: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """First pass of filters."""
    row, tile, columns = _column_tile(C, COLUMNS)
    n, inside = positions(columns, radix, A, B, COLUMNS)
    offset = (first + row).to(tl.int64) * k_channel
    re, im = load_filter(k, offset, n, inside, taps, radix * B * COLUMNS, centre, wrap, WRAPPED)
    _columns_to_scratch(
        re, im, row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, not WRAPPED, PARTS,
    )  # fmt: skip


@launched()
def sequence_columns_back(
    scratch, scales, target, gate, second, factor, left, right,
    target_entry, target_channel, gate_entry, gate_channel, factor_entry, factor_channel,
    first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Last pass of sequences: times gate to `target`, times factor to `second`, which lies as that does."""
    row, tile, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    x, _ = _columns_from_scratch(
        row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, TURNS, PARTS,
    )  # fmt: skip
    n, inside = positions(columns, radix, A, B, COLUMNS)
    store_gated(
        x, entry * target_entry + channel * target_channel, n, inside & (n < row_end(length, ROOM)), target,
        gate, entry * gate_entry + channel * gate_channel,
        second, factor, entry * factor_entry + channel * factor_channel,
    )  # fmt: skip


@launched()
def filter_columns_back(
    scratch, scales, near, far, left, right, first, taps, centre, wrap, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Last pass of the filters' gradients."""
    row, tile, columns = _column_tile(C, COLUMNS)
    re, im = _columns_from_scratch(
        row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, TURNS, PARTS,
    )  # fmt: skip
    n, inside = positions(columns, radix, A, B, COLUMNS)
    offset = (first + row).to(tl.int64) * taps
    store_filter_gradient(re, im, offset, n, inside, taps, radix * B * COLUMNS, centre, wrap, near, far)
