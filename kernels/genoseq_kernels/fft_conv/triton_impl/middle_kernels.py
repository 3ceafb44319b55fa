"""Convolutions of a few thousand points, everything in one kernel: a program has a channel, and batch entries
in turn.

The passes of a long convolution follow each other within the program: all columns are one tile (A, P * Q, 1),
all rows one (P, A, Q), and what would be scratch memory between them is shared memory. `tl.program_id(1)` is
the first entry of a program, the number of programs there its stride.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.fft_conv.triton_impl.tiles import (
    column_twiddle,
    launched,
    load_filter,
    load_sequence,
    load_spectrum,
    positions,
    store_filter_gradient,
    store_gated,
    with_skip,
)
from genoseq_kernels.fft_conv.triton_impl.transform import (
    adjoint,
    kept,
    load_matrices,
    load_matrix,
    multiply,
    shrink,
    transform,
)
from genoseq_kernels.room import row_end


@triton.jit
def _columns(P: tl.constexpr, Q: tl.constexpr):
    return tl.arange(0, P * Q)[None, :, None]


@triton.jit
def _frequencies(
    re, im, matrices, radix,
    A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Frequencies (P, A, Q) of a channel (A, P * Q, 1), and what to multiply them by."""
    column, left, right = matrices
    re, im, peak = shrink(re, im, REAL)
    re, im = transform(re, im, column, column, radix, 1, A, P * Q, 1, REAL, PARTS)
    t_re, t_im = column_twiddle(_columns(P, Q), radix, A, 1, P * Q)
    re, im = multiply(re, im, t_re, t_im)
    re = tl.permute(tl.reshape(kept(re, PARTS), (A, P, Q)), (1, 0, 2))
    im = tl.permute(tl.reshape(kept(im, PARTS), (A, P, Q)), (1, 0, 2))
    re, im = transform(re, im, left, right, P, 0, P, A, Q, False, PARTS)
    return re, im, peak


@triton.jit
def _back(
    re, im, factor, matrices, radix,
    A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The reverse of `_frequencies`, times the factor."""
    column, left, right = matrices
    if PARTS == 2:
        re, im, peak = shrink(re, im, False)
        factor *= peak
    re, im = adjoint(re, im, left, right, P, 0, P, A, Q, PARTS)
    re = tl.reshape(tl.permute(kept(re, PARTS), (1, 0, 2)), (A, P * Q, 1)).to(tl.float32)
    im = tl.reshape(tl.permute(kept(im, PARTS), (1, 0, 2)), (A, P * Q, 1)).to(tl.float32)
    t_re, t_im = column_twiddle(_columns(P, Q), radix, A, 1, P * Q)
    re, im = multiply(re, im, t_re, -t_im)
    re, im = adjoint(re, im, column, column, radix, 1, A, P * Q, 1, PARTS)
    return re * factor, im * factor


@triton.jit
def _load_matrices(
    column, left, right, A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr
):
    left, right = load_matrices(left, right, P, Q, PARTS)
    return load_matrix(column, A, PARTS), left, right


@triton.jit
def _make_filter(
    k, offset, skip, channel, n, inside, matrices, taps, centre, wrap, radix,
    WRAPPED: tl.constexpr, A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Spectrum of a filter with the skip term, made of its taps, and what to multiply it by."""
    points = radix * (P * Q)
    re, im = load_filter(k, offset, n, inside, taps, points, centre, wrap, WRAPPED)
    re, im, factor = _frequencies(re, im, matrices, radix, A, P, Q, not WRAPPED, PARTS)
    factor *= tl.sqrt(tl.cast(points, tl.float32))
    return with_skip(re, im, factor, skip, channel, points, PARTS)


@launched()
def middle_forward(
    u, k, skip, gate_in, gate_out, spectrum, y, convolved, column, left, right,
    u_entry, u_channel, k_channel, in_entry, in_channel, out_entry, out_channel, y_entry, y_channel,
    entries, length, taps, centre, wrap, radix,
    WRAPPED: tl.constexpr, ROOM: tl.constexpr,
    A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The convolution; the filter's spectrum is made here where it is not given."""
    channel = tl.program_id(0).to(tl.int64)
    n, inside = positions(_columns(P, Q), radix, A, 1, P * Q)
    matrices = _load_matrices(column, left, right, A, P, Q, PARTS)
    if spectrum is None:
        h_re, h_im, h_factor = _make_filter(
            k, channel * k_channel, skip, channel, n, inside, matrices, taps, centre, wrap, radix,
            WRAPPED, A, P, Q, PARTS,
        )  # fmt: skip
    else:
        h_re, h_im = load_spectrum(spectrum, channel, 0, radix, P, A, Q)
        h_re, h_im, h_factor = with_skip(h_re, h_im, 1.0, skip, channel, radix * (P * Q), PARTS)
    for index in tl.range(tl.program_id(1), entries, tl.num_programs(1), num_stages=1, disable_licm=True):
        entry = tl.cast(index, tl.int64)
        x = load_sequence(
            u, entry * u_entry + channel * u_channel,
            gate_in, entry * in_entry + channel * in_channel, n, inside, length, ROOM,
        )  # fmt: skip
        re, im, factor = _frequencies(x, x, matrices, radix, A, P, Q, True, PARTS)
        re, im = multiply(kept(re, PARTS), kept(im, PARTS), h_re, h_im)
        re, im = _back(re, im, factor * h_factor, matrices, radix, A, P, Q, PARTS)
        store_gated(
            re, entry * y_entry + channel * y_channel, n, inside & (n < row_end(length, ROOM)), y,
            gate_out, entry * out_entry + channel * out_channel, convolved, None, 0,
        )  # fmt: skip


@launched()
def middle_backward(
    grad, u, k, skip, gate_in, gate_out, grad_u, grad_gate_in, near, far, column, left, right,
    grad_entry, grad_channel, u_entry, u_channel, k_channel, in_entry, in_channel, out_entry, out_channel,
    y_entry, y_channel, entries, channels, length, taps, centre, wrap, radix,
    WRAPPED: tl.constexpr, ROOM: tl.constexpr,
    A: tl.constexpr, P: tl.constexpr, Q: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Gradients of u and gate_in, and of k for each entry: a sum of them would not fit the registers."""
    channel = tl.program_id(0).to(tl.int64)
    n, inside = positions(_columns(P, Q), radix, A, 1, P * Q)
    matrices = _load_matrices(column, left, right, A, P, Q, PARTS)
    h_re, h_im, h_factor = _make_filter(
        k, channel * k_channel, skip, channel, n, inside, matrices, taps, centre, wrap, radix,
        WRAPPED, A, P, Q, PARTS,
    )  # fmt: skip
    for index in tl.range(tl.program_id(1), entries, tl.num_programs(1), num_stages=1, disable_licm=True):
        entry = tl.cast(index, tl.int64)
        u_offset = entry * u_entry + channel * u_channel
        in_offset = entry * in_entry + channel * in_channel
        x = load_sequence(
            grad, entry * grad_entry + channel * grad_channel,
            gate_out, entry * out_entry + channel * out_channel, n, inside, length, ROOM,
        )  # fmt: skip
        g_re, g_im, g_factor = _frequencies(x, x, matrices, radix, A, P, Q, True, PARTS)
        g_re, g_im = kept(g_re, PARTS), kept(g_im, PARTS)
        re, im = multiply(g_re, g_im, h_re, -h_im)
        re, im = _back(re, im, g_factor * h_factor, matrices, radix, A, P, Q, PARTS)
        store_gated(
            re, entry * y_entry + channel * y_channel, n, inside & (n < row_end(length, ROOM)), grad_u,
            gate_in, in_offset, grad_gate_in, u, u_offset,
        )  # fmt: skip
        x = load_sequence(u, u_offset, gate_in, in_offset, n, inside, length, ROOM)
        re, im, factor = _frequencies(x, x, matrices, radix, A, P, Q, True, PARTS)
        factor *= g_factor * tl.sqrt(tl.cast(radix * (P * Q), tl.float32))
        re, im, peak = shrink(*multiply(g_re.to(tl.float32), g_im.to(tl.float32), re, -im), False)
        re, im = _back(re, im, factor * peak, matrices, radix, A, P, Q, PARTS)
        store_filter_gradient(
            re, im, (entry * channels + channel) * taps, n, inside, taps, radix * (P * Q), centre, wrap,
            near, far,
        )  # fmt: skip
