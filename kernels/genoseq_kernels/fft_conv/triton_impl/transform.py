"""Complex transforms of tiles by matrix products, shared by every kernel of the convolution.

A signal of A * B points at position a * B + b is a matrix (A, B). Its transform is a product from the left, a
twiddle and a product from the right; the adjoint is the same of the transposed matrix. C signals stand side
by side as a tile (A, C, B). Frequency ka + A * kb comes out at [ka, c, kb].

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
def load_matrix(table, SIZE: tl.constexpr, PARTS: tl.constexpr):
    """Real part, imaginary part and its negative of a matrix (SIZE, SIZE); of its second part the same."""
    table += tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    re, im = tl.load(table), tl.load(table + SIZE * SIZE)
    if PARTS == 2:
        re_rest, im_rest = tl.load(table + 2 * SIZE * SIZE), tl.load(table + 3 * SIZE * SIZE)
        return re, im, -im, re_rest, im_rest, -im_rest
    else:
        return re, im, -im, re, im, -im


@triton.jit
def load_matrices(left, right, A: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr):
    """Both of a transform of A * B points without weight."""
    left = load_matrix(left, A, PARTS)
    if A == B:  # the same one, in the same registers
        return left, left
    else:
        return left, load_matrix(right, B, PARTS)


@triton.jit
def _conjugate(matrix):
    return matrix[0], matrix[2], matrix[1], matrix[3], matrix[5], matrix[4]


@triton.jit
def _transposed(matrix):
    re, im, minus = tl.trans(matrix[0]), tl.trans(matrix[1]), tl.trans(matrix[2])
    return re, im, minus, tl.trans(matrix[3]), tl.trans(matrix[4]), tl.trans(matrix[5])


@triton.jit
def _twiddle(radix, weight, A: tl.constexpr, B: tl.constexpr, ADJOINT: tl.constexpr):
    """Factors (A, B // 8, 1, 8) between the products; of the adjoint, (B, A // 8, 1, 8).

    Computed and not loaded: a load would bring its own layout, and all else through shared memory to it.
    """
    ROWS: tl.constexpr = B if ADJOINT else A
    COLUMNS: tl.constexpr = A if ADJOINT else B
    row = tl.arange(0, ROWS)[:, None, None, None]
    column = tl.arange(0, COLUMNS // 8)[None, :, None, None] * 8 + tl.arange(0, 8)[None, None, None, :]
    if ADJOINT:
        re, im = root(row * (4 * column - weight), radix * B)
        return re, -im
    else:
        return root((4 * row - weight) * column, radix * B)


@triton.jit
def _parts(x, PARTS: tl.constexpr):
    """A tile in float16, and its second part."""
    high = x.to(tl.float16)
    if PARTS == 2:
        return high, ((x - high.to(tl.float32)) * REST).to(tl.float16)
    else:
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
def _side_by_side(x, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr):
    """(A, C, B) as a matrix (A, B * C) whose columns are 8 of one signal, then of the next."""
    if B > 8:
        x = tl.permute(tl.reshape(x, (A, C, B // 8, 8)), (0, 2, 1, 3))
    return tl.reshape(x, (A, B * C))


@triton.jit
def _from_left(
    re, im, matrix,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr,
    CONJUGATE: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """A matrix (A, A), or its conjugate, times (A, C, B) that with REAL has no imaginary part.

    Every warp has all of the matrix in registers, once: what is negative is the other factor.
    """
    m_re, m_im, _, n_re, n_im, _ = matrix
    x_re, y_re = _parts(re, PARTS)
    x_re, y_re = _side_by_side(x_re, A, C, B), _side_by_side(y_re, A, C, B)
    if REAL:
        return _product(m_re, n_re, x_re, y_re, PARTS), _product(m_im, n_im, x_re, y_re, PARTS)
    else:
        x_im, y_im = _parts(im, PARTS)
        x_im, y_im = _side_by_side(x_im, A, C, B), _side_by_side(y_im, A, C, B)
        if CONJUGATE:
            re = _two_products(m_re, n_re, x_re, y_re, m_im, n_im, x_im, y_im, PARTS)
            im = _two_products(m_re, n_re, x_im, y_im, m_im, n_im, -x_re, -y_re, PARTS)
        else:
            re = _two_products(m_re, n_re, x_re, y_re, m_im, n_im, -x_im, -y_im, PARTS)
            im = _two_products(m_re, n_re, x_im, y_im, m_im, n_im, x_re, y_re, PARTS)
        return re, im


@triton.jit
def _below_each_other(x, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr):
    """(A, B // 8, C, 8) as a matrix (A * C, B) whose rows are 16 of one signal, then of the next."""
    x = tl.permute(tl.reshape(x, (A // 16, 16, B // 8, C, 8)), (0, 3, 1, 2, 4))
    return tl.reshape(x, (A * C, B))


@triton.jit
def _twiddle_and_right(
    re, im, t_re, t_im, matrix,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """From what `_from_left` gives: twiddles, a product from the right, and (A // 16, C, 16, B).

    Where a warp has one signal, its accumulators are the operands here: nothing moves between threads.
    """
    re, im = tl.reshape(re, (A, B // 8, C, 8)), tl.reshape(im, (A, B // 8, C, 8))
    re, im = multiply(re, im, t_re, t_im)
    x_re, y_re = _parts(re, PARTS)
    x_im, y_im = _parts(im, PARTS)
    x_re, y_re = _below_each_other(x_re, A, C, B), _below_each_other(y_re, A, C, B)
    x_im, y_im = _below_each_other(x_im, A, C, B), _below_each_other(y_im, A, C, B)
    m_re, m_im, minus, n_re, n_im, n_minus = matrix
    re = _two_products(x_re, y_re, m_re, n_re, x_im, y_im, minus, n_minus, PARTS)
    im = _two_products(x_re, y_re, m_im, n_im, x_im, y_im, m_re, n_re, PARTS)
    return tl.reshape(re, (A // 16, C, 16, B)), tl.reshape(im, (A // 16, C, 16, B))


@triton.jit
def transform(
    re, im, left, right, radix, weight,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, REAL: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """Transform of C signals (A, C, B) by matrices of `load_matrix`, the left one of radix rows.

    With `weight` 1 position n is first multiplied by exp(i pi n / (2 * radix * B)), of which the left matrix
    has a share; else it is 0.
    """
    re, im = _from_left(re, im, left, A, C, B, False, REAL, PARTS)
    if B > 1:
        t_re, t_im = _twiddle(radix, weight, A, B, False)
        re, im = _twiddle_and_right(re, im, t_re, t_im, right, A, C, B, PARTS)
        re, im = tl.permute(re, (0, 2, 1, 3)), tl.permute(im, (0, 2, 1, 3))
    return tl.reshape(re, (A, C, B)), tl.reshape(im, (A, C, B))


@triton.jit
def adjoint(
    re, im, left, right, radix, weight,
    A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    """The inverse of `transform`: the same of (B, C, A), its factors conjugate and in reverse order."""
    if B > 1:
        re, im = tl.permute(re, (2, 1, 0)), tl.permute(im, (2, 1, 0))
        re, im = _from_left(re, im, right, B, C, A, True, False, PARTS)
        t_re, t_im = _twiddle(radix, weight, A, B, True)
        re, im = _twiddle_and_right(re, im, t_re, t_im, _conjugate(left), B, C, A, PARTS)
        re, im = tl.permute(re, (3, 1, 0, 2)), tl.permute(im, (3, 1, 0, 2))
    else:
        re, im = _from_left(re, im, _transposed(left), A, C, B, True, False, PARTS)
    return tl.reshape(re, (A, C, B)), tl.reshape(im, (A, C, B))


@triton.jit
def largest_of(re, im, REAL: tl.constexpr, EACH: tl.constexpr = False):
    """The largest number, by size, of a tile (A, C, B), or with EACH of each of C signals (1, C, 1)."""
    size = tl.abs(re)
    if not REAL:
        size = tl.maximum(size, tl.abs(im))
    if EACH:
        return tl.max(tl.max(size, axis=2, keep_dims=True), axis=0, keep_dims=True)
    else:
        return tl.max(size)


@triton.jit
def shrink(re, im, REAL: tl.constexpr, EACH: tl.constexpr = False):
    """A tile (A, C, B) over a power of two not below its values, or with EACH those of each of C signals; and
    that power."""
    peak = power_of_two(largest_of(re, im, REAL, EACH))
    return re * (1 / peak), im * (1 / peak), peak


@triton.jit
def shrink_halves(x, A: tl.constexpr, C: tl.constexpr, B: tl.constexpr, PARTS: tl.constexpr):
    """A real tile (A, 2 * C, B) as two (A, C, B), each over its own power of two as in `shrink`, in float16
    where that is all that products take; the two, and the two powers."""
    x = tl.permute(tl.reshape(x, (A, 2, C, B)), (1, 0, 2, 3))
    peaks = power_of_two(tl.max(tl.reshape(tl.abs(x), (2, A * C * B)), axis=1))
    x *= tl.reshape(1 / peaks, (2, 1, 1, 1))
    if PARTS == 1:
        x = x.to(tl.float16)
    first, second = tl.split(tl.permute(x, (1, 2, 3, 0)))
    first_peak, second_peak = tl.split(peaks)
    return first, second, first_peak, second_peak


@triton.jit
def kept(x, PARTS: tl.constexpr):
    """Numbers of a scaled tile, in half the registers where results are 16-bit."""
    return x.to(tl.float16) if PARTS == 1 else x


@triton.jit
def alike(re, im, scale):
    """Lines over scales of their own, powers of two, over the largest of them; and that one."""
    peak = tl.max(scale)
    ratio = (scale * (1 / peak)).to(re.dtype)[:, None]
    return re * ratio, im * ratio, peak


@triton.jit
def power_of_two(x):
    """The least at or above x >= 0, 1e-30 and below 2**127: to scale by it rounds nothing."""
    bits = tl.maximum(x, 1e-30).to(tl.int32, bitcast=True)
    return ((bits + 0x7FFFFF) & 0x7F800000).to(tl.float32, bitcast=True)


@triton.jit
def anew(number, turn):
    """`number`, unknown to the compiler in each turn of a loop: what is computed of it (twiddles) is not kept
    in registers from one to the next."""
    if _INTERPRETED:
        return number
    else:
        return tl.inline_asm_elementwise(
            "mov.b32 $0, $1;", "=r,r,r", [number, turn], dtype=tl.int32, is_pure=True, pack=1
        )


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
