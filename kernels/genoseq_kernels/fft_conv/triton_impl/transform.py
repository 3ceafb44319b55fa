"""Complex transforms of tiles by matrix products, shared by every kernel of the convolution.

A signal of A * B points at position a * B + b is a matrix (A, B). Its transform is a product from the left, a
twiddle and a product from the right; the adjoint takes the same steps backwards, so that no matrix is ever
transposed between two products. C signals stand side by side as a tile (A, C, B), which is (A, C * B) to the
left product and (A * C, B) to the right one. Frequency ka + A * kb comes out at [ka, c, kb].

Complex numbers are pairs of float32 tiles. With `REAL` the imaginary part is zero: what is given for it is
not looked at, and what is returned means nothing (Triton 3.6 cannot return None).

Products are of float16, tiles scaled to a largest value of 1 first: transforms are unitary, so that one of
N <= 2**24 points cannot overflow. With `PARTS` = 2, for float32 results, a factor is the sum of two float16,
its rounded value and `REST` times less what that left out, and three products are summed.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import libdevice

REST = tl.constexpr(2048.0)
_INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
"""Whether kernels run under Triton's interpreter, which knows none of the hardware's functions."""


@triton.jit
def multiply(a_re, a_im, b_re, b_im):
    """Product of complex numbers."""
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re


@triton.jit
def _load_matrix(table, SIZE: tl.constexpr, TRANSPOSED: tl.constexpr, PARTS: tl.constexpr):
    """Real and imaginary part of a matrix (SIZE, SIZE), of its second part the same."""
    rows, columns = tl.arange(0, SIZE)[:, None], tl.arange(0, SIZE)[None, :]
    table += (rows + columns * SIZE) if TRANSPOSED else (rows * SIZE + columns)
    re, im = tl.load(table), tl.load(table + SIZE * SIZE)
    if PARTS == 2:
        return re, im, tl.load(table + 2 * SIZE * SIZE), tl.load(table + 3 * SIZE * SIZE)
    else:
        return re, im, re, im


@triton.jit
def _load_twiddle(table, A: tl.constexpr, B: tl.constexpr):
    """Both planes of a table (2, A, B), as tiles (A, 1, B)."""
    offsets = tl.arange(0, A)[:, None, None] * B + tl.arange(0, B)[None, None, :]
    return tl.load(table + offsets), tl.load(table + A * B + offsets)


@triton.jit
def _factor(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr, PARTS: tl.constexpr):
    """A tile as a matrix of float16, and its second part."""
    high = x.to(tl.float16)
    if PARTS == 2:
        low = ((x - high.to(tl.float32)) * REST).to(tl.float16)
        return tl.reshape(high, (ROWS, COLUMNS)), tl.reshape(low, (ROWS, COLUMNS))
    else:
        high = tl.reshape(high, (ROWS, COLUMNS))
        return high, high


@triton.jit
def _product(a, a_rest, b, b_rest, PARTS: tl.constexpr):
    """a @ b in float32."""
    total = tl.dot(a, b)
    if PARTS == 2:
        total += tl.dot(a_rest, b, tl.dot(a, b_rest)) * (1 / REST)
    return total


@triton.jit
def _two_products(a, a_rest, b, b_rest, c, c_rest, d, d_rest, PARTS: tl.constexpr):
    """a @ b + c @ d in float32."""
    total = tl.dot(c, d, tl.dot(a, b))
    if PARTS == 2:
        rest = tl.dot(a_rest, b, tl.dot(a, b_rest))
        total += tl.dot(c_rest, d, tl.dot(c, d_rest, rest)) * (1 / REST)
    return total


@triton.jit
def transform(
    re, im, left, middle, right,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Transform of C signals (A, C, B), by the tables of `plan`."""
    m_re, m_im, n_re, n_im = _load_matrix(left, A, False, PARTS)
    x_re, y_re = _factor(re, A, C * B, PARTS)
    if REAL:
        re = _product(m_re, n_re, x_re, y_re, PARTS)
        im = _product(m_im, n_im, x_re, y_re, PARTS)
    else:
        x_im, y_im = _factor(im, A, C * B, PARTS)
        re = _two_products(m_re, n_re, x_re, y_re, -m_im, -n_im, x_im, y_im, PARTS)
        im = _two_products(m_im, n_im, x_re, y_re, m_re, n_re, x_im, y_im, PARTS)
    re, im = tl.reshape(re, (A, C, B)), tl.reshape(im, (A, C, B))
    if B > 1:
        t_re, t_im = _load_twiddle(middle, A, B)
        re, im = multiply(re, im, t_re, t_im)
        re, im = _from_right(re, im, right, A, C, B, False, PARTS)
    return re, im


@triton.jit
def adjoint(
    re, im, left, middle, right,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The inverse of `transform`; with REAL only the real part is made."""
    if B > 1:
        re, im = _from_right(re, im, right, A, C, B, True, PARTS)
        t_re, t_im = _load_twiddle(middle, A, B)
        re, im = multiply(re, im, t_re, -t_im)
    m_re, m_im, n_re, n_im = _load_matrix(left, A, True, PARTS)
    x_re, y_re = _factor(re, A, C * B, PARTS)
    x_im, y_im = _factor(im, A, C * B, PARTS)
    re = tl.reshape(_two_products(m_re, n_re, x_re, y_re, m_im, n_im, x_im, y_im, PARTS), (A, C, B))
    if REAL:
        return re, re
    else:
        im = _two_products(m_re, n_re, x_im, y_im, -m_im, -n_im, x_re, y_re, PARTS)
        return re, tl.reshape(im, (A, C, B))


@triton.jit
def _from_right(
    re, im, table,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, CONJUGATE: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """(A, C, B) times a matrix (B, B), or the conjugate of that."""
    m_re, m_im, n_re, n_im = _load_matrix(table, B, False, PARTS)
    if CONJUGATE:
        m_im, n_im = -m_im, -n_im
    x_re, y_re = _factor(re, A * C, B, PARTS)
    x_im, y_im = _factor(im, A * C, B, PARTS)
    re = _two_products(x_re, y_re, m_re, n_re, x_im, y_im, -m_im, -n_im, PARTS)
    im = _two_products(x_re, y_re, m_im, n_im, x_im, y_im, m_re, n_re, PARTS)
    return tl.reshape(re, (A, C, B)), tl.reshape(im, (A, C, B))


@triton.jit
def shrink(re, im, REAL: tl.constexpr, EACH: tl.constexpr = False):
    """A tile (A, C, B) over its largest value, or with EACH that of each of C signals; and that value."""
    size = tl.abs(re)
    if not REAL:
        size = tl.maximum(size, tl.abs(im))
    if EACH:
        peak = tl.max(tl.max(size, axis=2, keep_dims=True), axis=0, keep_dims=True)
    else:
        peak = tl.max(size)
    peak = tl.maximum(peak, 1e-30)
    return re * (1 / peak), im * (1 / peak), peak


@triton.jit
def root(m, points):
    """exp(-2 pi i m / (4 * points)) of integers m, |m| < 4 * points <= 2**26.

    The hardware's sine and cosine are exact to 5e-7 within a turn.
    """
    angle = m.to(tl.float32) * (-1.5707963267948966 / points)
    if _INTERPRETED:
        return tl.cos(angle), tl.sin(angle)
    else:
        return libdevice.fast_cosf(angle), libdevice.fast_sinf(angle)
