"""Three passes of a long convolution: columns, rows there and back with the filter between, columns back.

A program takes one tile of one row of scratch memory; row `entry * channels + channel` belongs to a batch
entry and to a channel counted from `first`. Scratch memory is float32, or float16 with a float32 scale for
each tile of the pass that wrote it.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

from functools import partial

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    column_tile_offsets,
    column_twiddle,
    columns_as_stored,
    columns_as_tile,
    dealt,
    gathered,
    load_complex_row,
    load_filter,
    load_gated,
    positions,
    row_end,
    row_tile_offsets,
    rows_as_stored,
    rows_as_tile,
    rows_of_block,
    spectrum_offsets,
    store_complex_row,
    store_filter_gradient,
    store_gated,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    load_matrix,
    multiply,
    power_of_two,
    shrink,
    transform,
)

_LIFT = tl.constexpr(4.0)
_jit = partial(
    triton.jit, do_not_specialize_on_alignment=["first", "channels", "entries", "radix", "blocks", "rows"]
)
"""Of kernels that are launched: what divides these integers tells nothing, and would compile them again."""


@triton.jit
def _column_tile(C: tl.constexpr, COLUMNS: tl.constexpr):
    """Row of this program, its tile, and the tile's columns (1, C, 1)."""
    tiles: tl.constexpr = COLUMNS // C
    index = tl.program_id(0)
    tile = index % tiles
    return index // tiles, tile, tile * C + tl.arange(0, C)[None, :, None]


@triton.jit
def _row_tile(blocks):
    """Row of scratch memory of this program, and its block of rows."""
    index = tl.program_id(0)
    return index // blocks, index % blocks


@triton.jit
def _alike(re, im, scale):
    """Lines over scales of their own, powers of two, over the largest of them; and that one."""
    peak = tl.max(scale)
    ratio = (scale * (1 / peak)).to(re.dtype)[:, None]
    return re * ratio, im * ratio, peak


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
        re, im, peak = _alike(re, im, scale)
    re, im = gathered(re, TURNS), gathered(im, TURNS)
    re, im = columns_as_tile(re, A, C, B, BLOCK), columns_as_tile(im, A, C, B, BLOCK)
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    re, im = multiply(re.to(tl.float32), im.to(tl.float32), t_re, -t_im)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    re, im = adjoint(re, im, left, right, radix, 1, A, C, B, PARTS)
    return re * peak, im * peak


@_jit()
def sequence_columns(
    source, gate, scratch, scales, left, right,
    source_entry, source_channel, gate_entry, gate_channel, first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """First pass of sequences times gate."""
    row, tile, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    n, inside = positions(columns, radix, A, B, COLUMNS)
    source_offset = entry * source_entry + channel * source_channel
    gate_offset = entry * gate_entry + channel * gate_channel
    x = load_gated(source, source_offset, gate, gate_offset, n, inside & (n < row_end(length, ROOM)))
    if ROOM:
        x = tl.where(n < length, x, 0.0)
    _columns_to_scratch(
        x, x, row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, True, PARTS,
    )  # fmt: skip


@_jit()
def filter_columns(
    k, scratch, scales, left, right, k_channel, first, taps, centre, wrap, radix, plane,
    WRAPPED: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    TURNS: tl.constexpr, PARTS: tl.constexpr,
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


@_jit()
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


@_jit()
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


@triton.jit
def _row_matrices(left, right, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr):
    left = load_matrix(left, P, PARTS)
    if P == Q:  # the same one, in the same registers
        return left, left
    else:
        return left, load_matrix(right, Q, PARTS)


@triton.jit
def _load_rows(
    row, block, scratch, scales, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
):  # fmt: skip
    """A tile of rows as it lies in scratch memory, lines in the order of `dealt`, and the lines' scales."""
    lines = dealt(P * Q // C, TURNS, max(1, Q // C))
    offsets = row_tile_offsets(block, lines, P, BLOCK, Q, C)
    re, im = load_complex_row(scratch, row, 2 * plane, offsets, None, C * BLOCK)
    if scales is None:
        return re, im, tl.full((1,), 1.0, tl.float32)
    else:
        return re, im, tl.load(scales + row.to(tl.int64) * (P * Q // C) + lines)


@triton.jit
def _rows_forward(
    tile, left, right,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Frequencies (P, BLOCK, Q) of what `_load_rows` gave, and what to multiply them by."""
    re, im, scale = tile
    if PARTS == 2:
        re, im, peak = shrink(re, im, False)
    else:
        re, im, peak = _alike(re, im, scale)
    INNER: tl.constexpr = max(1, Q // C)
    re, im = gathered(re, TURNS, INNER), gathered(im, TURNS, INNER)
    re, im = rows_as_tile(re, P, BLOCK, Q), rows_as_tile(im, P, BLOCK, Q)
    re, im = transform(re, im, left, right, P, 0, P, BLOCK, Q, False, PARTS)
    return re, im, peak


@triton.jit
def _rows_back(
    re, im, factor, row, block, scratch, scales, left, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """From frequencies, to be multiplied by the factor, to scratch; 16-bit ones by a power of two."""
    if PARTS == 2:
        re, im, peak = shrink(re, im, False)
        factor *= peak
    re, im = adjoint(re, im, left, right, P, 0, P, BLOCK, Q, PARTS)
    if scales is None:
        re, im = re * factor, im * factor
    re, im = rows_as_stored(re, P, BLOCK, Q, C), rows_as_stored(im, P, BLOCK, Q, C)
    offsets = row_tile_offsets(block, tl.arange(0, P * Q // C), P, BLOCK, Q, C)
    store_complex_row(re, im, scratch, row, 2 * plane, offsets, None, C * BLOCK)
    if scales is not None:
        blocks = plane // (P * Q * BLOCK)
        tl.store(scales + row.to(tl.int64) * blocks + block, factor)


@triton.jit
def _kept(x, PARTS: tl.constexpr):
    """Frequencies of a scaled tile, in half the registers where results are 16-bit."""
    return x.to(tl.float16) if PARTS == 1 else x


@triton.jit
def _load_spectrum(spectrum, channel, block, rows, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr):
    """Tile of a filter's spectrum, made before, and what to multiply it by."""
    index = rows_of_block(block, BLOCK)
    size = rows * (P * Q)
    offsets = spectrum_offsets(index, P, Q)
    re, im = load_complex_row(spectrum, channel, 2 * size, offsets, index < rows, size)
    return shrink(re, im, False)


@triton.jit
def _with_skip(re, im, factor, skip, channel, PARTS: tl.constexpr):
    """A filter's tile and the skip term, `skip` (may be None) times the identity; and what to multiply by.

    16-bit ones over less than their largest value: products of two flat spectra would be too small, and sums
    of products are bounded by the square of the tile's size whatever they are (Cauchy and Schwarz).
    """
    weight = 0.0
    strength = power_of_two(factor)
    if skip is not None:
        weight = tl.load(skip + channel).to(tl.float32)
        strength = power_of_two(tl.maximum(factor, tl.abs(weight)))
    if PARTS == 1:
        strength *= 1 / _LIFT
    share = factor / strength
    return _kept(re * share + weight / strength, PARTS), _kept(im * share, PARTS), strength


@_jit()
def filter_rows(
    filters, scales, spectrum, left, right, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of filters, from scratch to spectra in float32."""
    channel, block = _row_tile(blocks)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    tile = _load_rows(channel, block, filters, scales, blocks * (BLOCK * P * Q), P, BLOCK, Q, C, TURNS)
    re, im, factor = _rows_forward(tile, left, right, P, BLOCK, Q, C, TURNS, PARTS)
    size = rows * (P * Q)
    factor *= tl.sqrt(tl.cast(size, tl.float32))
    index = rows_of_block(block, BLOCK)
    offsets = spectrum_offsets(index, P, Q)
    store_complex_row(re * factor, im * factor, spectrum, channel, 2 * size, offsets, index < rows, size)


@_jit()
def sequence_rows(
    scratch, column_scales, row_scales, filters, filter_scales, spectrum, skip, left, right,
    first, channels, entries, blocks, rows,
    ALONE: tl.constexpr,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of the sequences of a channel, in place: to frequencies, times the filter's, and back.

    ALONE says that there is one entry.

    The filter's spectrum is that of `spectrum` where it is given, else of the filters in scratch memory.
    """
    channel, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    if ALONE:  # loaded while the filter is transformed
        tile = _load_rows(channel, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    if spectrum is None:
        taps = _load_rows(channel, block, filters, filter_scales, plane, P, BLOCK, Q, C, TURNS)
        h_re, h_im, h_factor = _rows_forward(taps, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        h_factor *= tl.sqrt(tl.cast(rows * (P * Q), tl.float32))
    else:
        h_re, h_im, h_factor = _load_spectrum(spectrum, channel, block, rows, P, BLOCK, Q)
    h_re, h_im, h_factor = _with_skip(h_re, h_im, h_factor, skip, first + channel, PARTS)
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        if not ALONE:
            tile = _load_rows(row, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
        re, im, factor = _rows_forward(tile, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        re, im = multiply(_kept(re, PARTS), _kept(im, PARTS), h_re, h_im)
        _rows_back(
            re, im, factor * h_factor, row, block, scratch, row_scales, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip


@_jit()
def gradient_rows(
    scratch, column_scales, gradients, gradient_column_scales, gradient_row_scales,
    filters, filter_column_scales, filter_row_scales, skip, left, right,
    first, channels, entries, blocks, rows,
    ALONE: tl.constexpr,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of the backward, in place: `gradients` of the result become those of the sequences, and
    `filters` their own gradients, summed over the batch."""
    channel, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    size = tl.sqrt(tl.cast(rows * (P * Q), tl.float32))
    taps = _load_rows(channel, block, filters, filter_column_scales, plane, P, BLOCK, Q, C, TURNS)
    if ALONE:
        outer = _load_rows(channel, block, gradients, gradient_column_scales, plane, P, BLOCK, Q, C, TURNS)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    h_re, h_im, h_factor = _rows_forward(taps, left, right, P, BLOCK, Q, C, TURNS, PARTS)
    h_re, h_im, h_factor = _with_skip(h_re, h_im, h_factor * size, skip, first + channel, PARTS)
    sum_re = tl.zeros((P, BLOCK, Q), tl.float32)
    sum_im = tl.zeros((P, BLOCK, Q), tl.float32)
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        if ALONE:
            tile = _load_rows(row, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
        else:
            outer = _load_rows(row, block, gradients, gradient_column_scales, plane, P, BLOCK, Q, C, TURNS)
        g_re, g_im, g_factor = _rows_forward(outer, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        g_re, g_im = _kept(g_re, PARTS), _kept(g_im, PARTS)
        re, im = multiply(g_re, g_im, h_re, -h_im)
        _rows_back(
            re, im, g_factor * h_factor, row, block, gradients, gradient_row_scales, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip
        if not ALONE:
            tile = _load_rows(row, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
        re, im, factor = _rows_forward(tile, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        re, im = multiply(g_re.to(tl.float32), g_im.to(tl.float32), re, -im)
        factor *= g_factor * size
        sum_re += re * factor
        sum_im += im * factor
    sum_re, sum_im, factor = shrink(sum_re, sum_im, False)
    _rows_back(
        sum_re, sum_im, factor, channel, block, filters, filter_row_scales, left, right, plane,
        P, BLOCK, Q, C, PARTS,
    )  # fmt: skip
