"""Time steps and sums of logarithms from dt, and the gradients of dt, A and the bias from those of both.

The recurrence reads a head's positions side by side, (B, H, padded); dt is (B, L, H): a program turns a
chunk of some heads.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

from genoseq_kernels.elementary import sigmoid, softplus


@triton.jit
def chunk_of_heads(padded, heads, Q: tl.constexpr, HEADS: tl.constexpr):
    """Batch row and chunk of this program, its positions (Q,) and heads (HEADS,), which may be too many."""
    chunks = padded // Q
    program = tl.program_id(0).to(tl.int64)
    chunk = program % chunks
    return (
        program // chunks,
        chunk,
        chunk * Q + tl.arange(0, Q),
        tl.program_id(1) * HEADS + tl.arange(0, HEADS),
    )


@triton.jit
def raw_step(
    dt, bias, batch, index, head, length, heads, dt_batch, dt_row, dt_head, HAS_BIAS: tl.constexpr
):  # fmt: skip
    """dt and bias (HEADS, Q), and where there is one."""
    there = (head < heads)[:, None] & (index < length)[None, :]
    raw = tl.load(dt + batch * dt_batch + head[:, None] * dt_head + index[None, :] * dt_row, there, other=0.0)
    raw = raw.to(tl.float32)
    if HAS_BIAS:
        raw += tl.load(bias + head, head < heads, other=0.0).to(tl.float32)[:, None]
    return raw, there


@triton.jit
def make_steps(
    dt, bias, rates, steps, logs, low, high, length, padded, heads, dt_batch, dt_row, dt_head,
    Q: tl.constexpr, HEADS: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
    LIMITED: tl.constexpr,
):  # fmt: skip
    """`steps` (B, H, padded), zero beyond the length, and their sums within chunks of Q times `rates` (H,),
    in the precision of `logs`."""
    batch, _, index, head = chunk_of_heads(padded, heads, Q, HEADS)
    raw, there = raw_step(
        dt, bias, batch, index, head, length, heads, dt_batch, dt_row, dt_head, HAS_BIAS
    )  # fmt: skip
    step = softplus(raw) if SOFTPLUS else raw
    if LIMITED:
        step = tl.minimum(tl.maximum(step, low), high)
    step = tl.where(there, step, 0.0)
    exists = (head < heads)[:, None] & (index < padded)[None, :]
    at = (batch * heads + head)[:, None] * padded + index[None, :]
    tl.store(steps + at, step, exists)
    rate = tl.load(rates + head, head < heads, other=0.0)
    log = (step * rate[:, None]).to(logs.dtype.element_ty)
    tl.store(logs + at, tl.cumsum(log, 1), exists)


@triton.jit
def step_gradients(
    dt, bias, A, steps, given, taken, met, alike, seen, gone, through, result, dA, dD, dbias, whole,
    low, high, length, padded, heads, groups, dt_batch, dt_row, dt_head,
    Q: tl.constexpr, HEADS: tl.constexpr, HAS_BIAS: tl.constexpr, SOFTPLUS: tl.constexpr,
    LIMITED: tl.constexpr, HALVES: tl.constexpr,
):  # fmt: skip
    """The gradient of dt, `result` (B, L, H), and the shares of each chunk in those of A, D and the bias,
    (B, chunks, H).

    dt scales x, which reads `taken`, `met` times `alike` and `gone`; and it makes decays, whose logarithms
    have the shares of all that they stand between. What begins before a position, in its chunk (`given`, less
    what it gives itself) or in front of it (`seen`), counts at the positions up to where it is read; what
    goes on after the chunk, from its own on (`gone`); what goes through the chunk (`through`), at all.
    """
    batch, chunk, index, head = chunk_of_heads(padded, heads, Q, HEADS)
    known = head < heads
    exists = known[:, None] & (index < padded)[None, :]
    plane = batch * heads + head
    at = plane[:, None] * padded + index[None, :]
    step = tl.load(steps + at, exists, other=0.0)
    read = tl.load(given + at, exists, other=0.0) + tl.load(seen + at, exists, other=0.0)
    reached = tl.load(taken + at, exists, other=0.0)
    if HALVES:
        late = exists & (tl.arange(0, Q) >= Q // 2)[None, :]
        early = exists & (tl.arange(0, Q) < Q // 2)[None, :]
        read += tl.load(given + whole + at, late, other=0.0)
        reached += tl.load(taken + whole + at, early, other=0.0)
    beyond = tl.load(gone + at, exists, other=0.0)
    # Of the positions before it alone, read one further on: a share of its own that was added and taken away
    # would leave its rounding where nothing else is, since the compiler makes one instruction of the two.
    preceded = exists & (tl.arange(0, Q) > 0)[None, :]
    left = tl.load(gone + at - 1, preceded, other=0.0) * tl.load(steps + at - 1, preceded, other=0.0)
    logs = tl.cumsum(read - reached * step, 1, reverse=True) + tl.cumsum(left, 1)
    logs += tl.load(through + plane * (padded // Q) + chunk, known, other=0.0)[:, None]
    itself = tl.load(met + at, exists, other=0.0)
    share = (batch * (padded // Q) + chunk) * heads + head
    tl.store(dA + share, tl.sum(logs * step, 1), known)
    tl.store(dD + share, tl.sum(itself, 1), known)
    rate = tl.load(A + head, known, other=0.0).to(tl.float32)
    weight = (batch * groups + head // (heads // groups))[:, None] * padded + index[None, :]
    gradient = reached + beyond + itself * tl.load(alike + weight, exists, other=0.0) + logs * rate[:, None]
    raw, there = raw_step(
        dt, bias, batch, index, head, length, heads, dt_batch, dt_row, dt_head, HAS_BIAS
    )  # fmt: skip
    if LIMITED:
        step = softplus(raw) if SOFTPLUS else raw
        gradient = tl.where((step >= low) & (step <= high), gradient, 0.0)
    if SOFTPLUS:
        gradient *= sigmoid(raw)
    gradient = tl.where(there, gradient, 0.0)
    if HAS_BIAS:
        tl.store(dbias + share, tl.sum(gradient, 1), known)
    target = result + (batch * length + index)[None, :] * heads + head[:, None]
    tl.store(target, gradient.to(result.dtype.element_ty), there)
