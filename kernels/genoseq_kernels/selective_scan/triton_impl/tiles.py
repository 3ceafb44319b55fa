"""What the kernels share: runs of positions, the few functions of one number, what crosses threads.

A tile has one number for each thread, (threads,), and a thread a channel and, one after another, `RUN`
positions: a *run*, a tuple of as many tiles. What is done along a run is plain code on registers, what
crosses threads is written out, and no layout is left to chance: loads of 16 bytes a thread keep the positions
of a thread together.

Thread `(far * LANES + lane) * NEAR + near` has channel `far * NEAR + near`: half of the channels are side by
side, as tensor cores want what they add up, and the other half follows behind all lanes of the first.
"""

# Kernels have Triton's types, and its tuples no starred form.
# mypy: ignore-errors
# ruff: noqa: RUF005

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.elementary import INTERPRETED, power_of_two, sigmoid, softplus


@triton.jit
def widen(x):
    """To float32: of bfloat16, two at a time with one instruction each, where the compiler takes three."""
    if INTERPRETED or x.dtype != tl.bfloat16:
        wide = x.to(tl.float32)
    else:
        bits = tl.inline_asm_elementwise(
            "shl.b32 $0, $2, 16; and.b32 $1, $2, 0xffff0000;", "=r,=r,r", [x], tl.int32, True, 2
        )
        wide = bits.to(tl.float32, bitcast=True)
    return wide


@triton.constexpr_function
def near_channels(channels):
    """Those whose threads of one lane are side by side."""
    return max(1, channels // 2)


@triton.jit
def place(
    program, blocks, groups, per_group,
    CHANNELS: tl.constexpr, LANES: tl.constexpr, WARPS: tl.constexpr, ABREAST: tl.constexpr,
):  # fmt: skip
    """Batch row, group; of each thread its channel (int64), whether that exists, its number and lane.

    All warps have the same channels; the channel is the first of `ABREAST`, each `CHANNELS` from the next.
    """
    NEAR: tl.constexpr = near_channels(CHANNELS)
    program = program.to(tl.int64)
    thread = tl.arange(0, WARPS * CHANNELS * LANES)
    group = (program // blocks) % groups
    own = thread // (LANES * NEAR) * NEAR % CHANNELS + thread % NEAR
    inner = (program % blocks) * (CHANNELS * ABREAST) + own
    channel = group * per_group + inner
    return program // (blocks * groups), group, channel, inner < per_group, thread, thread // NEAR % LANES


@triton.jit
def unpack(tile):
    """(threads, K) to K tiles."""
    if tile.shape[1] == 1:
        run = (tile.reshape(tile.shape[0]),)
    else:
        even, odd = tile.reshape(tile.shape[0], tile.shape[1] // 2, 2).split()
        evens, odds = unpack(even), unpack(odd)
        run = ()
        for k in tl.static_range(tile.shape[1] // 2):
            run = run + (evens[k], odds[k])
    return run


@triton.jit
def pack(run, FIRST: tl.constexpr, STEP: tl.constexpr, K: tl.constexpr):
    """K tiles of a run, every `STEP`-th from `FIRST`, to (threads, K)."""
    if K == 1:
        tile = tl.expand_dims(run[FIRST], 1)
    else:
        even, odd = pack(run, FIRST, 2 * STEP, K // 2), pack(run, FIRST + STEP, 2 * STEP, K // 2)
        tile = tl.join(even, odd).reshape(even.shape[0], K)
    return tile


@triton.constexpr_function
def load_width(itemsize, run):
    """Positions of a run that a thread loads, or stores, at once."""
    return min(16 // itemsize, run)


@triton.jit
def load_run(row, begin, length, exists, RUN: tl.constexpr):
    """Positions from `begin` of rows, all (threads,), in float32, zero where there are none."""
    PIECE: tl.constexpr = load_width(row.dtype.element_ty.primitive_bitwidth // 8, RUN)
    first = row + begin
    run = ()
    for piece in tl.static_range(RUN // PIECE):
        within = piece * PIECE + tl.arange(0, PIECE)[None, :]
        mask = (begin[:, None] + within < length) & exists[:, None]
        run = run + unpack(widen(tl.load(first[:, None] + within, mask=mask, other=0.0)))
    return run


@triton.jit
def store_run(row, begin, length, exists, run, RUN: tl.constexpr):
    """The opposite of `load_run`."""
    PIECE: tl.constexpr = load_width(row.dtype.element_ty.primitive_bitwidth // 8, RUN)
    first = row + begin
    for piece in tl.static_range(RUN // PIECE):
        within = piece * PIECE + tl.arange(0, PIECE)[None, :]
        mask = (begin[:, None] + within < length) & exists[:, None]
        tile = pack(run, piece * PIECE, 1, PIECE).to(row.dtype.element_ty)
        tl.store(first[:, None] + within, tile, mask=mask)


@triton.jit
def load_shared(row, start, lane, LANES: tl.constexpr, RUN: tl.constexpr):
    """Of one row that all channels share, the tile from `start`, in float32.

    The row is padded, so that no position is missing, and in the order of these loads: with its positions one
    after another, the lanes of a warp would be `RUN` numbers apart, and half of the cache's width lost.
    """
    PIECE: tl.constexpr = load_width(row.dtype.element_ty.primitive_bitwidth // 8, RUN)
    first = row + start + lane * PIECE
    run = ()
    for piece in tl.static_range(RUN // PIECE):
        run = run + unpack(
            widen(tl.load(first[:, None] + piece * LANES * PIECE + tl.arange(0, PIECE)[None, :]))
        )
    return run


@triton.jit
def load_vector(vector, channel, exists, GIVEN: tl.constexpr):
    """Each thread's of a tensor (D,), zero where it is not given."""
    if GIVEN:
        values = tl.load(vector + channel, mask=exists, other=0.0).to(tl.float32)
    else:
        values = tl.zeros(channel.shape, tl.float32)
    return values


@triton.jit
def time_steps(raw, bias, begin, length, RUN: tl.constexpr, SOFTPLUS: tl.constexpr):
    """Zero, where a state stands still, outside the sequence."""
    run = ()
    for k in tl.static_range(RUN):
        dt = raw[k] + bias
        if SOFTPLUS:
            dt = softplus(dt)
        run = run + (tl.where(begin + k < length, dt, 0.0),)
    return run


@triton.jit
def filled(tile, RUN: tl.constexpr):
    """A run of the same tile."""
    run = ()
    for _k in tl.static_range(RUN):
        run = run + (tile,)
    return run


@triton.jit
def products(one, other, RUN: tl.constexpr):
    run = ()
    for k in tl.static_range(RUN):
        run = run + (one[k] * other[k],)
    return run


@triton.jit
def sums_of(one, other, RUN: tl.constexpr):
    run = ()
    for k in tl.static_range(RUN):
        run = run + (one[k] + other[k],)
    return run


@triton.jit
def silu(gate, RUN: tl.constexpr):
    run = ()
    for k in tl.static_range(RUN):
        run = run + (gate[k] * sigmoid(gate[k]),)
    return run


@triton.jit
def half_sums(run, RUN: tl.constexpr):
    HALF: tl.constexpr = RUN // 2
    first, second = run[0], run[HALF]
    for k in tl.static_range(1, HALF):
        first += run[k]
        second += run[HALF + k]
    return first, second


@triton.jit
def decays_of(dt, exponent, keeps, RUN: tl.constexpr, HAS_KEEP: tl.constexpr):
    run = ()
    for k in tl.static_range(RUN):
        decay = power_of_two(dt[k] * exponent)
        run = run + (decay * keeps[k] if HAS_KEEP else decay,)
    return run


@triton.jit
def half_decays(totals, exponent, keeps, RUN: tl.constexpr, HAS_KEEP: tl.constexpr):
    """Products of `decays_of` over each half of a run, from the sums of its time steps."""
    first, second = power_of_two(totals[0] * exponent), power_of_two(totals[1] * exponent)
    if HAS_KEEP:
        for k in tl.static_range(RUN // 2):
            first *= keeps[k]
            second *= keeps[RUN // 2 + k]
    return first, second


@triton.jit
def half_states(decays, values, RUN: tl.constexpr):
    """h[k] = decays[k] h[k - 1] + values[k] at the end of each half, from nothing before it.

    Halves, here and in the kernels: a chain of dependent steps is only half as long.
    """
    HALF: tl.constexpr = RUN // 2
    first, second = values[0], values[HALF]
    for k in tl.static_range(1, HALF):
        first = decays[k] * first + values[k]
        second = decays[HALF + k] * second + values[HALF + k]
    return first, second


@triton.jit
def across(tile, lane, LANES: tl.constexpr, NEAR: tl.constexpr):
    """What the lane of this number has, of the same channel: warps exchange nothing."""
    ROW: tl.constexpr = LANES * NEAR
    rows: tl.constexpr = tile.shape[0] // ROW
    at = lane * NEAR + tl.arange(0, tile.shape[0]) % NEAR
    return tl.gather(tile.reshape(rows, ROW), at.reshape(rows, ROW), 1).reshape(tile.shape[0])


@triton.jit
def over_lanes(tile, lane, LANES: tl.constexpr, NEAR: tl.constexpr):
    """Sums over the lanes of a channel, in each of them."""
    for power in tl.static_range(5):
        if 2**power < LANES:
            tile += across(tile, lane ^ (2**power), LANES, NEAR)
    return tile


@triton.jit
def through_lanes(
    factor, value, first, lane, LANES: tl.constexpr, NEAR: tl.constexpr, BACK: tl.constexpr
):  # fmt: skip
    """The recurrence state -> factor * state + value from lane to lane.

    Returns the state that enters each lane and, in all lanes, the one that leaves the last; both are of a
    chain that begins with `first` in lane 0 or, `BACK`, in the last.
    """
    if BACK:
        edge, sign, last, behind = lane == LANES - 1, 1, 0, LANES - 1 - lane
    else:
        edge, sign, last, behind = lane == 0, -1, LANES - 1, lane
    value = factor * tl.where(edge, first, 0.0) + value
    # Nothing enters the first lane any more: so products of factors that reach beyond it become zero.
    factor = tl.where(edge, 0.0, factor)
    for power in tl.static_range(5):
        if 2**power < LANES:
            other = lane + tl.where(behind >= 2**power, sign * 2**power, 0)
            value = factor * across(value, other, LANES, NEAR) + value
            factor *= across(factor, other, LANES, NEAR)
    entering = across(value, lane + tl.where(edge, 0, sign), LANES, NEAR)
    return tl.where(edge, first, entering), across(value, lane - lane + last, LANES, NEAR)


@triton.jit
def fold(run, thread, DISTANCE: tl.constexpr, WIDTH: tl.constexpr, K: tl.constexpr):
    """Sums of a run of K over `WIDTH` threads, `DISTANCE` from each other: K / WIDTH of them in each.

    Thread w of them ends with those from `w * K / WIDTH`: at each step half of the threads sends half of its
    numbers to the other half, and gets the rest of theirs.
    """
    if WIDTH == 1:
        folded = run
    else:
        partner = thread ^ (WIDTH // 2 * DISTANCE)
        above = thread < partner
        half = ()
        for k in tl.static_range(K // 2):
            kept = tl.where(above, run[k], run[K // 2 + k])
            half = half + (kept + tl.gather(tl.where(above, run[K // 2 + k], run[k]), partner, 0),)
        folded = fold(half, thread, DISTANCE, WIDTH // 2, K // 2)
    return folded


@triton.jit
def over_channels(
    run, thread, LANES: tl.constexpr, CHANNELS: tl.constexpr, RUN: tl.constexpr, EXACT: tl.constexpr
):
    """Sums of a run over channels, (threads, RUN / CHANNELS); of channel c those from `c * RUN / CHANNELS`.

    Tensor cores add up the channels side by side, and round what they add up to 11 bits unless `EXACT`.
    """
    NEAR: tl.constexpr = near_channels(CHANNELS)
    if INTERPRETED:
        HALF: tl.constexpr = RUN // 2
        run = fold(run[:HALF], thread, 1, NEAR, HALF) + fold(run[HALF:], thread, 1, NEAR, HALF)
    else:
        tl.static_assert(NEAR == 4 and RUN == 16)
        run = over_quads(run, thread, EXACT)
    folded = fold(run, thread, NEAR * LANES, 2, RUN // NEAR)
    return pack(folded, 0, 1, RUN // CHANNELS)


@triton.jit
def over_quads(run, thread, EXACT: tl.constexpr):
    """Sums of a run of 16 over four threads side by side: thread q of them has 2q, 2q + 1, 8 + 2q, 9 + 2q.

    Two positions of the run are an operand of 16 rows (8 quads, twice) by 4 threads; the other operand has
    ones in the column of their number, and zeros in all others.
    """
    sums = filled(tl.zeros(thread.shape, tl.float32), 4)
    for k in tl.static_range(8):
        column = tl.where(thread // 4 == k, 1.0, 0.0)
        if EXACT:
            high, high_8 = leading_bits(run[k]), leading_bits(run[8 + k])
            sums = multiply_add(run[k] - high, run[8 + k] - high_8, column, sums)
            sums = multiply_add(high, high_8, column, sums)
        else:
            sums = multiply_add(run[k], run[8 + k], column, sums)
    return sums


@triton.jit
def leading_bits(x):
    """What tensor cores see of a float32."""
    return (x.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)


@triton.jit
def multiply_add(upper, lower, column, sums):
    """One matrix product of 16 by 4 by 8 of a warp, added to `sums`."""
    return tl.inline_asm_elementwise(
        "mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32"
        " {$0, $1, $2, $3}, {$4, $5}, {$6}, {$7, $8, $9, $10};",
        "=r,=r,=r,=r,r,r,r,r,r,r,r",
        [upper, lower, column, sums[0], sums[1], sums[2], sums[3]],
        (tl.float32, tl.float32, tl.float32, tl.float32),
        True,
        1,
    )


@triton.jit
def elapse(
    run, before, lane, LANES: tl.constexpr, NEAR: tl.constexpr, RUN: tl.constexpr, BACK: tl.constexpr
):  # fmt: skip
    """Sums of a run over the positions that follow each (`BACK`: up to it, with its own), and over all.

    `before` is the sum so far, in every lane.
    """
    one = tl.full(before.shape, 1.0, tl.float32)
    first, second = half_sums(run, RUN)
    elapsed, total = through_lanes(one, first + second, before, lane, LANES, NEAR, not BACK)
    sums = ()
    if BACK:
        for k in tl.static_range(RUN):
            elapsed += run[k]
            sums = sums + (elapsed,)
    else:
        for k in tl.static_range(RUN - 1, -1, -1):
            sums = (elapsed,) + sums
            elapsed += run[k]
    return sums, total


@triton.jit
def load_part(at, there, K: tl.constexpr):
    """(threads, K) from each thread's address; zero unless `there`."""
    at = at[:, None] + tl.arange(0, K)[None, :]
    return tl.load(at, mask=tl.full(at.shape, True, tl.int1) & there, other=0.0)


@triton.jit
def store_part(at, amount, K: tl.constexpr):
    """The opposite of `load_part`."""
    tl.store(at[:, None] + tl.arange(0, K)[None, :], amount)
