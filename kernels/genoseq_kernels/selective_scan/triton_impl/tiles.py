"""What the kernels share: which part of the tensors a program has, tiles of positions by channels, one step.

States are tiles (N, D): lanes run over channels, each thread has all states of its channels, so that the sum
over states and the recurrence stay inside a thread. Positions are tiles (T, D), also with all positions of a
channel in one thread: then `pick` and `put` with a constant position are the choice of a register.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def pick(tile, rows, row):  # type: ignore[no-untyped-def]
    """Row `row` of a float32 tile, of which `rows` holds the row numbers.

    Summed as integers: adding zeros to them folds into the choice of a register, to floats it would not.
    """
    bits = tl.where(rows == row, tile.to(tl.int32, bitcast=True), 0)
    return tl.sum(bits, 0).to(tl.float32, bitcast=True)


@triton.jit
def put(tile, rows, row, value):  # type: ignore[no-untyped-def]
    """The tile with row `row` replaced."""
    return tl.where(rows == row, tl.expand_dims(value, 0), tile)


@triton.jit
def place(program, blocks, groups, per_group, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Batch row, group, channels (int64) and which of them exist."""
    program = program.to(tl.int64)
    group = (program // blocks) % groups
    inner = (program % blocks) * BLOCK + tl.arange(0, BLOCK)
    return program // (blocks * groups), group, group * per_group + inner, inner < per_group


@triton.jit
def softplus(x):  # type: ignore[no-untyped-def]
    """log(1 + e^x), to the last digits where e^x is small too."""
    power = tl.exp(tl.minimum(x, 20.0))
    above = 1.0 + power
    # The rounding of 1 + e^x is the same above and below the bar, and cancels.
    log = tl.where(above == 1.0, power, tl.log(above) * (power / tl.where(above == 1.0, 1.0, above - 1.0)))
    return tl.where(x > 20.0, x, log)


@triton.jit
def sigmoid(x):  # type: ignore[no-untyped-def]
    return 1.0 / (1.0 + tl.exp(-x))


@triton.jit
def load_tile(source, batch_stride, channel_stride, batch, channel, position, mask):  # type: ignore[no-untyped-def]
    """(T, D) in float32."""
    at = source + batch * batch_stride + channel[None, :] * channel_stride + position
    return tl.load(at, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_steps(  # type: ignore[no-untyped-def]
    delta, bias, batch_stride, channel_stride, batch, channel, exists, position, mask,
    HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Time steps before and after softplus; zero, where a state stands still, outside the sequence."""
    raw = load_tile(delta, batch_stride, channel_stride, batch, channel, position, mask)
    if HAS_BIAS:
        raw += tl.load(bias + channel, mask=exists, other=0.0).to(tl.float32)[None, :]
    dt = softplus(raw) if SOFTPLUS else raw
    return raw, tl.where(mask, dt, 0.0)


@triton.jit
def load_keep(keep, batch, length, position, mask, HAS_KEEP: tl.constexpr):  # type: ignore[no-untyped-def]
    """(T, D): 0 where a sequence begins, else 1."""
    one = tl.full(mask.shape, 1.0, tl.float32)
    return (
        tl.load(keep + batch * length + position + tl.zeros(mask.shape, tl.int64), mask, 1.0)
        if HAS_KEEP
        else one
    )


@triton.jit
def load_states(source, index, batch, num_batch, channel, channels, exists, N: tl.constexpr):  # type: ignore[no-untyped-def]
    """(N, D) of a tensor (index, B, N, D)."""
    row = (index * num_batch + batch) * N + tl.arange(0, N)
    return tl.load(source + row[:, None] * channels + channel[None, :], mask=exists[None, :], other=0.0)


@triton.jit
def store_states(target, index, batch, num_batch, channel, channels, exists, states, N: tl.constexpr):  # type: ignore[no-untyped-def]
    """(N, D) into a tensor (index, B, N, D)."""
    row = (index * num_batch + batch) * N + tl.arange(0, N)
    tl.store(target + row[:, None] * channels + channel[None, :], states, mask=exists[None, :])


@triton.jit
def load_weights(weights, batch, group, groups, length, position, N: tl.constexpr):  # type: ignore[no-untyped-def]
    """(N, 1) of one position of a tensor (B, G, L, N), zero past its end."""
    row = (batch * groups + group) * length + position
    return tl.load(weights + row * N + tl.arange(0, N), mask=position < length, other=0.0)[:, None]


@triton.jit
def load_exponents(A, channel, channels, exists, N: tl.constexpr):  # type: ignore[no-untyped-def]
    """(N, D) of A, a tensor (N, D), over log 2."""
    at = A + tl.arange(0, N)[:, None] * channels + channel[None, :]
    return tl.load(at, mask=exists[None, :], other=0.0) * 1.4426950408889634


@triton.jit
def decay(dt, exponents, keep, HAS_KEEP: tl.constexpr):  # type: ignore[no-untyped-def]
    """(N, D) of one position."""
    factor = tl.exp2(dt[None, :] * exponents)
    return factor * keep[None, :] if HAS_KEEP else factor
