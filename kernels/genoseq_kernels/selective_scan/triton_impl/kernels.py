"""The scan over L: positions over the lanes of a warp, so that a program walks over L with all its states.

Where channels alone do not fill a GPU, a program has one segment of positions: `summarise` gives what it adds
to the state and by what it multiplies the one before it, `carry` walks over the segments, `outputs` goes
through each from its true first state. The gradient does the same from the end: `summarise`, `carry`,
`gradients`.

u, delta, z (B, D, L) with L contiguous; y, dy and gradients of them contiguous; B, C (B, G, N, padded L) and
keep (B, padded L); exponents, A over log 2, (D, N) and states (segments, B, D, N) float32.
"""

# Kernels have Triton's types, and its tuples no starred form.
# mypy: ignore-errors
# ruff: noqa: RUF005

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.elementary import LN_2, power_of_two, sigmoid
from genoseq_kernels.selective_scan.triton_impl.tiles import (
    across,
    decays_of,
    elapse,
    filled,
    fold,
    half_decays,
    half_states,
    half_sums,
    load_part,
    load_run,
    load_shared,
    load_vector,
    over_lanes,
    place,
    products,
    silu,
    store_part,
    store_run,
    sums_of,
    through_lanes,
    time_steps,
    unpack,
)


@triton.jit
def summarise(  # noqa: C901 - conditions are compile-time ones
    source, delta, weights, exponents, z, bias, keep, factors, values,
    source_batch, source_channel, delta_batch, delta_channel, z_batch, z_channel,
    length, padded, segment, num_batch, channels, groups, blocks, N,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, LANES: tl.constexpr, RUN: tl.constexpr,
    HAS_Z: tl.constexpr, HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
    BACK: tl.constexpr,
):  # fmt: skip
    """Per segment alone: the state after it from u and B, or, `BACK`, the gradient before it from dy and C.

    Also the product of its decays. A position counts by the decay between it and the end (beginning) of the
    segment, the exponential of a sum of time steps: no recurrence, and nothing crosses lanes but sums.
    """
    batch, group, channel, exists, _thread, lane = place(
        tl.program_id(0), blocks, groups, channels // groups, CHANNELS, LANES, 1
    )
    index = tl.program_id(1)
    shift = load_vector(bias, channel, exists, HAS_BIAS)
    first, last = index * segment, tl.minimum(index * segment + segment, length)
    tiles = tl.cdiv(last - first, LANES * RUN)
    zero = tl.zeros((CHANNELS * LANES,), tl.float32)
    total, resets, summaries = zero, zero, filled(zero, COLUMNS)
    for tile in range(tiles):
        begin = first + (tile if BACK else tiles - 1 - tile) * (LANES * RUN) + lane * RUN
        raw = load_run(delta + batch * delta_batch + channel * delta_channel, begin, length, exists, RUN)
        dt = time_steps(raw, shift, begin, length, RUN, SOFTPLUS)
        amount = load_run(
            source + batch * source_batch + channel * source_channel, begin, length, exists, RUN
        )
        if not BACK:
            amount = products(amount, dt, RUN)
        elif HAS_Z:
            gate = load_run(z + batch * z_batch + channel * z_channel, begin, length, exists, RUN)
            amount = products(amount, silu(gate, RUN), RUN)
        elapsed, total = elapse(dt, total, lane, LANES, RUN, BACK)
        if HAS_KEEP:
            keeps = load_shared(keep + batch * padded, begin, RUN)
            broken = ()
            for k in tl.static_range(RUN):
                broken = broken + (1.0 - keeps[k],)
            passed, resets = elapse(broken, resets, lane, LANES, RUN, BACK)
            reaching = ()
            for k in tl.static_range(RUN):
                reaching = reaching + (tl.where(passed[k] == 0.0, amount[k], 0.0),)
            amount = reaching
        for n in range(N):
            exponent = tl.load(exponents + channel * N + n, mask=exists, other=0.0)
            weight = load_shared(weights + ((batch * groups + group) * N + n) * padded, begin, RUN)
            part = zero
            for k in tl.static_range(RUN):
                part += power_of_two(elapsed[k] * exponent) * (amount[k] * weight[k])
            part = over_lanes(part, lane, LANES)
            added = ()
            for j in tl.static_range(COLUMNS):
                added = added + (tl.where(lane + j * LANES == n, summaries[j] + part, summaries[j]),)
            summaries = added
    at = ((index.to(tl.int64) * num_batch + batch) * channels + channel) * N + lane
    for j in tl.static_range(COLUMNS):
        mask = exists & (lane + j * LANES < N)
        exponent = tl.load(exponents + channel * N + lane + j * LANES, mask=mask, other=0.0)
        product = tl.where(resets > 0.0, 0.0, power_of_two(total * exponent))
        tl.store(factors + at + j * LANES, product, mask=mask)
        tl.store(values + at + j * LANES, summaries[j], mask=mask)


@triton.jit
def carry(
    factors, values, first, entering, size, num_segments, BACKWARD: tl.constexpr, BLOCK: tl.constexpr
):  # fmt: skip
    """The state that enters each segment, from the one that enters the first (backward: the last)."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK).to(tl.int64)
    mask = at < size
    state = tl.load(first + at, mask=mask, other=0.0)
    for step in range(num_segments):
        segment = num_segments - 1 - step if BACKWARD else step
        row = segment.to(tl.int64) * size + at
        tl.store(entering + row, state, mask=mask)
        factor = tl.load(factors + row, mask=mask, other=0.0)
        state = factor * state + tl.load(values + row, mask=mask, other=0.0)


@triton.jit
def outputs(
    u, delta, B, C, exponents, D, z, bias, keep, entering, y, starts, last_state,
    u_batch, u_channel, delta_batch, delta_channel, z_batch, z_channel,
    length, padded, segment, num_batch, channels, groups, blocks, N,
    COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, LANES: tl.constexpr, RUN: tl.constexpr,
    WARPS: tl.constexpr, CHUNK: tl.constexpr, HAS_D: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """y, the state before each chunk (B, D, chunks, N), and the last one, from that entering each segment.

    Each warp goes through an equal part of the states, and through all positions; y is the sum over warps.
    """
    batch, group, channel, exists, thread, lane = place(
        tl.program_id(0), blocks, groups, channels // groups, CHANNELS, LANES, WARPS
    )
    index = tl.program_id(1)
    shift = load_vector(bias, channel, exists, HAS_BIAS)
    skip = load_vector(D, channel, exists, HAS_D)
    own = batch * channels + channel
    warp, of_warp = thread // (CHANNELS * LANES), N // WARPS
    own_state = warp * of_warp
    exponents += channel * N + own_state
    row = ((batch * groups + group) * N + own_state) * padded
    chunk_row = starts + own * tl.cdiv(length, CHUNK) * N + own_state
    entering += (index.to(tl.int64) * num_batch * channels + own) * N + own_state + lane
    states = ()
    for j in tl.static_range(COLUMNS):
        mask = exists & (lane + j * LANES < of_warp)
        states = states + (tl.load(entering + j * LANES, mask=mask, other=0.0),)
    HALF: tl.constexpr = RUN // 2
    PART: tl.constexpr = RUN // WARPS
    u_row = u + batch * u_batch + channel * u_channel
    zero = tl.zeros((WARPS * CHANNELS * LANES,), tl.float32)
    end = tl.minimum(index * segment + segment, length)
    for start in range(index * segment, end, LANES * RUN):
        begin = start + lane * RUN
        raw = load_run(delta + batch * delta_batch + channel * delta_channel, begin, length, exists, RUN)
        dt = time_steps(raw, shift, begin, length, RUN, SOFTPLUS)
        x = products(load_run(u_row, begin, length, exists, RUN), dt, RUN)
        totals = half_sums(dt, RUN)
        keeps = load_shared(keep + batch * padded, begin, RUN) if HAS_KEEP else dt
        results = filled(zero, RUN)
        is_chunk = (begin % CHUNK == 0) & (begin < length) & exists
        chunk_at = chunk_row + (begin // CHUNK).to(tl.int64) * N
        before = states
        for n in range(of_warp):
            holder = lane - lane + n % LANES
            first = across(before[0], holder, LANES)
            for j in tl.static_range(1, COLUMNS):
                first = tl.where(n < j * LANES, first, across(before[j], holder, LANES))
            # What is read comes before anything is written: later, a read would wait for its whole way.
            exponent = tl.load(exponents + n, mask=exists, other=0.0)
            weight = load_shared(B + row + n * padded, begin, RUN)
            read = load_shared(C + row + n * padded, begin, RUN)
            decays = decays_of(dt, exponent, keeps, RUN, HAS_KEEP)
            factor, factor_2 = half_decays(totals, exponent, keeps, RUN, HAS_KEEP)
            added = products(x, weight, RUN)
            value, value_2 = half_states(decays, added, RUN)
            h, leaving = through_lanes(
                factor * factor_2, factor_2 * value + value_2, first, lane, LANES, False
            )
            tl.store(chunk_at + n, h, mask=is_chunk)
            after, sums, sums_2 = (), (), ()
            for j in tl.static_range(COLUMNS):
                after = after + (tl.where(lane + j * LANES == n, leaving, states[j]),)
            h_2 = factor * h + value
            for k in tl.static_range(HALF):
                h = decays[k] * h + added[k]
                h_2 = decays[HALF + k] * h_2 + added[HALF + k]
                sums = sums + (results[k] + h * read[k],)
                sums_2 = sums_2 + (results[HALF + k] + h_2 * read[HALF + k],)
            states, results = after, sums + sums_2
        results = unpack(fold(results, thread, CHANNELS * LANES, WARPS, RUN))
        begin += warp * PART
        skipped = products(load_run(u_row, begin, length, exists, PART), filled(skip, PART), PART)
        results = sums_of(results, skipped, PART)
        if HAS_Z:
            gate = load_run(z + batch * z_batch + channel * z_channel, begin, length, exists, PART)
            results = products(results, silu(gate, PART), PART)
        store_run(y + own * length, begin, length, exists, results, PART)
    if end == length:
        for j in tl.static_range(COLUMNS):
            mask = exists & (lane + j * LANES < of_warp)
            tl.store(last_state + own * N + own_state + lane + j * LANES, states[j], mask=mask)


@triton.jit
def gradients(  # noqa: C901 - conditions are compile-time ones
    dy, u, delta, B, C, exponents, D, z, bias, keep, starts, entering,
    du, ddelta, dz, dA, dB, dC, dD, dbias,
    u_batch, u_channel, delta_batch, delta_channel, z_batch, z_channel,
    length, padded, segment, num_batch, channels, groups, blocks, parts, N,
    CHANNELS: tl.constexpr, LANES: tl.constexpr, RUN: tl.constexpr,
    HAS_D: tl.constexpr, HAS_Z: tl.constexpr,
    HAS_BIAS: tl.constexpr, HAS_KEEP: tl.constexpr, SOFTPLUS: tl.constexpr,
):  # fmt: skip
    """All gradients of a segment, from its last chunk, of `LANES * RUN` positions, to its first.

    A program has every `parts`-th block of channels of its group, and goes through all of them at one chunk:
    its part of dB and dC (parts, B, G, N, padded L) is added up in the cache. Nothing is added by two
    programs, and results are the same each time. `entering`, the gradient of the state after each segment,
    becomes that of the state before it. dA (segments, B, D, N), dD and dbias (segments, B, D) begin with
    zeros.
    """
    program, index = tl.program_id(0), tl.program_id(1)
    part, pair = program % parts, program // parts
    CHUNK: tl.constexpr = LANES * RUN
    HALF: tl.constexpr = RUN // 2
    POSITIONS: tl.constexpr = RUN // CHANNELS
    zero = tl.zeros((CHANNELS * LANES,), tl.float32)
    first, last = index * segment, tl.minimum(index * segment + segment, length)
    for step in range(tl.cdiv(last - first, CHUNK)):
        chunk = (last - 1) // CHUNK - step
        for block in range(part, blocks, parts):
            batch, group, channel, exists, thread, lane = place(
                pair * blocks + block, blocks, groups, channels // groups, CHANNELS, LANES, 1
            )
            begin = chunk * CHUNK + lane * RUN
            own = batch * channels + channel
            one = exists & (lane == 0)
            shift = load_vector(bias, channel, exists, HAS_BIAS)
            skip = load_vector(D, channel, exists, HAS_D)
            delta_row = delta + batch * delta_batch + channel * delta_channel
            u_row = u + batch * u_batch + channel * u_channel
            z_row = z + batch * z_batch + channel * z_channel
            out = own * length
            raw = load_run(delta_row, begin, length, exists, RUN)
            dt = time_steps(raw, shift, begin, length, RUN, SOFTPLUS)
            x = products(load_run(u_row, begin, length, exists, RUN), dt, RUN)
            outer = load_run(dy + out, begin, length, exists, RUN)
            if HAS_Z:
                outer = products(outer, silu(load_run(z_row, begin, length, exists, RUN), RUN), RUN)
            totals = half_sums(dt, RUN)
            keeps = load_shared(keep + batch * padded, begin, RUN) if HAS_KEEP else dt
            results, d_value, d_dt = filled(zero, RUN), filled(zero, RUN), filled(zero, RUN)
            state_row = (index.to(tl.int64) * num_batch * channels + own) * N
            start_row = (own * tl.cdiv(length, CHUNK) + chunk) * N
            folded_at = begin + thread // LANES * POSITIONS
            for n in range(N):
                exponent = tl.load(exponents + channel * N + n, mask=exists, other=0.0)
                state = tl.load(starts + start_row + n, mask=exists, other=0.0)
                carried = tl.load(entering + state_row + n, mask=exists, other=0.0)
                row = (batch * groups + group) * N + n
                weight, read = (
                    load_shared(B + row * padded, begin, RUN), load_shared(C + row * padded, begin, RUN)
                )  # fmt: skip
                # All that is read before anything is written: later, a read would wait for its whole way.
                folded = (part * num_batch * groups * N + row) * padded + folded_at
                more_B, more_C = (
                    load_part(dB + folded, block != part, POSITIONS),
                    load_part(dC + folded, block != part, POSITIONS),
                )
                more_A = tl.load(dA + state_row + n, mask=one, other=0.0)
                decays = decays_of(dt, exponent, keeps, RUN, HAS_KEEP)
                factor, factor_2 = half_decays(totals, exponent, keeps, RUN, HAS_KEEP)
                values = products(x, weight, RUN)
                value, value_2 = half_states(decays, values, RUN)
                h, _last = through_lanes(
                    factor * factor_2, factor_2 * value + value_2, state, lane, LANES, False
                )
                h_2 = factor * h + value
                before, terms, sums = (), (), ()
                before_2, terms_2, sums_2 = (), (), ()
                for k in tl.static_range(HALF):
                    before, before_2 = before + (h,), before_2 + (h_2,)
                    h = decays[k] * h + values[k]
                    h_2 = decays[HALF + k] * h_2 + values[HALF + k]
                    terms, terms_2 = terms + (outer[k] * h,), terms_2 + (outer[HALF + k] * h_2,)
                    sums = sums + (results[k] + h * read[k],)
                    sums_2 = sums_2 + (results[HALF + k] + h_2 * read[HALF + k],)
                before, results = before + before_2, sums + sums_2
                terms = fold(terms + terms_2, thread, LANES, CHANNELS, RUN)
                store_part(dC + folded, more_C + terms, POSITIONS)
                c, c_2 = zero, zero
                for k in tl.static_range(HALF - 1, -1, -1):
                    c = decays[k] * (outer[k] * read[k] + c)
                    c_2 = decays[HALF + k] * (outer[HALF + k] * read[HALF + k] + c_2)
                value, value_2 = c, c_2
                c_2, leaving = through_lanes(
                    factor * factor_2, factor * value_2 + value, carried, lane, LANES, True
                )
                tl.store(entering + state_row + n, leaving, mask=one)
                c = factor_2 * c_2 + value_2
                d_A, d_A_2 = zero, zero
                terms, terms_2 = (), ()
                values, values_2, steps, steps_2 = (), (), (), ()
                for k in tl.static_range(HALF - 1, -1, -1):
                    d_state, d_state_2 = outer[k] * read[k] + c, outer[HALF + k] * read[HALF + k] + c_2
                    c, c_2 = decays[k] * d_state, decays[HALF + k] * d_state_2
                    d_exponent, d_exponent_2 = c * before[k], c_2 * before[HALF + k]
                    d_A, d_A_2 = d_A + d_exponent * dt[k], d_A_2 + d_exponent_2 * dt[HALF + k]
                    terms, terms_2 = (d_state * x[k],) + terms, (d_state_2 * x[HALF + k],) + terms_2
                    values = (d_value[k] + d_state * weight[k],) + values
                    values_2 = (d_value[HALF + k] + d_state_2 * weight[HALF + k],) + values_2
                    steps = (d_dt[k] + d_exponent * exponent,) + steps
                    steps_2 = (d_dt[HALF + k] + d_exponent_2 * exponent,) + steps_2
                d_value, d_dt = values + values_2, steps + steps_2
                terms = fold(terms + terms_2, thread, LANES, CHANNELS, RUN)
                store_part(dB + folded, more_B + terms, POSITIONS)
                tl.store(dA + state_row + n, more_A + over_lanes(d_A + d_A_2, lane, LANES), mask=one)
            values = load_run(u_row, begin, length, exists, RUN)
            raw = load_run(delta_row, begin, length, exists, RUN)
            d_u, d_delta = (), ()
            sum_D, sum_bias = zero, zero
            for k in tl.static_range(RUN):
                d_u = d_u + (d_value[k] * dt[k] + outer[k] * skip,)
                step_k = d_dt[k] * LN_2 + d_value[k] * values[k]
                if SOFTPLUS:
                    step_k *= sigmoid(raw[k] + shift)
                d_delta = d_delta + (step_k,)
                sum_D += outer[k] * values[k]
                sum_bias += tl.where(begin + k < length, step_k, 0.0)
            store_run(du + out, begin, length, exists, d_u, RUN)
            store_run(ddelta + out, begin, length, exists, d_delta, RUN)
            if HAS_Z:
                gate = load_run(z_row, begin, length, exists, RUN)
                upstream = load_run(dy + out, begin, length, exists, RUN)
                d_gate = ()
                for k in tl.static_range(RUN):
                    half = sigmoid(gate[k])
                    slope = half * (1.0 + gate[k] * (1.0 - half))
                    d_gate = d_gate + (upstream[k] * (results[k] + values[k] * skip) * slope,)
                store_run(dz + out, begin, length, exists, d_gate, RUN)
            vector = index.to(tl.int64) * num_batch * channels + own
            sum_D = over_lanes(sum_D, lane, LANES) + tl.load(dD + vector, mask=one, other=0.0)
            sum_bias = over_lanes(sum_bias, lane, LANES) + tl.load(dbias + vector, mask=one, other=0.0)
            tl.store(dD + vector, sum_D, mask=one)
            tl.store(dbias + vector, sum_bias, mask=one)
            # What one lane has written is read by all at the next chunk.
            tl.debug_barrier()
