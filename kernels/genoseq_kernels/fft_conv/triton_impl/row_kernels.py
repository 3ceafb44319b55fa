"""Second pass of a long convolution: rows, there and back with the filter between.

Row `entry * channels + channel` of scratch memory belongs to a batch entry and to a channel counted from
`first`. Scratch memory is float32, or float16 with a float32 scale, a power of two, for each tile of the pass
that wrote it.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    dealt,
    gathered,
    launched,
    load_complex_row,
    load_spectrum,
    row_tile_offsets,
    rows_as_stored,
    rows_as_tile,
    rows_of_block,
    spectrum_offsets,
    store_complex_row,
    with_skip,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    alike,
    kept,
    load_matrices,
    multiply,
    shrink,
    transform,
)


@triton.jit
def _row_tile(blocks):
    """Row of scratch memory of this program, and its block of rows."""
    index = tl.program_id(0)
    return index // blocks, index % blocks


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
        re, im, peak = alike(re, im, scale)
    INNER: tl.constexpr = max(1, Q // C)
    re, im = gathered(re, TURNS, INNER), gathered(im, TURNS, INNER)
    re, im = rows_as_tile(re, P, BLOCK, Q), rows_as_tile(im, P, BLOCK, Q)
    re, im = transform(re, im, left, right, P, 0, P, BLOCK, Q, False, PARTS)
    if PARTS == 1 and P * Q > 1024:  # float16 would not reach from the most to the least of so many numbers
        re, im, more = shrink(re, im, False)
        peak *= more
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


@launched()
def filter_rows(
    filters, scales, spectrum, left, right, blocks, rows,
    P: tl.constexpr, BLOCK: tl.constexpr, Q: tl.constexpr, C: tl.constexpr, TURNS: tl.constexpr,
    PARTS: tl.constexpr,
):  # fmt: skip
    """Second pass of filters, from scratch to spectra in float32."""
    channel, block = _row_tile(blocks)
    left, right = load_matrices(left, right, P, Q, PARTS)
    tile = _load_rows(channel, block, filters, scales, blocks * (BLOCK * P * Q), P, BLOCK, Q, C, TURNS)
    re, im, factor = _rows_forward(tile, left, right, P, BLOCK, Q, C, TURNS, PARTS)
    size = rows * (P * Q)
    factor *= tl.sqrt(tl.cast(size, tl.float32))
    index = rows_of_block(block, BLOCK)
    offsets = spectrum_offsets(index, P, Q)
    store_complex_row(re * factor, im * factor, spectrum, channel, 2 * size, offsets, index < rows, size)


@launched()
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
    left, right = load_matrices(left, right, P, Q, PARTS)
    if spectrum is None:
        taps = _load_rows(channel, block, filters, filter_scales, plane, P, BLOCK, Q, C, TURNS)
        h_re, h_im, h_factor = _rows_forward(taps, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        h_factor *= tl.sqrt(tl.cast(rows * (P * Q), tl.float32))
    else:
        h_re, h_im = load_spectrum(spectrum, channel, block, rows, P, BLOCK, Q)
        h_factor = 1.0
    h_re, h_im, h_factor = with_skip(h_re, h_im, h_factor, skip, first + channel, rows * (P * Q), PARTS)
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        if not ALONE:
            tile = _load_rows(row, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
        re, im, factor = _rows_forward(tile, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        re, im = multiply(kept(re, PARTS), kept(im, PARTS), h_re, h_im)
        _rows_back(
            re, im, factor * h_factor, row, block, scratch, row_scales, left, right, plane,
            P, BLOCK, Q, C, PARTS,
        )  # fmt: skip


@launched()
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
    left, right = load_matrices(left, right, P, Q, PARTS)
    h_re, h_im, h_factor = _rows_forward(taps, left, right, P, BLOCK, Q, C, TURNS, PARTS)
    h_factor *= size
    h_re, h_im, h_factor = with_skip(h_re, h_im, h_factor, skip, first + channel, rows * (P * Q), PARTS)
    sum_re = tl.zeros((P, BLOCK, Q), tl.float32)
    sum_im = tl.zeros((P, BLOCK, Q), tl.float32)
    for entry in tl.range(0, entries, num_stages=1, disable_licm=True):
        row = entry * channels + channel
        if ALONE:
            tile = _load_rows(row, block, scratch, column_scales, plane, P, BLOCK, Q, C, TURNS)
        else:
            outer = _load_rows(row, block, gradients, gradient_column_scales, plane, P, BLOCK, Q, C, TURNS)
        g_re, g_im, g_factor = _rows_forward(outer, left, right, P, BLOCK, Q, C, TURNS, PARTS)
        g_re, g_im = kept(g_re, PARTS), kept(g_im, PARTS)
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
