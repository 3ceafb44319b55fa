"""The kernels of `ssd`; the formulas are those of `ssd.chunked`.

A product of two tiles never has a transposed accumulator as operand (Triton 3.4 to 3.7.0 miscompiles that on
Hopper): where it would be wanted, rows and columns change places from the start.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.ssd.triton_impl.tiles import (
    edge_decays,
    load_rows,
    load_runs,
    load_state,
    load_steps,
    pair_decays,
    place,
)


@triton.jit
def chunk_states(
    v, k, dt, A, run, states, over_chunk, length, chunks, heads, groups,
    v_batch, v_row, k_batch, k_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, REVERSE: tl.constexpr, LOGS: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """What a chunk adds to the state after it: v is x, k is B. In reverse, what it adds to the gradient of
    the state before it: v is dy, k is C. Slots of `states` are as in `pass_states`."""
    batch, chunk, head = place(chunks, heads)
    start = chunk * Q
    positions = start + tl.arange(0, Q)
    steps, logs, total = load_steps(dt, A, batch, head, positions, length, heads, LOGS)
    here, before, last = logs, total, total
    if PACKED:
        here, before, last = load_runs(run, batch, positions, start, length, Q)
    from_before, to_end, over = edge_decays(logs, total, here, before, last, PACKED)
    values = load_rows(v + batch * v_batch + head * P, positions, v_row, length, P, BLOCK_P, OPERAND)
    group = head // (heads // groups)
    keys = load_rows(k + batch * k_batch + group * N, positions, k_row, length, N, BLOCK_N, OPERAND)
    weight = from_before if REVERSE else to_end * steps
    keys = (keys.to(tl.float32) * weight[:, None]).to(OPERAND)
    made = tl.dot(tl.trans(values), keys, input_precision=DOT)
    slot = chunk if REVERSE else chunk + 1
    target = states + ((batch * (chunks + 1) + slot) * heads + head) * P * N
    rows, columns = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N)
    mask = (rows < P)[:, None] & (columns < N)[None, :]
    tl.store(target + rows[:, None] * N + columns[None, :], made.to(states.dtype.element_ty), mask)
    if not REVERSE:
        tl.store(over_chunk + (batch * chunks + chunk) * heads + head, over)


@triton.jit
def _then(left_1, value_1, left_2, value_2):
    return left_1 * left_2, value_1 * left_2 + value_2


@triton.jit
def pass_states(
    states, over_chunk, first, last, chunks, heads,
    SIZE: tl.constexpr, BLOCK: tl.constexpr, AT_ONCE: tl.constexpr, REVERSE: tl.constexpr,
):  # fmt: skip
    """From what each chunk adds to the states themselves, in place, the carry in float32.

    Slot k of `states` (B, chunks + 1, H, P * N) is the state before chunk k, or its gradient. `first` is what
    is known, at slot 0 (in reverse, at the last), and `last` gets what comes out at the other end.
    """
    row = tl.program_id(0).to(tl.int64)
    batch, head = row // heads, row % heads
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < SIZE
    state = tl.load(first + row * SIZE + columns, inside, other=0.0)
    base = states + (batch * (chunks + 1) * heads + head) * SIZE
    known = batch * (chunks + 1) + (chunks if REVERSE else 0)
    tl.store(states + (known * heads + head) * SIZE + columns, state.to(states.dtype.element_ty), inside)
    index = tl.arange(0, AT_ONCE)
    for begin in range(0, chunks, AT_ONCE):
        step = begin + index
        chunk = (chunks - 1 - step if REVERSE else step).to(tl.int64)
        exists = step < chunks
        left = tl.load(over_chunk + (batch * chunks + chunk) * heads + head, exists, other=1.0)
        slot = chunk if REVERSE else chunk + 1
        address = base + slot[:, None] * heads * SIZE + columns[None, :]
        mask = exists[:, None] & inside[None, :]
        made = tl.load(address, mask, other=0.0).to(tl.float32)
        lefts = tl.broadcast_to(left[:, None], (AT_ONCE, BLOCK))
        lefts, values = tl.associative_scan((lefts, made), 0, _then)
        values += lefts * state[None, :]
        tl.store(address, values.to(states.dtype.element_ty), mask)
        state = tl.sum(tl.where(index[:, None] == AT_ONCE - 1, values, 0.0), 0)
    tl.store(last + row * SIZE + columns, state, inside)


@triton.jit
def scan(
    x, B, C, dt, A, D, run, states, y, length, chunks, heads, groups,
    x_batch, x_row, B_batch, B_row, C_batch, C_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, SKIP: tl.constexpr, LOGS: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """y of a chunk and a head, D (H, P) included."""
    batch, chunk, head = place(chunks, heads)
    start = chunk * Q
    positions = start + tl.arange(0, Q)
    steps, logs, total = load_steps(dt, A, batch, head, positions, length, heads, LOGS)
    here, before, last = logs, total, total
    if PACKED:
        here, before, last = load_runs(run, batch, positions, start, length, Q)
    from_before, _, _ = edge_decays(logs, total, here, before, last, PACKED)
    group = head // (heads // groups)
    into = load_rows(B + batch * B_batch + group * N, positions, B_row, length, N, BLOCK_N, OPERAND)
    out = load_rows(C + batch * C_batch + group * N, positions, C_row, length, N, BLOCK_N, OPERAND)
    state = load_state(
        states + ((batch * (chunks + 1) + chunk) * heads + head) * P * N, P, N, BLOCK_P, BLOCK_N
    )
    result = tl.dot(out, state.to(OPERAND), input_precision=DOT) * from_before[:, None]
    weights = tl.dot(out, tl.trans(into), input_precision=DOT)
    weights *= pair_decays(logs, here, Q, PACKED, True) * steps[None, :]
    values = load_rows(x + batch * x_batch + head * P, positions, x_row, length, P, BLOCK_P, OPERAND)
    result += tl.dot(weights.to(OPERAND), values, input_precision=DOT)
    columns = tl.arange(0, BLOCK_P)
    if SKIP:
        skip = tl.load(D + head * P + columns, columns < P, other=0.0)
        result += values.to(tl.float32) * skip[None, :]
    address = y + ((batch * length + positions) * heads + head)[:, None] * P + columns[None, :]
    mask = (positions < length)[:, None] & (columns < P)[None, :]
    tl.store(address, result.to(y.dtype.element_ty), mask)


@triton.jit
def value_gradients(
    x, dy, B, C, dt, A, D, run, states, state_gradients, dx, ddt, dlogs, dD,
    length, chunks, heads, groups, x_batch, x_row, B_batch, B_row, C_batch, C_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, SKIP: tl.constexpr, LOGS: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Of a chunk and a head: gradients of x, of dt * A, and of dt by its other use; the chunk's share of dD.

    Rows are the earlier positions, columns the later ones.
    """
    batch, chunk, head = place(chunks, heads)
    start = chunk * Q
    positions = start + tl.arange(0, Q)
    steps, logs, total = load_steps(dt, A, batch, head, positions, length, heads, LOGS)
    here, before, last = logs, total, total
    if PACKED:
        here, before, last = load_runs(run, batch, positions, start, length, Q)
    from_before, to_end, over = edge_decays(logs, total, here, before, last, PACKED)
    group = head // (heads // groups)
    slot = batch * (chunks + 1) + chunk
    into = load_rows(B + batch * B_batch + group * N, positions, B_row, length, N, BLOCK_N, OPERAND)
    out = load_rows(C + batch * C_batch + group * N, positions, C_row, length, N, BLOCK_N, OPERAND)
    grad = load_rows(
        dy + batch * length * heads * P + head * P, positions, heads * P, length, P, BLOCK_P, OPERAND
    )
    after = load_state(state_gradients + ((slot + 1) * heads + head) * P * N, P, N, BLOCK_P, BLOCK_N)
    scaled = tl.dot(into, after.to(OPERAND), input_precision=DOT) * to_end[:, None]
    values = load_rows(x + batch * x_batch + head * P, positions, x_row, length, P, BLOCK_P, OPERAND)
    gone = tl.sum(scaled * values.to(tl.float32), 1) * steps
    state = load_state(states + (slot * heads + head) * P * N, P, N, BLOCK_P, BLOCK_N)
    through = tl.sum(state.to(tl.float32) * after.to(tl.float32)) * over
    seen = tl.dot(out, state.to(OPERAND), input_precision=DOT) * from_before[:, None]
    begun = tl.sum(seen * grad.to(tl.float32), 1)

    weights = tl.dot(into, tl.trans(out), input_precision=DOT)
    weights *= pair_decays(logs, here, Q, PACKED, False)
    scaled += tl.dot(weights.to(OPERAND), grad, input_precision=DOT)
    pairs = tl.dot(values, tl.trans(grad), input_precision=DOT) * weights * steps[:, None]
    index = tl.arange(0, Q)
    pairs = tl.where(index[:, None] == index[None, :], 0.0, pairs)
    begun += tl.sum(pairs, 0) - tl.sum(pairs, 1)
    logs_gradient = tl.cumsum(begun, 0, reverse=True) + tl.cumsum(gone, 0) - gone + through

    rows = (batch * length + positions) * heads + head
    inside = positions < length
    columns = tl.arange(0, BLOCK_P)
    tl.store(dlogs + rows, logs_gradient, inside)
    tl.store(ddt + rows, tl.sum(scaled * values.to(tl.float32), 1), inside)
    result = scaled * steps[:, None]
    if SKIP:
        skip = tl.load(D + head * P + columns, columns < P, other=0.0)
        result += grad.to(tl.float32) * skip[None, :]
        share = tl.sum(grad.to(tl.float32) * values.to(tl.float32), 0)
        tl.store(dD + ((batch * chunks + chunk) * heads + head) * P + columns, share, columns < P)
    mask = inside[:, None] & (columns < P)[None, :]
    tl.store(dx + rows[:, None] * P + columns[None, :], result.to(dx.dtype.element_ty), mask)


@triton.jit
def weight_gradients(
    u, v, k, dt, A, run, states, result, length, chunks, heads, groups,
    u_batch, u_row, v_batch, v_row, k_batch, k_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, REVERSE: tl.constexpr, LOGS: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Of a chunk and a group, over its heads: the gradient of C, with u = dy, v = x, k = B and the states; in
    reverse that of B, with u = x, v = dy, k = C and the gradients of the states."""
    batch, chunk, group = place(chunks, groups)
    start = chunk * Q
    positions = start + tl.arange(0, Q)
    total_pairs = tl.zeros((Q, Q), tl.float32)
    total = tl.zeros((Q, BLOCK_N), tl.float32)
    shared = heads // groups
    slot = chunk + 1 if REVERSE else chunk
    for member in range(shared):
        head = group * shared + member
        steps, logs, log_total = load_steps(dt, A, batch, head, positions, length, heads, LOGS)
        here, before, last = logs, log_total, log_total
        if PACKED:
            here, before, last = load_runs(run, batch, positions, start, length, Q)
        from_before, to_end, _ = edge_decays(logs, log_total, here, before, last, PACKED)
        mine = load_rows(u + batch * u_batch + head * P, positions, u_row, length, P, BLOCK_P, OPERAND)
        other = load_rows(v + batch * v_batch + head * P, positions, v_row, length, P, BLOCK_P, OPERAND)
        pairs = tl.dot(mine, tl.trans(other), input_precision=DOT)
        pairs *= pair_decays(logs, here, Q, PACKED, not REVERSE)
        total_pairs += pairs * (steps[:, None] if REVERSE else steps[None, :])
        weight = to_end * steps if REVERSE else from_before
        base = states + ((batch * (chunks + 1) + slot) * heads + head) * P * N
        rows, columns = tl.arange(0, BLOCK_P), tl.arange(0, BLOCK_N)
        mask = (rows < P)[:, None] & (columns < N)[None, :]
        state = tl.load(base + rows[:, None] * N + columns[None, :], mask, other=0.0)
        weighted = (mine.to(tl.float32) * weight[:, None]).to(OPERAND)
        total += tl.dot(weighted, state.to(OPERAND), input_precision=DOT)
    keys = load_rows(k + batch * k_batch + group * N, positions, k_row, length, N, BLOCK_N, OPERAND)
    total += tl.dot(total_pairs.to(OPERAND), keys, input_precision=DOT)
    columns = tl.arange(0, BLOCK_N)
    address = result + ((batch * length + positions) * groups + group)[:, None] * N + columns[None, :]
    mask = (positions < length)[:, None] & (columns < N)[None, :]
    tl.store(address, total.to(result.dtype.element_ty), mask)
