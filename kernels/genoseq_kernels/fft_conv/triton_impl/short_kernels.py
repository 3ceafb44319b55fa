"""Short convolutions, everything in one kernel: a program takes C channels, and batch entries in turn.

An entry may be one of `windows` of a long sequence, `hop` positions apart, as `plan.Cut` says.
`tl.program_id(1)` is the first entry of a program, the number of programs there its stride.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    load_complex_row,
    load_filter,
    load_gated,
    positions,
    spectrum_offsets,
    store_complex_row,
    store_filter_gradient,
    store_gated,
)
from genoseq_kernels.fft_conv.triton_impl.transform import adjoint, load_matrix, multiply, shrink, transform


@triton.jit
def _tile(channels, radix, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr):
    """Channels (1, C, 1) of this program, positions (A, 1, B), and which of all (A, C, B) exist."""
    channel = tl.program_id(0).to(tl.int64) * C + tl.arange(0, C)[None, :, None]
    n, inside = positions(0, radix, A, B, 1)
    return channel, n, inside & (channel < channels)


@triton.jit
def _frequencies(
    re, im, left, right, radix,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    re, im, peak = shrink(re, im, REAL, True)
    re, im = transform(re, im, left, right, radix, 1, A, C, B, REAL, PARTS)
    return re * peak, im * peak


@triton.jit
def _back(re, im, left, right, radix, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr):
    re, im, peak = shrink(re, im, False, True)
    re, im = adjoint(re, im, left, right, radix, 1, A, C, B, PARTS)
    return re * peak, im * peak


@triton.jit
def _make_filter(
    k, skip, left, right, channel, n, inside, k_channel, channels, taps, radix, centre, wrap,
    WRAPPED: tl.constexpr, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Spectrum of a tile's filters, made of their taps."""
    re, im = load_filter(k, channel * k_channel, n, inside, taps, radix * B, centre, wrap, WRAPPED)
    re, im = _frequencies(re, im, left, right, radix, A, C, B, not WRAPPED, PARTS)
    size = tl.sqrt(tl.cast(radix * B, tl.float32))
    return _add_skip(re * size, skip, channel, channels), im * size


@triton.jit
def _load_filter(spectrum, skip, channel, channels, A: tl.constexpr, B: tl.constexpr):
    """Spectrum of a tile's filters, made before."""
    offsets = spectrum_offsets(0, A, B)
    re, im = load_complex_row(spectrum, channel, 2 * A * B, offsets, channel < channels, A * B)
    return _add_skip(re, skip, channel, channels), im


@triton.jit
def _add_skip(re, skip, channel, channels):
    """The skip term, which is `skip` (may be None) times the identity."""
    if skip is not None:
        re += tl.load(skip + channel, channel < channels, other=0.0).to(tl.float32)
    return re


@triton.jit
def short_spectrum(
    k, spectrum, left, right, k_channel, channels, taps, centre, wrap, radix,
    WRAPPED: tl.constexpr, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Spectra of filters, in float32."""
    channel, n, inside = _tile(channels, radix, A, C, B)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    re, im = _make_filter(
        k, None, left, right, channel, n, inside, k_channel, channels, taps, radix, centre, wrap,
        WRAPPED, A, C, B, PARTS,
    )  # fmt: skip
    offsets = spectrum_offsets(0, A, B)
    store_complex_row(re, im, spectrum, channel, 2 * A * B, offsets, channel < channels, A * B)


@triton.jit
def short_forward(
    u, k, skip, gate_in, gate_out, spectrum, y, convolved, left, right,
    u_entry, u_channel, k_channel, in_entry, in_channel, out_entry, out_channel, y_entry, y_channel,
    entries, channels, length, windows, hop, lead, taps, centre, wrap, radix,
    WRAPPED: tl.constexpr, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The convolution; the filters' spectrum is made here where it is not given."""
    channel, n, inside = _tile(channels, radix, A, C, B)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    if spectrum is None:
        h_re, h_im = _make_filter(
            k, skip, left, right, channel, n, inside, k_channel, channels, taps, radix, centre,
            wrap, WRAPPED, A, C, B, PARTS,
        )  # fmt: skip
    else:
        h_re, h_im = _load_filter(spectrum, skip, channel, channels, A, B)
    for index in tl.range(tl.program_id(1), entries, tl.num_programs(1), num_stages=1, disable_licm=True):
        entry = tl.cast(index // windows, tl.int64)
        place = n + ((index % windows) * hop - lead)
        present = inside & (place >= 0) & (place < length)
        u_offset = entry * u_entry + channel * u_channel
        re = load_gated(u, u_offset, gate_in, entry * in_entry + channel * in_channel, place, present)
        re, im = _frequencies(re, re, left, right, radix, A, C, B, True, PARTS)
        re, im = multiply(re, im, h_re, h_im)
        re, im = _back(re, im, left, right, radix, A, C, B, PARTS)
        store_gated(
            re, entry * y_entry + channel * y_channel, place, present & (n >= lead), y,
            gate_out, entry * out_entry + channel * out_channel, convolved, None, 0,
        )  # fmt: skip


@triton.jit
def short_backward(
    grad, u, spectrum, skip, gate_in, gate_out, grad_u, grad_gate_in, near, far, left, right,
    grad_entry, grad_channel, u_entry, u_channel, in_entry, in_channel, out_entry, out_channel,
    y_entry, y_channel, entries, channels, length, windows, hop, taps, centre, wrap, radix,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Gradients of u and gate_in, and of k summed over the entries of this program, a row of its own."""
    channel, n, inside = _tile(channels, radix, A, C, B)
    left, right = load_matrix(left, A, PARTS), load_matrix(right, B, PARTS)
    sum_re = tl.zeros((A, C, B), tl.float32)
    sum_im = tl.zeros((A, C, B), tl.float32)
    for index in tl.range(tl.program_id(1), entries, tl.num_programs(1), num_stages=1, disable_licm=True):
        entry = tl.cast(index // windows, tl.int64)
        place = n + (index % windows) * hop
        present = inside & (place < length)
        begun = present & (n < hop)
        u_offset = entry * u_entry + channel * u_channel
        in_offset = entry * in_entry + channel * in_channel
        out_offset = entry * out_entry + channel * out_channel
        g_offset = entry * grad_entry + channel * grad_channel
        re = load_gated(u, u_offset, gate_in, in_offset, place, begun)
        v_re, v_im = _frequencies(re, re, left, right, radix, A, C, B, True, PARTS)
        re = load_gated(grad, g_offset, gate_out, out_offset, place, present)
        g_re, g_im = _frequencies(re, re, left, right, radix, A, C, B, True, PARTS)
        re, im = multiply(g_re, g_im, v_re, -v_im)
        sum_re += re
        sum_im += im
        h_re, h_im = _load_filter(spectrum, skip, channel, channels, A, B)
        re, im = multiply(g_re, g_im, h_re, -h_im)
        re, im = _back(re, im, left, right, radix, A, C, B, PARTS)
        store_gated(
            re, entry * y_entry + channel * y_channel, place, begun, grad_u, gate_in, in_offset,
            grad_gate_in, u, u_offset,
        )  # fmt: skip
    re, im = _back(sum_re, sum_im, left, right, radix, A, C, B, PARTS)
    size = tl.sqrt(tl.cast(radix * B, tl.float32))
    offset = (tl.program_id(1) * channels + channel) * taps
    store_filter_gradient(re * size, im * size, offset, n, inside, taps, radix * B, centre, wrap, near, far)
