"""Three passes of a long convolution: columns, rows there and back with the filter between, columns back.

A program takes one tile of one row of scratch memory; row `entry * channels + channel` belongs to a batch
entry and to a channel counted from `first`. Scratch memory is float32, or float16 with a float32 scale for
each column (first pass) or row (second pass) of it.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    column_tile_offsets,
    column_twiddle,
    load_complex_row,
    load_filter,
    load_gated,
    positions,
    row_tile_offsets,
    spectrum_offsets,
    store_complex_row,
    store_filter_gradient,
    store_gated,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    frequencies,
    multiply,
    normalise,
    transform,
)


@triton.jit
def _column_tile(C: tl.constexpr, COLUMNS: tl.constexpr):
    """Row of this program, and its columns (1, C, 1)."""
    tiles: tl.constexpr = COLUMNS // C
    index = tl.program_id(0)
    return index // tiles, (index % tiles) * C + tl.arange(0, C)[None, :, None]


@triton.jit
def _row_tile(blocks):
    """Row of scratch memory of this program, and its block of rows."""
    index = tl.program_id(0)
    return index // blocks, index % blocks


@triton.jit
def _columns_to_scratch(
    re, im, row, columns, scratch, scales, left, middle, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    REAL: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    re, im, peak = normalise(re, im, REAL, DOT)
    re, im = transform(re, im, left, middle, right, A, C, B, REAL, DOT)
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    re, im = multiply(re, im, t_re, t_im)
    frequency, offsets = column_tile_offsets(columns, A, B, COLUMNS, BLOCK)
    store_complex_row(re, im, scratch, row, offsets, frequency < radix * B, plane)
    if scales is not None:
        tl.store(scales + row.to(tl.int64) * COLUMNS + columns, peak)


@triton.jit
def _columns_from_scratch(
    row, columns, scratch, scales, left, middle, right, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    REAL: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    frequency, offsets = column_tile_offsets(columns, A, B, COLUMNS, BLOCK)
    inside = frequency < radix * B
    re, im = load_complex_row(scratch, row, offsets, inside, plane)
    if scales is not None:
        scale = tl.load(scales + row.to(tl.int64) * (plane // COLUMNS) + frequency, inside, other=0.0)
        re *= scale
        im *= scale
    t_re, t_im = column_twiddle(columns, radix, A, B, COLUMNS)
    re, im = multiply(re, im, t_re, -t_im)
    re, im, peak = normalise(re, im, False, DOT)
    re, im = adjoint(re, im, left, middle, right, A, C, B, REAL, DOT)
    factor = peak / (radix * B * COLUMNS).to(tl.float32)
    return re * factor, im * factor


@triton.jit
def sequence_columns(
    source, gate, scratch, scales, left, middle, right,
    source_entry, source_channel, gate_entry, gate_channel, first, channels, length, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """First pass of sequences times gate."""
    row, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    n, inside = positions(columns, radix, A, B, COLUMNS)
    source_offset = entry * source_entry + channel * source_channel
    gate_offset = entry * gate_entry + channel * gate_channel
    re = load_gated(source, source_offset, gate, gate_offset, n, inside & (n < length))
    _columns_to_scratch(
        re, re, row, columns, scratch, scales, left, middle, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, True, DOT,
    )  # fmt: skip


@triton.jit
def filter_columns(
    k, scratch, scales, left, middle, right, k_channel, first, taps, centre, wrap, radix, plane,
    WRAPPED: tl.constexpr,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """First pass of filters."""
    row, columns = _column_tile(C, COLUMNS)
    n, inside = positions(columns, radix, A, B, COLUMNS)
    offset = (first + row).to(tl.int64) * k_channel
    re, im = load_filter(k, offset, n, inside, taps, radix * B * COLUMNS, centre, wrap, WRAPPED)
    _columns_to_scratch(
        re, im, row, columns, scratch, scales, left, middle, right, radix, plane,
        A, C, B, COLUMNS, BLOCK, not WRAPPED, DOT,
    )  # fmt: skip


@triton.jit
def sequence_columns_back(
    scratch, scales, target, gate, second, factor, left, middle, right,
    gate_entry, gate_channel, factor_entry, factor_channel, first, channels, all_channels, length,
    radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Last pass of sequences: times gate to `target`, times factor to `second`, both contiguous."""
    row, columns = _column_tile(C, COLUMNS)
    entry, channel = (row // channels).to(tl.int64), (first + row % channels).to(tl.int64)
    x, _ = _columns_from_scratch(
        row, columns, scratch, scales, left, middle, right, radix, plane, A, C, B, COLUMNS, BLOCK, True, DOT
    )
    n, inside = positions(columns, radix, A, B, COLUMNS)
    store_gated(
        x, (entry * all_channels + channel) * length, n, inside & (n < length), target,
        gate, entry * gate_entry + channel * gate_channel,
        second, factor, entry * factor_entry + channel * factor_channel,
    )  # fmt: skip


@triton.jit
def filter_columns_back(
    scratch, scales, near, far, left, middle, right, first, taps, centre, wrap, radix, plane,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Last pass of the filters' gradients."""
    row, columns = _column_tile(C, COLUMNS)
    real: tl.constexpr = far is None
    re, im = _columns_from_scratch(
        row, columns, scratch, scales, left, middle, right, radix, plane, A, C, B, COLUMNS, BLOCK, real, DOT
    )
    n, inside = positions(columns, radix, A, B, COLUMNS)
    offset = (first + row).to(tl.int64) * taps
    store_filter_gradient(re, im, offset, n, inside, taps, radix * B * COLUMNS, centre, wrap, near, far)


@triton.jit
def _rows_forward(
    row, block, rows, scratch, column_scales, left, middle, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    index, column, offsets = row_tile_offsets(block, P, BLOCK, Q)
    re, im = load_complex_row(scratch, row, offsets, index < rows, plane)
    if column_scales is not None:
        scale = tl.load(column_scales + row.to(tl.int64) * (P * Q) + column)
        re *= scale
        im *= scale
    return frequencies(re, im, left, middle, right, P, BLOCK, Q, False, DOT)


@triton.jit
def _filter(row, block, rows, spectrum, skip, channel, P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr):
    """Tile of a filter's spectrum, the skip term added: `skip` (may be None) times the identity."""
    index, _, _ = row_tile_offsets(block, P, BLOCK, Q)
    offsets = spectrum_offsets(index, P, Q)
    re, im = load_complex_row(spectrum, row, offsets, index < rows, rows * (P * Q))
    if skip is not None:
        re += tl.load(skip + channel).to(tl.float32)
    return re, im


@triton.jit
def _rows_back(
    re, im, row, block, rows, scratch, row_scales, left, middle, right, plane,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    re, im, peak = normalise(re, im, False, DOT)
    re, im = adjoint(re, im, left, middle, right, P, BLOCK, Q, False, DOT)
    index, _, offsets = row_tile_offsets(block, P, BLOCK, Q)
    store_complex_row(re, im, scratch, row, offsets, index < rows, plane)
    if row_scales is not None:
        tl.store(row_scales + row.to(tl.int64) * (plane // (P * Q)) + index, peak)


@triton.jit
def rows_forward(
    scratch, column_scales, spectrum, left, middle, right, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Second pass of filters, or of sequences, from scratch to spectra in float32."""
    row, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    re, im = _rows_forward(
        row, block, rows, scratch, column_scales, left, middle, right, plane, P, BLOCK, Q, DOT
    )
    index, _, _ = row_tile_offsets(block, P, BLOCK, Q)
    offsets = spectrum_offsets(index, P, Q)
    store_complex_row(re, im, spectrum, row, offsets, index < rows, rows * (P * Q))


@triton.jit
def sequence_rows(
    scratch, column_scales, row_scales, spectrum, skip, left, middle, right, first, channels, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Second pass of sequences, in place: to frequencies, times the filter's spectrum, and back."""
    row, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    re, im = _rows_forward(
        row, block, rows, scratch, column_scales, left, middle, right, plane, P, BLOCK, Q, DOT
    )
    channel = row % channels
    h_re, h_im = _filter(channel, block, rows, spectrum, skip, first + channel, P, BLOCK, Q)
    re, im = multiply(re, im, h_re, h_im)
    _rows_back(re, im, row, block, rows, scratch, row_scales, left, middle, right, plane, P, BLOCK, Q, DOT)


@triton.jit
def gradient_rows(
    scratch, column_scales, gradients, gradient_column_scales, gradient_row_scales, products, spectrum, skip,
    left, middle, right, first, channels, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Second pass of the backward: `gradients` of the result become those of the sequence, in place.

    `products` receives the spectrum of the filter's gradient from this batch entry, in float32. With
    `scratch` None it holds the sequences' spectrum until then.
    """
    row, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    if scratch is not None:
        v_re, v_im = _rows_forward(
            row, block, rows, scratch, column_scales, left, middle, right, plane, P, BLOCK, Q, DOT
        )
    re, im = _rows_forward(
        row, block, rows, gradients, gradient_column_scales, left, middle, right, plane, P, BLOCK, Q, DOT
    )
    index, _, _ = row_tile_offsets(block, P, BLOCK, Q)
    offsets = spectrum_offsets(index, P, Q)
    if scratch is None:
        v_re, v_im = load_complex_row(products, row, offsets, index < rows, rows * (P * Q))
    v_re, v_im = multiply(re, im, v_re, -v_im)
    store_complex_row(v_re, v_im, products, row, offsets, index < rows, rows * (P * Q))
    channel = row % channels
    h_re, h_im = _filter(channel, block, rows, spectrum, skip, first + channel, P, BLOCK, Q)
    re, im = multiply(re, im, h_re, -h_im)
    _rows_back(
        re, im, row, block, rows, gradients, gradient_row_scales, left, middle, right, plane, P, BLOCK, Q, DOT
    )


@triton.jit
def filter_rows_back(
    products, scratch, row_scales, left, middle, right, channels, entries, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Second pass of the filters' gradients, whose spectra are summed over the batch here."""
    channel, block = _row_tile(blocks)
    plane = blocks * (BLOCK * P * Q)
    index, _, _ = row_tile_offsets(block, P, BLOCK, Q)
    offsets = spectrum_offsets(index, P, Q)
    re, im = load_complex_row(products, channel, offsets, index < rows, rows * (P * Q))
    for entry in tl.range(1, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        more_re, more_im = load_complex_row(products, row, offsets, index < rows, rows * (P * Q))
        re += more_re
        im += more_im
    _rows_back(
        re, im, channel, block, rows, scratch, row_scales, left, middle, right, plane, P, BLOCK, Q, DOT
    )
