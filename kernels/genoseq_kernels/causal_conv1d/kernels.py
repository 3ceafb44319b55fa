"""Triton kernels of `causal_conv1d`.

A thread holds UNIT positions in a row of a channel, so that a shift in time is a choice among its registers:
its own values, and those of the units before (and, backward, after) it, which are read again from cache.
A tile is (CHANNELS, UNITS). Where positions lie next to each other in memory a unit is one vector; where
channels do, it is UNIT rows.
"""
# mypy: disable-error-code="no-untyped-def, assignment, misc"
# ruff: noqa: RUF005 - Triton concatenates tuples, and does not unpack them

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.room import row_end


@triton.jit
def _split(x, UNIT: tl.constexpr):
    """(C, N, UNIT) as a tuple of UNIT tensors (C, N)."""
    out = ()
    if UNIT == 1:
        out = (tl.reshape(x, (x.shape[0], x.shape[1])),)
    else:
        half: tl.constexpr = UNIT // 2
        even, odd = tl.split(tl.reshape(x, (x.shape[0], x.shape[1], half, 2)))
        evens, odds = _split(even, half), _split(odd, half)
        for i in tl.static_range(half):
            out = out + (evens[i], odds[i])
    return out


@triton.jit
def _join(parts, START: tl.constexpr, STEP: tl.constexpr, COUNT: tl.constexpr):
    """The inverse of `_split`, of the COUNT parts from START by STEP."""
    if COUNT == 1:
        out = tl.expand_dims(parts[START], 2)
    else:
        even = _join(parts, START, STEP * 2, COUNT // 2)
        odd = _join(parts, START + STEP, STEP * 2, COUNT // 2)
        out = tl.reshape(tl.join(even, odd), (even.shape[0], even.shape[1], COUNT))
    return out


@triton.jit
def _load(
    base, inside, position, length, stride,
    UNIT: tl.constexpr, FIRST: tl.constexpr, LAST: tl.constexpr, CHANNEL_LAST: tl.constexpr,
    ROOM: tl.constexpr,
):  # fmt: skip
    """Values FIRST to LAST (not counted in) of the units that start at `position`; zeros outside the
    sequence. With ROOM rows may be read to the next multiple of 16, as `rows.have_room` says."""
    out = ()
    if CHANNEL_LAST:
        for i in tl.static_range(FIRST, LAST):
            at = position + i
            value = tl.load(base + at * stride, inside & (at >= 0) & (at < length), other=0.0)
            out = out + (value.to(tl.float32),)
    else:
        at = position[:, :, None] + tl.arange(0, UNIT)[None, None, :]
        mask = inside[:, :, None] & (at >= 0) & (at < row_end(length, ROOM))
        value = tl.load(base[:, :, None] + at, mask, other=0.0).to(tl.float32)
        if ROOM:
            value = tl.where(at < length, value, 0.0)
        parts = _split(value, UNIT)
        for i in tl.static_range(FIRST, LAST):
            out = out + (parts[i],)
    return out


@triton.jit
def _store(
    base, inside, position, length, stride, parts,
    UNIT: tl.constexpr, CHANNEL_LAST: tl.constexpr, ROOM: tl.constexpr,
):  # fmt: skip
    """Write UNIT values at `position`."""
    if CHANNEL_LAST:
        for i in tl.static_range(UNIT):
            at = position + i
            tl.store(base + at * stride, parts[i].to(base.dtype.element_ty), inside & (at < length))
    else:
        at = position[:, :, None] + tl.arange(0, UNIT)[None, None, :]
        mask = inside[:, :, None] & (at < row_end(length, ROOM))
        whole = _join(parts, 0, 1, UNIT).to(base.dtype.element_ty)
        tl.store(base[:, :, None] + at, whole, mask)


@triton.jit
def _load_before(
    base, initial, inside, position, length, stride, initial_stride,
    WIDTH: tl.constexpr, UNIT: tl.constexpr, CHANNEL_LAST: tl.constexpr, HAS_INITIAL: tl.constexpr,
    ROOM: tl.constexpr,
):  # fmt: skip
    """The WIDTH - 1 values before `position`, the initial states standing before the sequence."""
    loaded = _load(
        base, inside, position - UNIT, length, stride, UNIT, UNIT - WIDTH + 1, UNIT, CHANNEL_LAST, ROOM
    )
    out = ()
    for i in tl.static_range(WIDTH - 1):
        value = loaded[i]
        if HAS_INITIAL:
            at = position + i
            mask = inside & (at < WIDTH - 1)
            value += tl.load(initial + at * initial_stride, mask, other=0.0).to(tl.float32)
        out = out + (value,)
    return out


@triton.jit
def _load_numbers(base, position, length, FIRST: tl.constexpr, LAST: tl.constexpr, PACKED: tl.constexpr):
    """Sequence numbers (1, N) of the positions FIRST to LAST from `position`; outside, -1."""
    out = ()
    if PACKED:
        for i in tl.static_range(FIRST, LAST):
            at = position + i
            out = out + (tl.load(base + at, (at >= 0) & (at < length), other=-1),)
    return out


@triton.jit
def _load_taps(weight, bias, channel, inside, WIDTH: tl.constexpr, HAS_BIAS: tl.constexpr):
    """Taps by lag, (C, 1) each, and the bias, last."""
    out = ()
    for lag in tl.static_range(WIDTH):
        tap = tl.load(weight + channel * WIDTH + (WIDTH - 1 - lag), inside, other=0.0)
        out = out + (tap.to(tl.float32),)
    if HAS_BIAS:
        out = out + (tl.load(bias + channel, inside, other=0.0).to(tl.float32),)
    else:
        out = out + (tl.zeros_like(out[0]),)
    return out


@triton.jit
def _convolve(values, numbers, taps, INDEX: tl.constexpr, WIDTH: tl.constexpr, PACKED: tl.constexpr):
    """The sum at values[INDEX], before the activation."""
    total = taps[WIDTH] + taps[0] * values[INDEX]
    for lag in tl.static_range(1, WIDTH):
        term = taps[lag] * values[INDEX - lag]
        if PACKED:
            term = tl.where(numbers[INDEX] == numbers[INDEX - lag], term, 0.0)
        total += term
    return total


@triton.jit
def _tile(channels, length, CHANNELS: tl.constexpr, SPAN: tl.constexpr):
    """Batch entry, block of positions and channels (C, 1) of this program; SPAN positions a block."""
    program = tl.program_id(0)
    channel_blocks = tl.cdiv(channels, CHANNELS)
    position_blocks = tl.cdiv(length, SPAN)
    channel = (program % channel_blocks) * CHANNELS + tl.arange(0, CHANNELS)[:, None]
    block = (program // channel_blocks) % position_blocks
    entry = program // channel_blocks // position_blocks
    return entry.to(tl.int64), block.to(tl.int64), channel.to(tl.int64)


@triton.jit
def forward(
    x, weight, bias, numbers, initial, y,
    x_entry, x_channel, x_position, y_entry, y_channel, y_position,
    initial_entry, initial_channel, initial_position, channels, length,
    WIDTH: tl.constexpr, CHANNEL_LAST: tl.constexpr, SILU: tl.constexpr, HAS_BIAS: tl.constexpr,
    PACKED: tl.constexpr, HAS_INITIAL: tl.constexpr, ROOM: tl.constexpr,
    CHANNELS: tl.constexpr, UNITS: tl.constexpr, UNIT: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """The result; for TILES tiles of positions."""
    entry, block, channel = _tile(channels, length, CHANNELS, UNITS * UNIT * TILES)
    inside = channel < channels
    x += entry * x_entry + channel * x_channel
    y += entry * y_entry + channel * y_channel
    initial += entry * initial_entry + channel * initial_channel
    numbers += entry * length
    taps = _load_taps(weight, bias, channel, inside, WIDTH, HAS_BIAS)
    reach: tl.constexpr = WIDTH - 1
    for tile in range(TILES):
        position = ((block * TILES + tile) * UNITS + tl.arange(0, UNITS)[None, :]) * UNIT
        before = _load_before(
            x, initial, inside, position, length, x_position, initial_position,
            WIDTH, UNIT, CHANNEL_LAST, HAS_INITIAL, ROOM,
        )  # fmt: skip
        values = before + _load(x, inside, position, length, x_position, UNIT, 0, UNIT, CHANNEL_LAST, ROOM)
        number = _load_numbers(numbers, position, length, -reach, UNIT, PACKED)
        out = ()
        for i in tl.static_range(UNIT):
            total = _convolve(values, number, taps, reach + i, WIDTH, PACKED)
            if SILU:
                total *= tl.sigmoid(total)
            if PACKED:
                total = tl.where(number[reach + i] >= 0, total, 0.0)
            out = out + (total,)
        _store(y, inside, position, length, y_position, out, UNIT, CHANNEL_LAST, ROOM)


@triton.jit
def _inner_gradients(
    grads, values, numbers, taps,
    COUNT: tl.constexpr, WIDTH: tl.constexpr, SILU: tl.constexpr, PACKED: tl.constexpr,
):  # fmt: skip
    """Gradients of the sums before the activation, at the first COUNT positions."""
    out = ()
    for i in tl.static_range(COUNT):
        grad = grads[i]
        if SILU:
            total = _convolve(values, numbers, taps, WIDTH - 1 + i, WIDTH, PACKED)
            gate = tl.sigmoid(total)
            grad *= gate * (1 + total * (1 - gate))
        if PACKED:
            grad = tl.where(numbers[WIDTH - 1 + i] >= 0, grad, 0.0)
        out = out + (grad,)
    return out


@triton.jit
def _input_gradients(grads, numbers, taps, UNIT: tl.constexpr, WIDTH: tl.constexpr, PACKED: tl.constexpr):
    """Of the UNIT positions, from the inner gradients at them and the WIDTH - 1 after."""
    out = ()
    for i in tl.static_range(UNIT):
        total = taps[0] * grads[i]
        for lag in tl.static_range(1, WIDTH):
            term = taps[lag] * grads[i + lag]
            if PACKED:
                same = numbers[WIDTH - 1 + i] == numbers[WIDTH - 1 + i + lag]
                term = tl.where(same, term, 0.0)
            total += term
        out = out + (total,)
    return out


@triton.jit
def _add_tap_gradients(
    sums, grads, values, numbers, UNIT: tl.constexpr, WIDTH: tl.constexpr, PACKED: tl.constexpr
):
    """`sums` by lag and of the bias, with those of the UNIT positions added."""
    out = ()
    for lag in tl.static_range(WIDTH):
        total = sums[lag]
        for i in tl.static_range(UNIT):
            term = grads[i] * values[WIDTH - 1 + i - lag]
            if PACKED:
                same = numbers[WIDTH - 1 + i] == numbers[WIDTH - 1 + i - lag]
                term = tl.where(same, term, 0.0)
            total += term
        out = out + (total,)
    total = sums[WIDTH]
    for i in tl.static_range(UNIT):
        total += grads[i]
    return out + (total,)


@triton.jit
def backward(
    grad, x, weight, bias, numbers, initial, grad_x, partial,
    grad_entry, grad_channel, grad_position, x_entry, x_channel, x_position,
    grad_x_entry, grad_x_channel, grad_x_position,
    initial_entry, initial_channel, initial_position, channels, length,
    WIDTH: tl.constexpr, CHANNEL_LAST: tl.constexpr, SILU: tl.constexpr, HAS_BIAS: tl.constexpr,
    PACKED: tl.constexpr, HAS_INITIAL: tl.constexpr, ROOM: tl.constexpr,
    CHANNELS: tl.constexpr, UNITS: tl.constexpr, UNIT: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """The input's gradient, and of taps (by lag) and bias the sums over this program's positions.

    `partial` is (blocks, WIDTH + 1, D), a block for each batch entry and block of positions.
    """
    entry, block, channel = _tile(channels, length, CHANNELS, UNITS * UNIT * TILES)
    inside = channel < channels
    grad += entry * grad_entry + channel * grad_channel
    x += entry * x_entry + channel * x_channel
    grad_x += entry * grad_x_entry + channel * grad_x_channel
    initial += entry * initial_entry + channel * initial_channel
    numbers += entry * length
    taps = _load_taps(weight, bias, channel, inside, WIDTH, HAS_BIAS)
    reach: tl.constexpr = WIDTH - 1
    zero = tl.zeros((CHANNELS, UNITS), tl.float32)
    sums = ()
    for _ in tl.static_range(WIDTH + 1):
        sums = sums + (zero,)
    for tile in range(TILES):
        position = ((block * TILES + tile) * UNITS + tl.arange(0, UNITS)[None, :]) * UNIT
        values = _load_before(
            x, initial, inside, position, length, x_position, initial_position,
            WIDTH, UNIT, CHANNEL_LAST, HAS_INITIAL, ROOM,
        )  # fmt: skip
        values = values + _load(x, inside, position, length, x_position, UNIT, 0, UNIT, CHANNEL_LAST, ROOM)
        grads = _load(grad, inside, position, length, grad_position, UNIT, 0, UNIT, CHANNEL_LAST, ROOM)
        after = position + UNIT
        if SILU:
            values = values + _load(x, inside, after, length, x_position, UNIT, 0, reach, CHANNEL_LAST, ROOM)
        grads = grads + _load(grad, inside, after, length, grad_position, UNIT, 0, reach, CHANNEL_LAST, ROOM)
        number = _load_numbers(numbers, position, length, -reach, UNIT + reach, PACKED)
        grads = _inner_gradients(grads, values, number, taps, UNIT + reach, WIDTH, SILU, PACKED)
        out = _input_gradients(grads, number, taps, UNIT, WIDTH, PACKED)
        _store(grad_x, inside, position, length, grad_x_position, out, UNIT, CHANNEL_LAST, ROOM)
        sums = _add_tap_gradients(sums, grads, values, number, UNIT, WIDTH, PACKED)
    row = entry * tl.cdiv(length, UNITS * UNIT * TILES) + block
    partial += row * (WIDTH + 1) * channels + channel
    for index in tl.static_range(WIDTH + 1):
        total = tl.sum(sums[index], axis=1, keep_dims=True)
        tl.store(partial + index * channels, total, inside)


@triton.jit
def step(
    x, state, weight, bias, seen, rows, y,
    x_entry, x_channel, x_position, state_row, state_channel, state_slot,
    y_entry, y_channel, y_position, channels, length, room,
    WIDTH: tl.constexpr, SILU: tl.constexpr, HAS_BIAS: tl.constexpr,
    CIRCULAR: tl.constexpr, INDEXED: tl.constexpr, CHANNELS: tl.constexpr,
):  # fmt: skip
    """Positions one after the other; a channel's state is read and written by one thread alone."""
    blocks = tl.cdiv(channels, CHANNELS)
    entry = (tl.program_id(0) // blocks).to(tl.int64)
    channel = ((tl.program_id(0) % blocks) * CHANNELS + tl.arange(0, CHANNELS)).to(tl.int64)
    inside = channel < channels
    row = tl.load(rows + entry).to(tl.int64) if INDEXED else entry
    first = tl.load(seen + entry).to(tl.int64) if CIRCULAR else 0
    x += entry * x_entry + channel * x_channel
    y += entry * y_entry + channel * y_channel
    state += row * state_row + channel * state_channel
    taps = _load_taps(weight, bias, channel, inside, WIDTH, HAS_BIAS)
    for index in range(length):
        value = tl.load(x + index * x_position, inside, other=0.0).to(tl.float32)
        total = taps[WIDTH] + taps[0] * value
        for lag in tl.static_range(1, WIDTH):
            slot = (first + index - lag + room) % room if CIRCULAR else room - lag
            total += taps[lag] * tl.load(state + slot * state_slot, inside, other=0.0).to(tl.float32)
        if SILU:
            total *= tl.sigmoid(total)
        tl.store(y + index * y_position, total.to(y.dtype.element_ty), inside)
        if CIRCULAR:
            last = (first + index) % room
        else:
            last = room - 1
            for slot in range(room - 1):
                moved = tl.load(state + (slot + 1) * state_slot, inside, other=0.0)
                tl.store(state + slot * state_slot, moved, inside)
        tl.store(state + last * state_slot, value.to(state.dtype.element_ty), inside)
