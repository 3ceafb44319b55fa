"""Where a program is, and the decays of its chunk: shared by the kernels.

A program has one chunk of Q positions of one sequence, and one head or one group. Positions beyond the end
have dt = 0 and load as zeros, so that they change nothing. Offsets are 64-bit.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def place(chunks, heads):
    """Batch row, chunk and head of this program; neighbours share a chunk, and so its B and C in cache."""
    program = tl.program_id(0)
    batch, chunk, head = program // heads // chunks, program // heads % chunks, program % heads
    return batch.to(tl.int64), chunk.to(tl.int64), head.to(tl.int64)


@triton.jit
def load_rows(
    base, positions, stride, length, WIDTH: tl.constexpr, BLOCK: tl.constexpr, OPERAND: tl.constexpr
):
    """(Q, BLOCK) of a matrix whose rows are positions, as OPERAND; zeros beyond the length and the width."""
    columns = tl.arange(0, BLOCK)
    mask = (positions < length)[:, None] & (columns < WIDTH)[None, :]
    return tl.load(base + positions[:, None] * stride + columns[None, :], mask, other=0.0).to(OPERAND)


@triton.jit
def load_state(base, P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr):
    """A state (P, N) as (BLOCK_N, BLOCK_P)."""
    rows, columns = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_P)
    mask = (rows < N)[:, None] & (columns < P)[None, :]
    return tl.load(base + columns[None, :] * N + rows[:, None], mask, other=0.0)


@triton.jit
def load_steps(dt, A, batch, head, positions, length, heads, LOGS: tl.constexpr):
    """dt, the running sums of its logarithms of decay, and their last: in the type LOGS."""
    rows = (batch * length + positions) * heads + head
    steps = tl.load(dt + rows, positions < length, other=0.0)
    logs = (steps * tl.load(A + head)).to(LOGS)
    return steps, tl.cumsum(logs, 0), tl.sum(logs, 0)


@triton.jit
def load_runs(run, batch, positions, start, length, Q: tl.constexpr):
    """The packed sequence of each position, of the one before the chunk, and of the last."""
    base = run + batch * length
    here = tl.load(base + tl.minimum(positions, length - 1))
    before = tl.load(base + tl.maximum(start - 1, 0))
    return here, before, tl.load(base + tl.minimum(start + Q, length) - 1)


@triton.jit
def edge_decays(logs, total, here, before, last, PACKED: tl.constexpr):
    """What is left of the state before the chunk at each position, of each position at the end of the chunk,
    and of the former there."""
    from_before, to_end = tl.exp(logs.to(tl.float32)), tl.exp((total - logs).to(tl.float32))
    over = tl.exp(total.to(tl.float32))
    if PACKED:
        from_before = tl.where(here == before, from_before, 0.0)
        to_end = tl.where(here == last, to_end, 0.0)
        over = tl.where(before == last, over, 0.0)
    return from_before, to_end, over


@triton.jit
def pair_decays(logs, here, Q: tl.constexpr, PACKED: tl.constexpr, ROWS_LATER: tl.constexpr):
    """(Q, Q): what is left of the earlier position at the later one; zero where rows and columns are the
    other way round."""
    index = tl.arange(0, Q)
    if ROWS_LATER:
        seen = index[:, None] >= index[None, :]
        between = logs[:, None] - logs[None, :]
    else:
        seen = index[:, None] <= index[None, :]
        between = logs[None, :] - logs[:, None]
    if PACKED:
        seen = seen & (here[:, None] == here[None, :])
    return tl.exp(tl.where(seen, between.to(tl.float32), float("-inf")))
