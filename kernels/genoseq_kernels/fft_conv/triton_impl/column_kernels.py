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
    halves_joined,
    launched,
    load_complex_row,
    load_filter,
    load_sequence,
    positions,
    store_complex_row,
    store_filter_gradient,
    times_loaded,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    alike,
    anew,
    load_matrix,
    multiply,
    shrink,
    shrink_halves,
    transform,
)
from genoseq_kernels.room import row_end


@triton.jit
def _row_and_tile(C: tl.constexpr, COLUMNS: tl.constexpr, TILES: tl.constexpr):
    """Row of this program and the first of its tiles."""
    programs: tl.constexpr = COLUMNS // (C * TILES)
    index = tl.program_id(0)
    return index // programs, index % programs * TILES


@triton.jit
def _columns_of(tile, C: tl.constexpr, TILES: tl.constexpr):
    """Columns (1, TILES * C, 1) of a tile and its next neighbours."""
    return tile * C + tl.arange(0, TILES * C)[None, :, None]


@triton.jit
def _columns_to_scratch(
    re, im, row, tile, scratch, scales, left, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    REAL: tl.constexpr, PARTS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """First pass of one tile, or of two that are real, from (A, TILES * C, B)."""
    # Before the reductions, whose barriers no load passes.
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    if TILES == 1:
        re, im, peak = shrink(re, im, REAL)
        next_re, next_im, next_peak = re, im, peak
    else:
        tl.static_assert(REAL and TILES == 2)
        re, next_re, peak, next_peak = shrink_halves(re, A, C, B, PARTS)
        im, next_im = re, next_re
    # A loop, for the compiler would mix the tiles of straight code, and run out of registers.
    for turn in tl.range(TILES):
        columns, radix_here = _columns_of(tile + turn, C, 1), anew(radix, turn)
        re, im = transform(re, im, left, right, radix_here, anew(1, turn), A, C, B, REAL, PARTS)
        t_re, t_im = column_twiddle(columns, radix_here, A, B, COLUMNS)
        if scales is None:
            t_re, t_im = t_re * peak, t_im * peak
        re, im = multiply(re, im, t_re, t_im)
        re, im = columns_as_stored(re, A, C, B, BLOCK), columns_as_stored(im, A, C, B, BLOCK)
        lines = tl.arange(0, A * B // BLOCK)
        offsets = column_tile_offsets(tile + turn, lines, C, COLUMNS, BLOCK)
        inside = (lines < plane // (COLUMNS * BLOCK))[:, None]
        store_complex_row(re, im, scratch, row, 2 * plane, offsets, inside, C * BLOCK)
        if scales is not None:
            tl.store(scales + row.to(tl.int64) * (COLUMNS // C) + tile + turn, peak)
        re, im, peak = next_re, next_im, next_peak


@triton.jit
def _columns_from_scratch(
    row, tile, scratch, scales, left, right, radix, weight, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Last pass of a tile (A, C, B), by matrices of `load_matrix`; the weight is 1."""
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
    t_re, t_im = column_twiddle(_columns_of(tile, C, 1), radix, A, B, COLUMNS)
    re, im = multiply(re.to(tl.float32), im.to(tl.float32), t_re, -t_im)
    re, im = adjoint(re, im, left, right, radix, weight, A, C, B, PARTS)
    return re * peak, im * peak


@launched()
def sequence_columns(
    source, gate, scratch, scales, left, right,
    source_entry, source_channel, gate_entry, gate_channel, first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """First pass of sequences times gate."""
    row, tile = _row_and_tile(C, COLUMNS, TILES)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    n, inside = positions(_columns_of(tile, C, TILES), radix, A, B, COLUMNS)
    x = load_sequence(
        source, entry * source_entry + channel * source_channel,
        gate, entry * gate_entry + channel * gate_channel, n, inside, length, ROOM,
    )  # fmt: skip
    _columns_to_scratch(
        x, x, row, tile, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, True, PARTS, TILES,
    )  # fmt: skip


@launched()
def filter_columns(
    k, scratch, scales, left, right, k_channel, first, taps, centre, wrap, radix, plane,
    WRAPPED: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """First pass of filters."""
    row, tile = _row_and_tile(C, COLUMNS, TILES)
    n, inside = positions(_columns_of(tile, C, TILES), radix, A, B, COLUMNS)
    offset = (first + row).to(tl.int64) * k_channel
    re, im = load_filter(k, offset, n, inside, taps, radix * B * COLUMNS, centre, wrap, WRAPPED)
    _columns_to_scratch(
        re, im, row, tile, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, not WRAPPED, PARTS, TILES,
    )  # fmt: skip


@launched()
def sequence_columns_back(
    scratch, scales, target, gate, second, factor, left, right,
    target_entry, target_channel, gate_entry, gate_channel, factor_entry, factor_channel,
    first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Last pass of sequences: times gate to `target`, times factor to `second`, which lies as that does."""
    row, tile = _row_and_tile(C, COLUMNS, TILES)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    gate_offset = entry * gate_entry + channel * gate_channel
    factor_offset = entry * factor_entry + channel * factor_channel
    end = row_end(length, ROOM)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    y = tl.zeros((A, C, B), target.dtype.element_ty)
    y_before, z, z_before = y, y, y
    for turn in tl.range(TILES):
        y_before, z_before = y, z
        radix_here = anew(radix, turn)
        x, _ = _columns_from_scratch(
            row, tile + turn, scratch, scales, left, right, radix_here, anew(1, turn), plane,
            A, C, B, COLUMNS, BLOCK, TURNS, PARTS,
        )  # fmt: skip
        n, inside = positions(_columns_of(tile + turn, C, 1), radix_here, A, B, COLUMNS)
        inside &= n < end
        if second is not None:
            z = times_loaded(x, factor, factor_offset, n, inside, target)
        y = times_loaded(x, gate, gate_offset, n, inside, target)
    if TILES == 2:
        y, z = halves_joined(y_before, y, A, C, B), halves_joined(z_before, z, A, C, B)
    n, inside = positions(_columns_of(tile, C, TILES), radix, A, B, COLUMNS)
    inside &= n < end
    offset = entry * target_entry + channel * target_channel
    tl.store(target + offset + n, y, inside)
    if second is not None:
        tl.store(second + offset + n, z, inside)


@launched()
def filter_columns_back(
    scratch, scales, near, far, left, right, first, taps, centre, wrap, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Last pass of the filters' gradients."""
    row, tile = _row_and_tile(C, COLUMNS, TILES)
    offset = (first + row).to(tl.int64) * taps
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    for turn in tl.range(TILES):
        radix_here = anew(radix, turn)
        re, im = _columns_from_scratch(
            row, tile + turn, scratch, scales, left, right, radix_here, anew(1, turn), plane,
            A, C, B, COLUMNS, BLOCK, TURNS, PARTS,
        )  # fmt: skip
        n, inside = positions(_columns_of(tile + turn, C, 1), radix_here, A, B, COLUMNS)
        points = radix_here * B * COLUMNS
        store_filter_gradient(re, im, offset, n, inside, taps, points, centre, wrap, near, far)
