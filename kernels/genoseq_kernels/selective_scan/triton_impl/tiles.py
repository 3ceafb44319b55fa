"""What the kernels share: runs of positions, the few functions of one number, what crosses threads.

A tile has one number for each thread of a warp, (threads,). Thread `row * LANES + lane` has a channel and,
one after another, `RUN` positions: a *run*, a tuple of as many tiles. What is done along a run is plain code
on registers, what crosses threads is written out, and no layout is left to chance: loads of 16 bytes a thread
keep the positions of a thread together.
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


@triton.jit
def place(
    program, blocks, groups, per_group, CHANNELS: tl.constexpr, LANES: tl.constexpr, WARPS: tl.constexpr
):
    """Batch row, group; of each thread its channel (int64), whether that exists, its number and lane.

    All warps have the same channels.
    """
    program = program.to(tl.int64)
    thread = tl.arange(0, WARPS * CHANNELS * LANES)
    group = (program // blocks) % groups
    inner = (program % blocks) * CHANNELS + thread // LANES % CHANNELS
    channel = group * per_group + inner
    return program // (blocks * groups), group, channel, inner < per_group, thread, thread % LANES


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


@triton.jit
def load_run(row, begin, length, exists, RUN: tl.constexpr):
    """Positions from `begin` of rows, all (threads,), in float32, zero where there are none.

    With `exists` None all are there: a row that is padded.
    """
    WIDE: tl.constexpr = 128 // row.dtype.element_ty.primitive_bitwidth
    PIECE: tl.constexpr = WIDE if WIDE < RUN else RUN
    first = row + begin
    run = ()
    for piece in tl.static_range(RUN // PIECE):
        within = piece * PIECE + tl.arange(0, PIECE)[None, :]
        if exists is None:
            tile = tl.load(first[:, None] + within)
        else:
            mask = (begin[:, None] + within < length) & exists[:, None]
            tile = tl.load(first[:, None] + within, mask=mask, other=0.0)
        run = run + unpack(widen(tile))
    return run


@triton.jit
def store_run(row, begin, length, exists, run, RUN: tl.constexpr):
    """The opposite of `load_run`."""
    WIDE: tl.constexpr = 128 // row.dtype.element_ty.primitive_bitwidth
    PIECE: tl.constexpr = WIDE if WIDE < RUN else RUN
    first = row + begin
    for piece in tl.static_range(RUN // PIECE):
        within = piece * PIECE + tl.arange(0, PIECE)[None, :]
        mask = (begin[:, None] + within < length) & exists[:, None]
        tile = pack(run, piece * PIECE, 1, PIECE).to(row.dtype.element_ty)
        tl.store(first[:, None] + within, tile, mask=mask)


@triton.jit
def load_shared(row, begin, RUN: tl.constexpr):
    """Of one row that all channels share, in float32; padded, so that no position is missing."""
    return load_run(row, begin, 0, None, RUN)


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
def across(tile, lane, LANES: tl.constexpr):
    """What the lane of this number has, of the same row of lanes: warps exchange nothing."""
    rows: tl.constexpr = tile.shape[0] // LANES
    return tl.gather(tile.reshape(rows, LANES), lane.reshape(rows, LANES), 1).reshape(tile.shape[0])


@triton.jit
def over_lanes(tile, lane, LANES: tl.constexpr):
    """Sums over the lanes of a channel, in each of them."""
    for power in tl.static_range(5):
        if 2**power < LANES:
            tile += across(tile, lane ^ (2**power), LANES)
    return tile


@triton.jit
def through_lanes(factor, value, first, lane, LANES: tl.constexpr, BACK: tl.constexpr):
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
            value = factor * across(value, other, LANES) + value
            factor *= across(factor, other, LANES)
    entering = across(value, lane + tl.where(edge, 0, sign), LANES)
    return tl.where(edge, first, entering), across(value, lane - lane + last, LANES)


@triton.jit
def fold(run, thread, LANES: tl.constexpr, WIDTH: tl.constexpr, K: tl.constexpr):
    """Sums of a run of K over `WIDTH` channels, (threads, K / WIDTH).

    Channel c of the program ends with the positions of the run from `c * K / WIDTH`: at each step half of the
    channels sends half of its positions to the other half, and gets the rest of theirs.
    """
    if WIDTH == 1:
        folded = pack(run, 0, 1, K)
    else:
        partner = thread ^ (WIDTH // 2 * LANES)
        above = thread < partner
        half = ()
        for k in tl.static_range(K // 2):
            kept = tl.where(above, run[k], run[K // 2 + k])
            half = half + (kept + tl.gather(tl.where(above, run[K // 2 + k], run[k]), partner, 0),)
        folded = fold(half, thread, LANES, WIDTH // 2, K // 2)
    return folded


@triton.jit
def elapse(run, before, lane, LANES: tl.constexpr, RUN: tl.constexpr, BACK: tl.constexpr):
    """Sums of a run over the positions that follow each (`BACK`: up to it, with its own), and over all.

    `before` is the sum so far, in every lane.
    """
    one = tl.full(before.shape, 1.0, tl.float32)
    first, second = half_sums(run, RUN)
    elapsed, total = through_lanes(one, first + second, before, lane, LANES, not BACK)
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
