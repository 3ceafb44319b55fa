"""The scan over L in three passes, so that also few channels fill a GPU.

A segment of positions is one program's: `summarise` gives what it adds to the state and by what it multiplies
the one before it, `carry` walks over the segments, `outputs` goes through each again from its true first
state. The gradient does the same from the end: `summarise_back`, `carry`, `gradients`.

u, delta, z (B, D, L) with L contiguous; y, dy and gradients of them contiguous; A (N, D); B, C (B, G, L, N)
and all else float32; states (segments or chunks, B, N, D). N is a power of two; states beyond the real ones
are zero.
"""

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.selective_scan.triton_impl.tiles import (
    decay,
    load_exponents,
    load_keep,
    load_states,
    load_steps,
    load_tile,
    load_weights,
    pick,
    place,
    put,
    sigmoid,
    store_states,
)


@triton.jit
def summarise(  # type: ignore[no-untyped-def]
    u, delta, A, B, bias, keep, factors, values,
    u_batch, u_channel, delta_batch, delta_channel,
    length, segment, num_batch, channels, groups, blocks,
    N: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per segment, from a zero state: the state after it (`values`), and the product of its decays."""
    batch, group, channel, exists = place(tl.program_id(0), blocks, groups, channels // groups, BLOCK)
    index = tl.program_id(1).to(tl.int64)
    exponents = load_exponents(A, channel, channels, exists, N)
    rows = tl.arange(0, T)[:, None]
    state = tl.zeros((N, BLOCK), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    kept = tl.full((BLOCK,), 1.0, tl.float32)
    end = tl.minimum(index * segment + segment, length)
    for start in range(index * segment, end, T):
        position = start + rows
        mask = (position < length) & exists[None, :]
        _raw, dt = load_steps(
            delta,
            bias,
            delta_batch,
            delta_channel,
            batch,
            channel,
            exists,
            position,
            mask,
            HAS_BIAS,
            SOFTPLUS,
        )
        x = dt * load_tile(u, u_batch, u_channel, batch, channel, position, mask)
        keeps = load_keep(keep, batch, length, position, mask, HAS_KEEP)
        for k in tl.static_range(T):
            dt_k, keep_k = pick(dt, rows, k), pick(keeps, rows, k)
            B_k = load_weights(B, batch, group, groups, length, start + k, N)
            state = decay(dt_k, exponents, keep_k, HAS_KEEP) * state + pick(x, rows, k)[None, :] * B_k
            total += dt_k
            kept *= keep_k
        # In the loop for its layout: states over lanes as well as channels, which the compiler then keeps.
        if start + T >= end:
            product = decay(total, exponents, kept, True)
            store_states(factors, index, batch, num_batch, channel, channels, exists, product, N)
            store_states(values, index, batch, num_batch, channel, channels, exists, state, N)


@triton.jit
def summarise_back(  # type: ignore[no-untyped-def]
    dy, delta, A, C, z, bias, keep, factors, values,
    delta_batch, delta_channel, z_batch, z_channel,
    length, segment, num_batch, channels, groups, blocks,
    N: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr,
    HAS_Z: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """Per segment, with no gradient from behind it: that of the state before it; the product of decays."""
    batch, group, channel, exists = place(tl.program_id(0), blocks, groups, channels // groups, BLOCK)
    index = tl.program_id(1).to(tl.int64)
    exponents = load_exponents(A, channel, channels, exists, N)
    rows = tl.arange(0, T)[:, None]
    carried = tl.zeros((N, BLOCK), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    kept = tl.full((BLOCK,), 1.0, tl.float32)
    first, last = index * segment, tl.minimum(index * segment + segment, length)
    for step in range(0, last - first, T):
        start = first + (last - first - 1) // T * T - step
        position = start + rows
        mask = (position < length) & exists[None, :]
        _raw, dt = load_steps(
            delta,
            bias,
            delta_batch,
            delta_channel,
            batch,
            channel,
            exists,
            position,
            mask,
            HAS_BIAS,
            SOFTPLUS,
        )
        outer = load_tile(dy, channels * length, length, batch, channel, position, mask)
        if HAS_Z:
            gate = load_tile(z, z_batch, z_channel, batch, channel, position, mask)
            outer *= gate * sigmoid(gate)
        keeps = load_keep(keep, batch, length, position, mask, HAS_KEEP)
        for k in tl.static_range(T - 1, -1, -1):
            C_k = load_weights(C, batch, group, groups, length, start + k, N)
            carried += pick(outer, rows, k)[None, :] * C_k
            dt_k, keep_k = pick(dt, rows, k), pick(keeps, rows, k)
            carried *= decay(dt_k, exponents, keep_k, HAS_KEEP)
            total += dt_k
            kept *= keep_k
        if step + T >= last - first:
            product = decay(total, exponents, kept, True)
            store_states(factors, index, batch, num_batch, channel, channels, exists, product, N)
            store_states(values, index, batch, num_batch, channel, channels, exists, carried, N)


@triton.jit
def carry(  # type: ignore[no-untyped-def]
    factors, values, first, entering, size, segments, BACKWARD: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """Walk over the segments: `entering` (segments, size) is the state before, or the gradient after each."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    state = tl.load(first + at, mask=inside, other=0.0)
    for step in range(segments):
        index = segments - 1 - step if BACKWARD else step
        here = tl.cast(index, tl.int64) * size + at
        tl.store(entering + here, state, mask=inside)
        value = tl.load(values + here, mask=inside, other=0.0)
        state = tl.load(factors + here, mask=inside, other=0.0) * state + value


@triton.jit
def outputs(  # type: ignore[no-untyped-def]
    u, delta, A, B, C, D, z, bias, keep, entering, y, starts, last_state,
    u_batch, u_channel, delta_batch, delta_channel, z_batch, z_channel,
    length, segment, num_batch, channels, groups, blocks,
    N: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
    HAS_D: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """y, the state before each chunk, and the last one, from the state that enters each segment."""
    batch, group, channel, exists = place(tl.program_id(0), blocks, groups, channels // groups, BLOCK)
    index = tl.program_id(1).to(tl.int64)
    exponents = load_exponents(A, channel, channels, exists, N)
    rows = tl.arange(0, T)[:, None]
    state = load_states(entering, index, batch, num_batch, channel, channels, exists, N)
    end = tl.minimum(index * segment + segment, length)
    for start in range(index * segment, end, T):
        if start % CHUNK == 0:
            store_states(starts, start // CHUNK, batch, num_batch, channel, channels, exists, state, N)
        position = start + rows
        mask = (position < length) & exists[None, :]
        _raw, dt = load_steps(
            delta,
            bias,
            delta_batch,
            delta_channel,
            batch,
            channel,
            exists,
            position,
            mask,
            HAS_BIAS,
            SOFTPLUS,
        )
        values = load_tile(u, u_batch, u_channel, batch, channel, position, mask)
        x = dt * values
        keeps = load_keep(keep, batch, length, position, mask, HAS_KEEP)
        result = tl.zeros((T, BLOCK), tl.float32)
        for k in tl.static_range(T):
            B_k = load_weights(B, batch, group, groups, length, start + k, N)
            C_k = load_weights(C, batch, group, groups, length, start + k, N)
            factor = decay(pick(dt, rows, k), exponents, pick(keeps, rows, k), HAS_KEEP)
            state = factor * state + pick(x, rows, k)[None, :] * B_k
            result = put(result, rows, k, tl.sum(state * C_k, 0))
        if HAS_D:
            result += values * tl.load(D + channel, mask=exists, other=0.0)[None, :]
        if HAS_Z:
            gate = load_tile(z, z_batch, z_channel, batch, channel, position, mask)
            result *= gate * sigmoid(gate)
        at = y + (batch * channels + channel[None, :]) * length + position
        tl.store(at, result.to(y.dtype.element_ty), mask=mask)
    if end == length:
        store_states(last_state, 0, batch, num_batch, channel, channels, exists, state, N)


@triton.jit
def gradients(  # type: ignore[no-untyped-def]  # noqa: C901 - conditions are compile-time ones
    dy, u, delta, A, B, C, D, z, bias, keep, starts, entering, inner,
    du, ddelta, dz, dA, dB, dC, dD, dbias, d_initial,
    u_batch, u_channel, delta_batch, delta_channel, z_batch, z_channel,
    length, segment, num_batch, channels, groups, blocks, parts,
    N: tl.constexpr, T: tl.constexpr, BLOCK: tl.constexpr, CHUNK: tl.constexpr,
    HAS_D: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """All gradients of a segment, from its last chunk to its first.

    A chunk is walked forward once, keeping the state before every T positions in `inner`; then each T
    positions are walked forward, keeping all their states, and back. A program has every `parts`-th block of
    channels of its group and adds them up in its own part of dB and dC (parts, B, G, L, N): nothing is added
    by two programs, and results are the same each time. dA (segments, B, N, D); dD, dbias (segments, B, D).
    """
    program = tl.program_id(0).to(tl.int64)
    part, pair = program % parts, program // parts
    index = tl.program_id(1).to(tl.int64)
    batch, group = pair // groups, pair % groups
    first, last = index * segment, tl.minimum(index * segment + segment, length)
    states_of_program = (program * tl.num_programs(1) + index) * (CHUNK // T)
    rows, deep = tl.arange(0, T)[:, None], tl.arange(0, T)[:, None, None]
    n = tl.arange(0, N)
    weights = ((part * num_batch + batch) * groups + group) * length
    for block in range(part, blocks, parts):
        batch, group, channel, exists = place(
            pair * blocks + block, blocks, groups, channels // groups, BLOCK
        )
        own = block * BLOCK + tl.arange(0, BLOCK)
        exponents = load_exponents(A, channel, channels, exists, N)
        carried = load_states(entering, index, batch, num_batch, channel, channels, exists, N)
        sum_A = tl.zeros((N, BLOCK), tl.float32)
        sum_D, sum_bias = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
        skip = tl.load(D + channel, mask=exists, other=0.0) if HAS_D else tl.zeros((BLOCK,), tl.float32)
        for chunk in range((last - 1) // CHUNK, first // CHUNK - 1, -1):
            state = load_states(starts, chunk, batch, num_batch, channel, channels, exists, N)
            tiles = tl.cdiv(tl.minimum(length - chunk * CHUNK, CHUNK), T)
            for tile in range(tiles):
                at = (states_of_program + tile) * N + n[:, None]
                tl.store(inner + at * BLOCK + tl.arange(0, BLOCK)[None, :], state)
                position = chunk * CHUNK + tile * T + rows
                mask = (position < length) & exists[None, :]
                raw, dt = load_steps(
                    delta, bias, delta_batch, delta_channel, batch, channel, exists, position, mask,
                    HAS_BIAS, SOFTPLUS,
                )  # fmt: skip
                x = dt * load_tile(u, u_batch, u_channel, batch, channel, position, mask)
                keeps = load_keep(keep, batch, length, position, mask, HAS_KEEP)
                for k in tl.static_range(T):
                    B_k = load_weights(B, batch, group, groups, length, chunk * CHUNK + tile * T + k, N)
                    factor = decay(pick(dt, rows, k), exponents, pick(keeps, rows, k), HAS_KEEP)
                    state = factor * state + pick(x, rows, k)[None, :] * B_k
            tl.debug_barrier()
            for step in range(tiles):
                tile = tiles - 1 - step
                start = chunk * CHUNK + tile * T
                at = (states_of_program + tile) * N + n[:, None]
                state = tl.load(inner + at * BLOCK + tl.arange(0, BLOCK)[None, :])
                position = start + rows
                mask = (position < length) & exists[None, :]
                raw, dt = load_steps(
                    delta, bias, delta_batch, delta_channel, batch, channel, exists, position, mask,
                    HAS_BIAS, SOFTPLUS,
                )  # fmt: skip
                values = load_tile(u, u_batch, u_channel, batch, channel, position, mask)
                x = dt * values
                keeps = load_keep(keep, batch, length, position, mask, HAS_KEEP)
                outer = load_tile(dy, channels * length, length, batch, channel, position, mask)
                result = tl.zeros((T, BLOCK), tl.float32)
                before = tl.zeros((T, N, BLOCK), tl.float32)
                for k in tl.static_range(T):
                    before = put(before, deep, k, state)
                    B_k = load_weights(B, batch, group, groups, length, start + k, N)
                    factor = decay(pick(dt, rows, k), exponents, pick(keeps, rows, k), HAS_KEEP)
                    state = factor * state + pick(x, rows, k)[None, :] * B_k
                    if HAS_Z:
                        C_k = load_weights(C, batch, group, groups, length, start + k, N)
                        result = put(result, rows, k, tl.sum(state * C_k, 0))
                out = (batch * channels + channel[None, :]) * length + position
                if HAS_Z:
                    z_tile = load_tile(z, z_batch, z_channel, batch, channel, position, mask)
                    gate = sigmoid(z_tile)
                    slope = gate * (1.0 + z_tile * (1.0 - gate))
                    dz_tile = outer * (result + values * skip[None, :]) * slope
                    tl.store(dz + out, dz_tile.to(dz.dtype.element_ty), mask=mask)
                    outer *= z_tile * gate
                sum_D += tl.sum(outer * values, 0)
                d_value = tl.zeros((T, BLOCK), tl.float32)
                d_dt = tl.zeros((T, BLOCK), tl.float32)
                for k in tl.static_range(T - 1, -1, -1):
                    dt_k, outer_k = pick(dt, rows, k), pick(outer, rows, k)
                    B_k = load_weights(B, batch, group, groups, length, start + k, N)
                    C_k = load_weights(C, batch, group, groups, length, start + k, N)
                    row = (weights + start + k) * N + n
                    exists_k = (start + k < length) & (n >= 0)
                    d_B = tl.load(dB + row, mask=exists_k & (block != part), other=0.0)
                    d_C = tl.load(dC + row, mask=exists_k & (block != part), other=0.0)
                    d_C += tl.sum(outer_k[None, :] * state, 1)
                    tl.store(dC + row, d_C, mask=exists_k)
                    d_state = outer_k[None, :] * C_k + carried
                    d_B += tl.sum(d_state * pick(x, rows, k)[None, :], 1)
                    tl.store(dB + row, d_B, mask=exists_k)
                    carried = d_state * decay(dt_k, exponents, pick(keeps, rows, k), HAS_KEEP)
                    state = pick(before, deep, k)
                    d_exponent = carried * state
                    sum_A += d_exponent * dt_k[None, :]
                    d_value = put(d_value, rows, k, tl.sum(d_state * B_k, 0))
                    d_dt = put(d_dt, rows, k, tl.sum(d_exponent * exponents, 0))
                d_dt = d_dt * 0.6931471805599453 + d_value * values
                if SOFTPLUS:
                    d_dt *= sigmoid(raw)
                sum_bias += tl.sum(tl.where(mask, d_dt, 0.0), 0)
                d_u = d_value * dt + outer * skip[None, :]
                tl.store(du + out, d_u.to(du.dtype.element_ty), mask=mask)
                tl.store(ddelta + out, d_dt.to(ddelta.dtype.element_ty), mask=mask)
            tl.debug_barrier()
        if first == 0:
            store_states(d_initial, 0, batch, num_batch, channel, channels, exists, carried, N)
        store_states(dA, index, batch, num_batch, channel, channels, exists, sum_A, N)
        vector = (index * num_batch + batch) * channels + group * (channels // groups) + own
        tl.store(dD + vector, sum_D, mask=exists)
        tl.store(dbias + vector, sum_bias, mask=exists)
