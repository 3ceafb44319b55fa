"""Three passes of a long convolution: columns, rows there and back with the filter between, columns back.

A program takes one tile of one row of scratch memory; row `entry * channels + channel` belongs to a batch
entry and to a channel counted from `first`. Scratch memory is float32, or float16 with a float32 scale for
each tile of the pass that wrote it.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    column_tile_offsets,
    column_twiddle,
    columns_as_stored,
    columns_as_tile,
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
from genoseq_kernels.fft_conv.triton_impl.transform import adjoint, load_matrix, multiply, shrink, transform


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
    offsets, inside = column_tile_offsets(tile, plane // (COLUMNS * BLOCK), A, C, B, COLUMNS, BLOCK)
    store_complex_row(re, im, scratch, row, offsets, inside, plane)
    if scales is not None:
        tl.store(scales + row.to(tl.int64) * (COLUMNS // C) + tile, peak)


@triton.jit
def _columns_from_scratch(
    row, tile, columns, scratch, scales, left, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    blocks = plane // (COLUMNS * BLOCK)
    offsets, inside = column_tile_offsets(tile, blocks, A, C, B, COLUMNS, BLOCK)
    re, im = load_complex_row(scratch, row, offsets, inside, plane)
    if scales is None:
        re, im, peak = shrink(re, im, False)
    else:
        block = tl.arange(0, A * B // BLOCK)[:, None]
        scale = tl.load(scales + row.to(tl.int64) * blocks + block, inside, other=0.0)
        peak = tl.max(scale)
        scale *= 1 / peak
        re *= scale
        im *= scale
    re, im = columns_as_tile(re, A, C, B, BLOCK), columns_as_tile(im, A, C, B, BLOCK)
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    re, im = multiply(re, im, t_re, -t_im)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    re, im = adjoint(re, im, left, right, radix, 1, A, C, B, PARTS)
    return re * peak, im * peak


@triton.jit
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
    source_offset = entry * source_entry + channel * source_channel
    gate_offset = entry * gate_entry + channel * gate_channel
    x = load_gated(source, source_offset, gate, gate_offset, n, inside & (n < row_end(length, ROOM)))
    if ROOM:
        x = tl.where(n < length, x, 0.0)
    _columns_to_scratch(
        x, x, row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, True, PARTS,
    )  # fmt: skip


@triton.jit
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


@triton.jit
def sequence_columns_back(
    scratch, scales, target, gate, second, factor, left, right,
    target_entry, target_channel, gate_entry, gate_channel, factor_entry, factor_channel,
    first, channels, length, radix, plane,
    ROOM: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Last pass of sequences: times gate to `target`, times factor to `second`, which lies as that does."""
    row, tile, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    x, _ = _columns_from_scratch(
        row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, PARTS,
    )  # fmt: skip
    n, inside = positions(columns, radix, A, B, COLUMNS)
    store_gated(
        x, entry * target_entry + channel * target_channel, n, inside & (n < row_end(length, ROOM)), target,
        gate, entry * gate_entry + channel * gate_channel,
        second, factor, entry * factor_entry + channel * factor_channel,
    )  # fmt: skip


@triton.jit
def filter_columns_back(
    scratch, scales, near, far, left, right, first, taps, centre, wrap, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Last pass of the filters' gradients."""
    row, tile, columns = _column_tile(C, COLUMNS)
    re, im = _columns_from_scratch(
        row, tile, columns, scratch, scales, left, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, PARTS,
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
def _rows_forward(
    row, block, scratch, scales, left, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Frequencies (P, BLOCK, Q) of a tile of rows, and what to multiply them by."""
    re, im = load_complex_row(scratch, row, row_tile_offsets(block, P, BLOCK, Q, C), None, plane)
    if scales is None:
        re, im, peak = shrink(re, im, False)
    else:
        scale = tl.load(scales + row.to(tl.int64) * (P * Q // C) + tl.arange(0, P * Q // C)[:, None])
        peak = tl.max(scale)
        scale *= 1 / peak
        re *= scale
        im *= scale
    re, im = rows_as_tile(re, P, BLOCK, Q), rows_as_tile(im, P, BLOCK, Q)
    re, im = transform(re, im, left, right, P, 0, P, BLOCK, Q, False, PARTS)
    return re, im, peak


@triton.jit
def _rows_back(
    re, im, factor, row, block, scratch, scales, left, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """From frequencies, to be multiplied by the factor, to scratch."""
    re, im, peak = shrink(re, im, False)
    re, im = adjoint(re, im, left, right, P, 0, P, BLOCK, Q, PARTS)
    if scales is None:
        re, im = re * (peak * factor), im * (peak * factor)
    re, im = rows_as_stored(re, P, BLOCK, Q, C), rows_as_stored(im, P, BLOCK, Q, C)
    store_complex_row(re, im, scratch, row, row_tile_offsets(block, P, BLOCK, Q, C), None, plane)
    if scales is not None:
        blocks = plane // (P * Q * BLOCK)
        tl.store(scales + row.to(tl.int64) * blocks + block, peak * factor)


@triton.jit
def _kept(x, PARTS: tl.constexpr):
    """Frequencies of a scaled tile, in half the registers where results are 16-bit."""
    return x.to(tl.float16) if PARTS == 1 else x


@triton.jit
def _filter_rows(
    channel, block, rows, filters, scales, spectrum, left, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Tile of a filter's spectrum, and what to multiply it by.

    Of `spectrum` where that is given, else of the filters in scratch memory.
    """
    if spectrum is None:
        re, im, factor = _rows_forward(
            channel, block, filters, scales, left, right, plane, P, BLOCK, Q, C, PARTS
        )
        re, im = _kept(re, PARTS), _kept(im, PARTS)
        factor *= tl.sqrt(tl.cast(rows * (P * Q), tl.float32))
    else:
        index = rows_of_block(block, BLOCK)
        offsets = spectrum_offsets(index, P, Q)
        re, im = load_complex_row(spectrum, channel, offsets, index < rows, rows * (P * Q))
        factor = 1.0
    return re, im, factor


@triton.jit
def _filtered(re, im, h_re, h_im, factor, skip, channel):
    """Frequencies times a filter's, and the skip term: `skip` (may be None) times the identity."""
    y_re, y_im = multiply(re, im, h_re.to(tl.float32), h_im.to(tl.float32))
    y_re, y_im = y_re * factor, y_im * factor
    if skip is not None:
        weight = tl.load(skip + channel).to(tl.float32)
        y_re, y_im = y_re + re * weight, y_im + im * weight
    return y_re, y_im


@triton.jit
def filter_rows(
    filters, scales, spectrum, left, right, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of filters, from scratch to spectra in float32."""
    channel, block = _row_tile(blocks)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    re, im, factor = _filter_rows(
        channel, block, rows, filters, scales, None, left, right, blocks * (BLOCK * P * Q),
        P, BLOCK, Q, C, PARTS,
    )  # fmt: skip
    re, im = re.to(tl.float32) * factor, im.to(tl.float32) * factor
    index = rows_of_block(block, BLOCK)
    store_complex_row(re, im, spectrum, channel, spectrum_offsets(index, P, Q), index < rows, rows * (P * Q))


@triton.jit
def sequence_rows(
    scratch, column_scales, row_scales, filters, filter_scales, spectrum, skip, left, right,
    first, channels, entries, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of the sequences of a channel, in place: to frequencies, times the filter's, and back."""
    channel, block = _row_tile(blocks)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    plane = blocks * (BLOCK * P * Q)
    h_re, h_im, h_factor = _filter_rows(
        channel, block, rows, filters, filter_scales, spectrum, left, right, plane,
        P, BLOCK, Q, C, PARTS,
    )  # fmt: skip
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        re, im, factor = _rows_forward(
            row, block, scratch, column_scales, left, right, plane, P, BLOCK, Q, C, PARTS
        )
        re, im = _filtered(re, im, h_re, h_im, h_factor, skip, first + channel)
        _rows_back(
            re, im, factor, row, block, scratch, row_scales, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip


@triton.jit
def gradient_rows(
    scratch, column_scales, gradients, gradient_column_scales, gradient_row_scales,
    filters, filter_column_scales, filter_row_scales, skip, left, right,
    first, channels, entries, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of the backward, in place: `gradients` of the result become those of the sequences, and
    `filters` their own gradients, summed over the batch."""
    channel, block = _row_tile(blocks)
    left, right = _row_matrices(left, right, P, Q, PARTS)
    plane = blocks * (BLOCK * P * Q)
    sum_re = tl.zeros((P, BLOCK, Q), tl.float32)
    sum_im = tl.zeros((P, BLOCK, Q), tl.float32)
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        g_re, g_im, g_factor = _rows_forward(
            row, block, gradients, gradient_column_scales, left, right, plane, P, BLOCK, Q, C, PARTS
        )
        g_re, g_im = _kept(g_re, PARTS), _kept(g_im, PARTS)
        re, im, factor = _rows_forward(
            row, block, scratch, column_scales, left, right, plane, P, BLOCK, Q, C, PARTS
        )
        factor *= g_factor
        re, im = multiply(g_re.to(tl.float32), g_im.to(tl.float32), re, -im)
        sum_re += re * factor
        sum_im += im * factor
        # Made anew for each entry: registers do not hold it beside the others.
        h_re, h_im, h_factor = _filter_rows(
            channel, block, rows, filters, filter_column_scales, None, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip
        re, im = g_re.to(tl.float32), g_im.to(tl.float32)
        re, im = _filtered(re, im, h_re, -h_im, h_factor, skip, first + channel)
        _rows_back(
            re, im, g_factor, row, block, gradients, gradient_row_scales, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip
    _rows_back(
        sum_re, sum_im, tl.sqrt(tl.cast(rows * (P * Q), tl.float32)), channel, block, filters,
        filter_row_scales, left, right, plane, P, BLOCK, Q, C, PARTS,
    )  # fmt: skip
