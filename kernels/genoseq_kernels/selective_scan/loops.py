"""The scan on a CPU as compiled loops: float32, the states of one channel after the other.

Compiled at the first use and kept on disk for the next process. Importing this module imports numba.
Inner loops are short and touch few arrays: so they become vector instructions.
Shapes: R rows of a batch, D channels, S positions, G groups, N states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

CHUNK = 64
"""Positions whose states are kept at a time: with N = 16 all that is needed of them fits the first cache."""

_FAST = {"contract", "reassoc", "nsz"}
_ROUND = np.float32(1.5 * 2**23)
_LOWEST, _HIGHEST = np.float32(-126), np.float32(127)
_ONE, _ZERO = np.float32(1), np.float32(0)
_MANTISSA_BITS = np.int32(23)
# (2^f - 1) / f on [-1/2, 1/2], interpolated at Chebyshev's points: relative error of 2^f 5e-9.
_P0, _P1, _P2, _P3, _P4, _P5 = (
    np.float32(c)
    for c in (0.693147188, 0.240226509, 0.055503571, 0.00961805667, 0.00133908674, 0.000154614475)
)


def _compiled(signature: str, *, fastmath: set[str] = _FAST) -> Callable[[Callable[..., Any]], Any]:
    """Compile for one signature; where nothing is writable, anew in each process."""

    def decorate(function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {"fastmath": fastmath, "error_model": "numpy", "nogil": True}
        try:
            return numba.njit(signature, cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            return numba.njit(signature, **options)(function)

    return decorate


# Not reassociated: adding and taking away the constant is what rounds.
@_compiled("f4(f4)", fastmath={"contract"})
def power_of_two(x: Any) -> Any:
    """2^x to 1e-7, exactly 1 at 0; held between 2^-126 and 2^127."""
    x = min(max(x, _LOWEST), _HIGHEST)
    rounded = np.float32(x + _ROUND)
    f = x - (rounded - _ROUND)
    p = np.float32(_ONE + f * (_P0 + f * (_P1 + f * (_P2 + f * (_P3 + f * (_P4 + f * _P5))))))
    exponent = np.int32(rounded.view(np.int32) << _MANTISSA_BITS)
    return np.int32(p.view(np.int32) + exponent).view(np.float32)


@_compiled("void(f4[::1], f4[::1], f4[::1], f4[:, ::1])")
def _fill_decays(dt: Any, exponents: Any, keep: Any, decays: Any) -> None:
    for t in range(dt.shape[0]):
        step, kept = dt[t], keep[t]
        for n in range(exponents.shape[0]):
            decays[t, n] = power_of_two(step * exponents[n]) * kept


@_compiled("void(f4[:, ::1], f4[::1], f4[::1], f4[:, ::1], f4[:, ::1], f4[::1], f4[::1])")
def _scan(decays: Any, u: Any, dt: Any, B: Any, C: Any, state: Any, y: Any) -> None:
    for t in range(u.shape[0]):
        value, total = dt[t] * u[t], _ZERO
        for n in range(state.shape[0]):
            new = decays[t, n] * state[n] + value * B[t, n]
            state[n] = new
            total += new * C[t, n]
        y[t] = total


@_compiled("void(f4[:, ::1], f4[::1], f4[::1], f4[:, ::1], f4[:, ::1], f4[:, ::1], f4[::1])")
def _scan_and_keep(decays: Any, u: Any, dt: Any, B: Any, C: Any, states: Any, y: Any) -> None:
    """As `_scan`, with states[t] the one before position t."""
    for t in range(u.shape[0]):
        value, total = dt[t] * u[t], _ZERO
        before, after = states[t], states[t + 1]
        for n in range(states.shape[1]):
            new = decays[t, n] * before[n] + value * B[t, n]
            after[n] = new
            total += new * C[t, n]
        y[t] = total


@_compiled("void(f4[:, ::1], f4[::1], f4[:, ::1], f4[::1], f4[:, ::1])")
def _scan_back(decays: Any, dy: Any, C: Any, carried: Any, d_states: Any) -> None:
    """`carried` is the gradient of the state after the chunk, then of the one before it."""
    for t in range(dy.shape[0] - 1, -1, -1):
        outer = dy[t]
        for n in range(carried.shape[0]):
            d_state = outer * C[t, n] + carried[n]
            d_states[t, n] = d_state
            carried[n] = d_state * decays[t, n]


@_compiled("void(f4[::1], f4[:, ::1], f4[:, ::1])")
def _gather_c(dy: Any, states: Any, d_c: Any) -> None:
    for t in range(dy.shape[0]):
        outer, state = dy[t], states[t + 1]
        for n in range(state.shape[0]):
            d_c[t, n] += outer * state[n]


@_compiled("void(f4[::1], f4[::1], f4[:, ::1], f4[:, ::1], f4[:, ::1], f4[::1], f4[::1])")
def _gather_b(u: Any, dt: Any, d_states: Any, B: Any, d_b: Any, d_u: Any, d_dt: Any) -> None:
    for t in range(u.shape[0]):
        value, total = dt[t] * u[t], _ZERO
        for n in range(B.shape[1]):
            d_b[t, n] += d_states[t, n] * value
            total += d_states[t, n] * B[t, n]
        d_u[t] = total * dt[t]
        d_dt[t] = total * u[t]


@_compiled("void(f4[::1], f4[:, ::1], f4[:, ::1], f4[:, ::1], f4[::1], f4[::1], f4[::1])")
def _gather_a(dt: Any, decays: Any, states: Any, d_states: Any, A: Any, d_a: Any, d_dt: Any) -> None:
    for t in range(dt.shape[0]):
        step, total, before = dt[t], _ZERO, states[t]
        for n in range(A.shape[0]):
            d_exponent = d_states[t, n] * decays[t, n] * before[n]
            d_a[n] += d_exponent * step
            total += d_exponent * A[n]
        d_dt[t] += total


_TABLE, _ROWS = "f4[:, ::1]", "f4[:, :, ::1]"
_WEIGHTS = "f4[:, :, :, ::1]"


@_compiled(
    f"void({_ROWS}, {_ROWS}, {_TABLE}, {_WEIGHTS}, {_WEIGHTS}, {_TABLE}, {_ROWS}, {_WEIGHTS}, "
    f"{_ROWS}, i8, i8)"
)
def forward(
    u: Any,
    dt: Any,
    exponents: Any,
    B: Any,
    C: Any,
    keep: Any,
    state: Any,
    starts: Any,
    y: Any,
    first: Any,
    last: Any,
) -> None:
    """Scan the rows `first` to `last` of the R D there are.

    u, dt, y (R, D, S); exponents (D, N) = A / log 2; B, C (R, G, S, N); keep (R, S), 0 where a
    sequence begins; state (R, D, N), changed; starts (chunks, R, D, N), written.
    """
    channels, length, num_states = u.shape[1], u.shape[2], state.shape[2]
    per_group = channels // B.shape[1]
    decays = np.empty((CHUNK, num_states), np.float32)
    for index in range(starts.shape[0]):
        a = index * CHUNK
        b = min(a + CHUNK, length)
        for row in range(first, last):
            r, d = row // channels, row % channels
            g = d // per_group
            starts[index, r, d, :] = state[r, d, :]
            _fill_decays(dt[r, d, a:b], exponents[d], keep[r, a:b], decays)
            _scan(decays, u[r, d, a:b], dt[r, d, a:b], B[r, g, a:b], C[r, g, a:b], state[r, d], y[r, d, a:b])


@_compiled(
    f"void({_ROWS}, {_ROWS}, {_TABLE}, {_TABLE}, {_WEIGHTS}, {_WEIGHTS}, {_TABLE}, {_WEIGHTS}, {_ROWS}, "
    f"{_ROWS}, {_ROWS}, {_ROWS}, {_ROWS}, {_ROWS}, {_WEIGHTS}, {_WEIGHTS}, i8, i8)"
)
def backward(
    u: Any,
    dt: Any,
    exponents: Any,
    A: Any,
    B: Any,
    C: Any,
    keep: Any,
    starts: Any,
    dy: Any,
    carried: Any,
    y: Any,
    d_u: Any,
    d_dt: Any,
    d_a: Any,
    d_b: Any,
    d_c: Any,
    first: Any,
    last: Any,
) -> None:
    """Gradients of the rows `first` to `last`, from the last chunk to the first.

    As in `forward`; dy, d_u, d_dt (R, D, S); y is written again; carried (R, D, N) is the gradient of the
    state after the last position, then of the one before the first; d_a (R, D, N) and d_b, d_c (R, G, S, N)
    are added to.
    """
    channels, length, num_states = u.shape[1], u.shape[2], carried.shape[2]
    per_group = channels // B.shape[1]
    decays = np.empty((CHUNK, num_states), np.float32)
    d_states = np.empty((CHUNK, num_states), np.float32)
    states = np.empty((CHUNK + 1, num_states), np.float32)
    for index in range(starts.shape[0] - 1, -1, -1):
        a = index * CHUNK
        b = min(a + CHUNK, length)
        for row in range(first, last):
            r, d = row // channels, row % channels
            g = d // per_group
            u_row, dt_row, d_dt_row = u[r, d, a:b], dt[r, d, a:b], d_dt[r, d, a:b]
            states[0, :] = starts[index, r, d, :]
            _fill_decays(dt_row, exponents[d], keep[r, a:b], decays)
            _scan_and_keep(decays, u_row, dt_row, B[r, g, a:b], C[r, g, a:b], states, y[r, d, a:b])
            _scan_back(decays, dy[r, d, a:b], C[r, g, a:b], carried[r, d], d_states)
            _gather_c(dy[r, d, a:b], states, d_c[r, g, a:b])
            _gather_b(u_row, dt_row, d_states, B[r, g, a:b], d_b[r, g, a:b], d_u[r, d, a:b], d_dt_row)
            _gather_a(dt_row, decays, states, d_states, A[d], d_a[r, d], d_dt_row)
