"""Exponentials, softplus and sigmoid for Triton kernels: few instructions, and float32 to its last digits."""

# Kernels have Triton's types.
# mypy: ignore-errors

from __future__ import annotations

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
"""The interpreter knows no machine code."""

LOG_2_E = tl.constexpr(1.4426950408889634)
LN_2 = tl.constexpr(0.6931471805599453)


@triton.jit
def power_of_two(x):
    """2^x in one instruction: `tl.exp2` takes four, so as to keep results below 2^-126."""
    if INTERPRETED:
        power = tl.exp2(x)
    else:
        power = tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=r,r", [x], tl.float32, True, 1)
    return power


@triton.jit
def reciprocal(x):
    if INTERPRETED:
        result = 1.0 / x
    else:
        result = tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=r,r", [x], tl.float32, True, 1)
    return result


@triton.jit
def softplus(x):
    """log(1 + e^x) as max(x, 0) + log(1 + p), p = e^-|x|, to 2e-7 also where it is small.

    log(1 + p) / p is a polynomial of least relative error on [0, 1].
    """
    p = power_of_two(tl.abs(x) * -LOG_2_E)
    q = 0.00523262408 * p - 0.0295049575
    q = q * p + 0.0782254939
    q = q * p - 0.136632069
    q = q * p + 0.191059885
    q = q * p - 0.248429775
    q = q * p + 0.333190962
    q = q * p - 0.499994931
    q = q * p + 0.99999997
    return tl.maximum(x, 0.0) + p * q


@triton.jit
def sigmoid(x):
    return reciprocal(1.0 + power_of_two(x * -LOG_2_E))
