"""Complex transforms of tiles by matrix products, shared by every kernel of the convolution.

A signal of A * B points at position a * B + b is a matrix (A, B). Its transform is a product from the left, a
twiddle and a product from the right; the adjoint takes the same steps backwards, so that no matrix is ever
transposed between two products. C signals stand side by side as a tile (A, C, B), which is (A, C * B) to the
left product and (A * C, B) to the right one. Frequency ka + A * kb comes out at [ka, c, kb].

Complex numbers are pairs of float32 tiles. With `REAL` the imaginary part is zero: what is given for it is
not looked at, and what is returned means nothing (Triton 3.6 cannot return None). `DOT` says how products are
formed: `tf32x3` for float32 results, `fp16` for 16-bit ones, whose tiles are scaled to a largest value of 1
first: transforms are unitary, so that one of N <= 2**24 points cannot overflow.
"""
# mypy: disable-error-code="no-untyped-def"
# ruff: noqa: RET505 (Triton goes on compiling after a constant branch that returns)

from __future__ import annotations

import triton
import triton.language as tl
from triton.language.extra import libdevice

_INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)
"""Whether kernels run under Triton's interpreter, which knows none of the hardware's functions."""


@triton.jit
def multiply(a_re, a_im, b_re, b_im):
    """Product of complex numbers."""
    return a_re * b_re - a_im * b_im, a_re * b_im + a_im * b_re


@triton.jit
def load_complex(table, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Both planes of a table (2, ROWS, COLUMNS)."""
    offsets = tl.arange(0, ROWS)[:, None] * COLUMNS + tl.arange(0, COLUMNS)[None, :]
    return tl.load(table + offsets), tl.load(table + ROWS * COLUMNS + offsets)


@triton.jit
def load_twiddle(table, A: tl.constexpr, B: tl.constexpr):
    """Both planes of a table (2, A, B), as tiles (A, 1, B)."""
    offsets = tl.arange(0, A)[:, None, None] * B + tl.arange(0, B)[None, None, :]
    return tl.load(table + offsets), tl.load(table + A * B + offsets)


@triton.jit
def as_operand(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DOT: tl.constexpr):
    """A tile as a matrix in the type that its products are formed in."""
    if DOT == "fp16":
        x = x.to(tl.float16)
    return tl.reshape(x, (ROWS, COLUMNS))


@triton.jit
def product(a, b, total, DOT: tl.constexpr):
    """`total + a @ b` in float32, `total` None for nothing."""
    if DOT == "fp16":
        return tl.dot(a.to(tl.float16), b.to(tl.float16), total)
    else:
        return tl.dot(a, b, total, input_precision=DOT)


@triton.jit
def transform(
    re, im, left, middle, right,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, REAL: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Transform of C signals (A, C, B), by the tables of `plan`."""
    m_re, m_im = load_complex(left, A, A)
    x_re = as_operand(re, A, C * B, DOT)
    z_re = product(m_re, x_re, None, DOT)
    z_im = product(m_im, x_re, None, DOT)
    if not REAL:
        x_im = as_operand(im, A, C * B, DOT)
        z_re = product(-m_im, x_im, z_re, DOT)
        z_im = product(m_re, x_im, z_im, DOT)
    z_re = tl.reshape(z_re, (A, C, B))
    z_im = tl.reshape(z_im, (A, C, B))
    if B > 1:
        t_re, t_im = load_twiddle(middle, A, B)
        z_re, z_im = multiply(z_re, z_im, t_re, t_im)
        f_re, f_im = load_complex(right, B, B)
        z_re, z_im = from_right(z_re, z_im, f_re, f_im, A, C, B, DOT)
    return z_re, z_im


@triton.jit
def adjoint(
    re,
    im,
    left,
    middle,
    right,
    A: tl.constexpr,
    C: tl.constexpr,
    B: tl.constexpr,
    REAL: tl.constexpr,
    DOT: tl.constexpr,
):
    """The inverse of `transform`; with REAL only the real part is made."""
    if B > 1:
        f_re, f_im = load_complex(right, B, B)
        re, im = from_right(re, im, f_re, -f_im, A, C, B, DOT)
        t_re, t_im = load_twiddle(middle, A, B)
        re, im = multiply(re, im, t_re, -t_im)
    transposed = tl.arange(0, A)[:, None] + tl.arange(0, A)[None, :] * A
    m_re, m_im = tl.load(left + transposed), tl.load(left + A * A + transposed)
    z_re = as_operand(re, A, C * B, DOT)
    z_im = as_operand(im, A, C * B, DOT)
    x_re = tl.reshape(product(m_im, z_im, product(m_re, z_re, None, DOT), DOT), (A, C, B))
    if REAL:
        return x_re, x_re
    else:
        return x_re, tl.reshape(product(m_re, z_im, product(-m_im, z_re, None, DOT), DOT), (A, C, B))


@triton.jit
def from_right(re, im, f_re, f_im, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, DOT: tl.constexpr):
    """(A, C, B) times a matrix (B, B)."""
    x_re = as_operand(re, A * C, B, DOT)
    x_im = as_operand(im, A * C, B, DOT)
    y_re = product(x_im, -f_im, product(x_re, f_re, None, DOT), DOT)
    y_im = product(x_im, f_re, product(x_re, f_im, None, DOT), DOT)
    return tl.reshape(y_re, (A, C, B)), tl.reshape(y_im, (A, C, B))


@triton.jit
def shrink(re, im, REAL: tl.constexpr, DOT: tl.constexpr, EACH: tl.constexpr = False):
    """A tile (A, C, B) over its largest value, with EACH over that of each of the C signals, and that value.

    For float32 products nothing is changed, and it is 1.
    """
    if DOT == "tf32x3":
        return re, im, 1.0
    else:
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
