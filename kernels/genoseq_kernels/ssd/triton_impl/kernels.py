"""The kernels of `ssd`; the formulas are those of `ssd.chunked`.

A product of two tiles never has a transposed accumulator as operand (Triton 3.4 to 3.7.0 miscompiles that on
Hopper): states are (N, P) here, which C multiplies as they are.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.ssd.triton_impl.tiles import (
    decays_between,
    edge_decays,
    from_fragments,
    in_fragments,
    in_two_buffers,
    load_rows,
    pair_decays,
    place,
    similarity_decays,
    state_tile,
    store_rows,
)


@triton.jit
def walk(
    v, k, steps, logs, run, edges, overs, states, first, pieces, span, length, padded, segments, heads,
    groups, v_batch, v_row, k_batch, k_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, WHOLE: tl.constexpr, REVERSE: tl.constexpr, STORE: tl.constexpr,
    OPERAND: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Along a segment, of `pieces` from `first` on, with the state of a head in registers.

    Forward, v is x and k is B; in reverse, which gives the gradients of states, dy and C. From zero, it
    leaves what the segment adds in the slot of `edges` behind it, for `pass_segments`. With STORE it begins
    with the slot before it instead, and writes what it has before each chunk, in its direction, to `states`
    (B, chunks of the pieces, H, N, P). Of a length of WHOLE chunks, no position is masked.
    """
    batch, piece, head = place(pieces, heads)
    segment = first + piece
    begin = segment * span
    chunks = tl.cdiv(tl.minimum(span, length - begin), Q).to(tl.int32)
    held = tl.cdiv(tl.minimum(pieces * span, length - first * span), Q)
    offsets, mask = state_tile(P, N, BLOCK_P, BLOCK_N)
    steps += (batch * heads + head) * padded
    logs += (batch * heads + head) * padded
    run += batch * padded
    v += batch * v_batch + head * P
    k += batch * k_batch + head // (heads // groups) * N
    slot = segment + 1 if REVERSE else segment
    if STORE:
        start = ((batch * (segments + 1) + slot) * heads + head) * P * N
        state = tl.load(edges + start + offsets, mask, other=0.0)
    else:
        state = tl.zeros((BLOCK_N, BLOCK_P), tl.float32)
    left = 1.0
    for index in range(chunks):
        chunk = chunks - 1 - index if REVERSE else index
        start = begin + chunk * Q
        end = start + Q if WHOLE else length
        if STORE:
            row = (batch * held + piece * (span // Q) + chunk) * heads + head
            tl.store(states + row * P * N + offsets, state.to(states.dtype.element_ty), mask)
        step, from_before, to_end, over = edge_decays(steps, logs, run, start, Q, PACKED)
        weight = from_before if REVERSE else to_end * step
        values = load_rows(v, start, v_row, end, Q, P, BLOCK_P, OPERAND)
        keys = load_rows(k, start, k_row, end, Q, N, BLOCK_N, OPERAND)
        weighted = (values.to(tl.float32) * weight[:, None]).to(OPERAND)
        state = tl.dot(tl.trans(keys), weighted, state * over, input_precision=DOT)
        left *= over
    if not STORE:
        slot = segment if REVERSE else segment + 1
        tl.store(edges + ((batch * (segments + 1) + slot) * heads + head) * P * N + offsets, state, mask)
        tl.store(overs + (batch * segments + segment) * heads + head, left)


@triton.jit
def pass_segments(
    edges, overs, known, segments, heads, SIZE: tl.constexpr, BLOCK: tl.constexpr, REVERSE: tl.constexpr
):
    """From what each segment adds to the states between them, in place.

    Slot s of `edges` (B, segments + 1, H, N, P) is the state before segment s, or its gradient; what is
    known, (B, H, N, P), comes to slot 0, in reverse to the last.
    """
    row = tl.program_id(0).to(tl.int64)
    batch, head = row // heads, row % heads
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < SIZE
    state = tl.load(known + row * SIZE + columns, inside, other=0.0)
    slot = batch * (segments + 1) + (segments if REVERSE else 0)
    tl.store(edges + (slot * heads + head) * SIZE + columns, state, inside)
    for index in range(segments):
        segment = segments - 1 - index if REVERSE else index
        slot = batch * (segments + 1) + (segment if REVERSE else segment + 1)
        address = edges + (slot * heads + head) * SIZE + columns
        left = tl.load(overs + (batch * segments + segment) * heads + head)
        state = state * left + tl.load(address, inside, other=0.0)
        tl.store(address, state, inside)


@triton.jit
def similarities(
    B, C, run, similar, chunks, length, padded, groups, B_batch, B_row, C_batch, C_row,
    N: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr, PACKED: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """C of a position times B of one that it sees, of a chunk and group: (B, chunks, G, Q * Q), each as
    `in_fragments` says."""
    batch, chunk, group = place(chunks, groups)
    start = chunk * Q
    index = tl.arange(0, Q)
    into = load_rows(B + batch * B_batch + group * N, start, B_row, length, Q, N, BLOCK_N, OPERAND)
    out = load_rows(C + batch * C_batch + group * N, start, C_row, length, Q, N, BLOCK_N, OPERAND)
    seen = index[:, None] >= index[None, :]
    if PACKED:
        here = run + batch * padded + start + index
        seen = seen & (tl.load(here)[:, None] == tl.load(here)[None, :])
    products = tl.where(seen, tl.dot(out, tl.trans(into), input_precision=DOT), 0.0)
    base = similar + ((batch * chunks + chunk) * groups + group) * Q * Q
    tl.store(base + tl.arange(0, Q * Q), in_fragments(products.to(similar.dtype.element_ty), Q))


@triton.jit
def scan(
    x, B, C, z, D, steps, logs, run, similar, edges, y, span, length, padded, segments, heads, groups,
    x_batch, x_row, B_batch, B_row, C_batch, C_row, z_batch, z_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, WHOLE: tl.constexpr, SKIP: tl.constexpr, GATE: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """y along a segment and a head, D (H, P) and z included; pairs of positions come from `similarities`.
    Of a length of WHOLE chunks, no position is masked."""
    batch, segment, head = place(segments, heads)
    begin = segment * span
    chunks = tl.cdiv(tl.minimum(span, length - begin), Q).to(tl.int32)
    offsets, mask = state_tile(P, N, BLOCK_P, BLOCK_N)
    columns = tl.arange(0, BLOCK_P)
    steps += (batch * heads + head) * padded
    logs += (batch * heads + head) * padded
    run += batch * padded
    group = head // (heads // groups)
    x += batch * x_batch + head * P
    z += batch * z_batch + head * P
    B += batch * B_batch + group * N
    C += batch * C_batch + group * N
    y += (batch * length * heads + head) * P
    similar += ((batch * (padded // Q) + begin // Q) * groups + group) * Q * Q + tl.arange(0, Q * Q)
    state = tl.load(
        edges + ((batch * (segments + 1) + segment) * heads + head) * P * N + offsets, mask, other=0.0
    )
    pairs = tl.load(similar)
    for chunk in range(chunks):
        start = begin + chunk * Q
        end = start + Q if WHOLE else length
        step, from_before, to_end, over = edge_decays(steps, logs, run, start, Q, PACKED)
        values = load_rows(x, start, x_row, end, Q, P, BLOCK_P, OPERAND)
        into = load_rows(B, start, B_row, end, Q, N, BLOCK_N, OPERAND)
        out = load_rows(C, start, C_row, end, Q, N, BLOCK_N, OPERAND)
        in_two_buffers(into, chunk, y)
        in_two_buffers(out, chunk, y)
        log = tl.load(logs + start + tl.arange(0, Q))
        weights = from_fragments(pairs, Q).to(tl.float32) * similarity_decays(log, log) * step[None, :]
        # Of the next chunk, a chunk ahead: in shared memory there is no room for them.
        similar += tl.where(chunk + 1 < chunks, groups * Q * Q, 0)
        pairs = tl.load(similar)
        weighted = (values.to(tl.float32) * (to_end * step)[:, None]).to(OPERAND)
        result = tl.dot(out, state.to(OPERAND), input_precision=DOT) * from_before[:, None]
        result = tl.dot(weights.to(OPERAND), values, result, input_precision=DOT)
        state = tl.dot(tl.trans(into), weighted, state * over, input_precision=DOT)
        if SKIP:
            skip = tl.load(D + head * P + columns, columns < P, other=0.0)
            result += values.to(tl.float32) * skip[None, :]
        if GATE:
            gate = load_rows(z, start, z_row, end, Q, P, BLOCK_P, tl.float32)
            result *= gate * tl.sigmoid(gate)
        store_rows(y, start, heads * P, end, result, Q, P, BLOCK_P)


@triton.jit
def value_gradients(
    dy, B, C, D, steps, logs, run, after, dx, first, chunks, length, padded, heads, groups,
    B_batch, B_row, C_batch, C_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, SKIP: tl.constexpr, OPERAND: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Of one of `chunks` from `first` on and a group, head by head: the gradient of x; `after`
    (B, chunks, H, N, P) is that of the states after the chunks. Rows of pairs are the earlier positions,
    columns the later ones."""
    batch, piece, group = place(chunks, groups)
    start = (first + piece) * Q
    columns = tl.arange(0, BLOCK_P)
    offsets, mask = state_tile(P, N, BLOCK_P, BLOCK_N)
    run += batch * padded
    into = load_rows(B + batch * B_batch + group * N, start, B_row, length, Q, N, BLOCK_N, OPERAND)
    out = load_rows(C + batch * C_batch + group * N, start, C_row, length, Q, N, BLOCK_N, OPERAND)
    similar = tl.dot(into, tl.trans(out), input_precision=DOT).to(OPERAND)
    shared = heads // groups
    for member in range(shared):
        head = group * shared + member
        plane = (batch * heads + head) * padded
        step, _, to_end, _ = edge_decays(steps + plane, logs + plane, run, start, Q, PACKED)
        own = (batch * length * heads + head) * P
        grad = load_rows(dy + own, start, heads * P, length, Q, P, BLOCK_P, OPERAND)
        slot = ((batch * chunks + piece) * heads + head) * P * N
        state = tl.load(after + slot + offsets, mask, other=0.0).to(OPERAND)
        decays = pair_decays(logs + plane, run, start, start, Q, PACKED, False)
        weights = similar.to(tl.float32) * (decays * step[:, None])
        result = tl.dot(into, state, input_precision=DOT) * (to_end * step)[:, None]
        result = tl.dot(weights.to(OPERAND), grad, result, input_precision=DOT)
        if SKIP:
            skip = tl.load(D + head * P + columns, columns < P, other=0.0)
            result += grad.to(tl.float32) * skip[None, :]
        store_rows(dx + own, start, heads * P, length, result, Q, P, BLOCK_P)


@triton.jit
def pair_gradients(
    x, dy, B, C, steps, logs, run, given, taken, met, alike, dD, pairs, whole, first, chunks, length, padded,
    heads, groups,
    x_batch, x_row, B_batch, B_row, C_batch, C_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    TILE: tl.constexpr, PACKED: tl.constexpr, BY_WIDTH: tl.constexpr, OPERAND: tl.constexpr,
    DOT: tl.constexpr,
):  # fmt: skip
    """Of a tile of the pairs of positions of a chunk, and a group: the gradient of C B^T, its heads summed,
    in `pairs` (B, chunks, G, Q, Q). Head by head, what reaches each later position from the earlier ones,
    `given`, and without their dt what each earlier one reaches, `taken`: both of one plane or two of `whole`
    numbers (B, H, padded). Rows are the later positions, columns the earlier ones.

    A chunk is one tile or two, and then has a third one for what goes from its first half to its second: that
    has half of the second planes. Tiles on the diagonal also make dy x^T, `met` (B, H, padded), and C B^T,
    `alike` (B, G, padded), of each position with itself, and the shares of dD where that is `BY_WIDTH`.
    """
    tiles: tl.constexpr = 2 * (Q // TILE) - 1
    batch, number, group = place(chunks * tiles, groups)
    piece, tile = number // tiles, number % tiles
    across = tile == Q // TILE
    start = (first + piece) * Q
    row, column = tl.where(across, TILE, tile * TILE), tl.where(across, 0, tile * TILE)
    later, earlier = start + row, start + column
    index, columns = tl.arange(0, TILE), tl.arange(0, BLOCK_P)
    run += batch * padded
    given += tl.where(across, whole, 0)
    taken += tl.where(across, whole, 0)
    into = load_rows(B + batch * B_batch + group * N, earlier, B_row, length, TILE, N, BLOCK_N, OPERAND)
    out = load_rows(C + batch * C_batch + group * N, later, C_row, length, TILE, N, BLOCK_N, OPERAND)
    itself = tl.sum(into.to(tl.float32) * out.to(tl.float32), 1)
    tl.store(alike + (batch * groups + group) * padded + earlier + index, itself, ~across)
    similar = tl.dot(out, tl.trans(into), input_precision=DOT)
    # No decay stands between a position and itself, whose large share would only round off the others.
    between = row + index[:, None] > column + index[None, :]
    similar = tl.where(between, similar, 0.0).to(OPERAND)
    total = tl.zeros((TILE, TILE), tl.float32)
    shared = heads // groups
    plane = (batch * heads + group * shared) * padded
    step = tl.load(steps + plane + earlier + index)
    late, soon = tl.load(logs + plane + later + index), tl.load(logs + plane + earlier + index)
    for member in range(shared):
        head = group * shared + member
        # Of the next head, a head ahead: these feed no product, for which alone Triton would do it.
        following = plane + tl.where(member + 1 < shared, padded, 0)
        next_step = tl.load(steps + following + earlier + index)
        next_late = tl.load(logs + following + later + index)
        next_soon = tl.load(logs + following + earlier + index)
        values = load_rows(x + batch * x_batch + head * P, earlier, x_row, length, TILE, P, BLOCK_P, OPERAND)
        own = (batch * length * heads + head) * P
        grad = load_rows(dy + own, later, heads * P, length, TILE, P, BLOCK_P, OPERAND)
        products = tl.dot(grad, tl.trans(values), input_precision=DOT)
        products *= decays_between(late, soon, run, later, earlier, TILE, PACKED, True)
        shares = products * similar.to(tl.float32)
        total += products * step[None, :]
        tl.store(given + plane + later + index, tl.sum(shares * step[None, :], 1))
        tl.store(taken + plane + earlier + index, tl.sum(shares, 0))
        both = grad.to(tl.float32) * values.to(tl.float32)
        tl.store(met + plane + earlier + index, tl.sum(both, 1), ~across)
        if BY_WIDTH:
            slot = (batch * (padded // TILE) + later // TILE) * heads + head
            tl.store(dD + slot * P + columns, tl.sum(both, 0), (columns < P) & ~across)
        plane, step, late, soon = following, next_step, next_late, next_soon
    base = pairs + ((batch * chunks + piece) * groups + group) * Q * Q + row * Q + column
    tl.store(base + index[:, None] * Q + index[None, :], total.to(pairs.dtype.element_ty))


@triton.jit
def weight_gradients(
    u, own, k, steps, logs, run, states, before, pairs, result, edge, through,
    first, chunks, length, padded, heads, groups, u_batch, u_row, own_batch, own_row, k_batch, k_row,
    P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr, Q: tl.constexpr,
    PACKED: tl.constexpr, REVERSE: tl.constexpr, OPERAND: tl.constexpr, DOT: tl.constexpr,
):  # fmt: skip
    """Of one of `chunks` from `first` on and a group: the gradient of `own`, C, with u = dy, k = B and the
    states before the chunks; in reverse that of B, with u = x, k = C and the gradients of the states after
    them. Head by head `edge` (B, H, padded) gets the share of what crosses the edge of the chunk to or from
    each position, in reverse without its dt, and `through` (B, H, padded / Q), with the states `before`, of
    what goes through the chunk."""
    batch, piece, group = place(chunks, groups)
    start = (first + piece) * Q
    index, inner = tl.arange(0, Q), tl.arange(0, BLOCK_P)
    offsets, mask = state_tile(P, N, BLOCK_P, BLOCK_N)
    run += batch * padded
    tile = pairs + ((batch * chunks + piece) * groups + group) * Q * Q
    later, earlier = index[:, None], index[None, :]
    keys = load_rows(k + batch * k_batch + group * N, start, k_row, length, Q, N, BLOCK_N, OPERAND)
    if REVERSE:
        later, earlier = earlier, later
    shares = tl.load(tile + later * Q + earlier, later >= earlier, other=0.0).to(OPERAND)
    total = tl.dot(shares, keys, input_precision=DOT)
    mine = load_rows(own + batch * own_batch + group * N, start, own_row, length, Q, N, BLOCK_N, OPERAND)
    shared = heads // groups
    for member in range(shared):
        head = group * shared + member
        plane = (batch * heads + head) * padded
        step, from_before, to_end, over = edge_decays(steps + plane, logs + plane, run, start, Q, PACKED)
        weight = to_end * step if REVERSE else from_before
        rows = load_rows(u + batch * u_batch + head * P, start, u_row, length, Q, P, BLOCK_P, OPERAND)
        slot = ((batch * chunks + piece) * heads + head) * P * N
        state = tl.load(states + slot + offsets, mask, other=0.0).to(OPERAND)
        seen = tl.dot(mine, state, input_precision=DOT)
        crossing = to_end if REVERSE else from_before
        tl.store(edge + plane + start + index, tl.sum(seen * rows.to(tl.float32), 1) * crossing)
        weighted = (rows.to(tl.float32) * weight[:, None]).to(OPERAND)
        total = tl.dot(weighted, tl.trans(state), total, input_precision=DOT)
        if REVERSE:
            met = tl.load(before + slot + offsets, mask, other=0.0).to(OPERAND)
            # No product reads them any more at the end of a round: `crossed` is waited for, and comes last.
            in_two_buffers(state, member, edge)
            in_two_buffers(met, member, edge)
            if state.dtype == tl.float32:
                crossed = tl.sum(met * state)
            else:
                # As the trace of a product of matrices: loads for one are made ahead, and take no registers.
                crossed = tl.dot(tl.trans(met), state)
                crossed = tl.sum(tl.where(inner[:, None] == inner[None, :], crossed, 0.0))
            tl.store(through + (batch * heads + head) * (padded // Q) + first + piece, crossed * over)
    target = result + (batch * length * groups + group) * N
    store_rows(target, start, groups * N, length, total, Q, N, BLOCK_N)
