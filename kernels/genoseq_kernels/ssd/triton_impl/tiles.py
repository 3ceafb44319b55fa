"""Where a program is, and the tiles and decays of its chunk: shared by the kernels.

Time steps and sums of logarithms are (B, H, padded), `padded` positions being whole chunks, of which those
beyond the end have dt = 0; matrices load as zeros there. Logarithms are to base 2. Offsets are 64-bit.
"""
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl

_LARGEST_LOG = tl.constexpr(127.0)
"""Of what float32 has a power of two."""


@triton.jit
def place(pieces, heads):
    """Batch row, piece and head of this program; neighbours share a piece, and so its B and C in cache."""
    program = tl.program_id(0)
    batch, piece, head = program // heads // pieces, program // heads % pieces, program % heads
    return batch.to(tl.int64), piece.to(tl.int64), head.to(tl.int64)


@triton.jit
def tile_mask(start, length, Q: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Where a (Q, BLOCK) tile of positions from `start` on is inside; compared in 32 bits, which is one
    instruction and not three."""
    rows = (tl.arange(0, Q) < tl.minimum(length - start, Q).to(tl.int32))[:, None]
    return rows & (tl.arange(0, BLOCK) < WIDTH)[None, :] if WIDTH < BLOCK else rows


@triton.jit
def load_rows(
    base, start, stride, length, Q: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
    OPERAND: tl.constexpr,
):  # fmt: skip
    """(Q, BLOCK) of a matrix whose rows are positions, from `start` on, as OPERAND; zeros beyond the length
    and the width. Within the tile, offsets are 32-bit: they take half the registers."""
    index, columns = tl.arange(0, Q), tl.arange(0, BLOCK)
    mask = tile_mask(start, length, Q, WIDTH, BLOCK)
    offsets = index[:, None] * stride + columns[None, :]
    return tl.load(base + start * stride + offsets, mask, other=0.0).to(OPERAND)


@triton.jit
def store_rows(base, start, stride, length, tile, Q: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """The way back of `load_rows`."""
    index, columns = tl.arange(0, Q), tl.arange(0, BLOCK)
    mask = tile_mask(start, length, Q, WIDTH, BLOCK)
    offsets = index[:, None] * stride + columns[None, :]
    tl.store(base + start * stride + offsets, tile.to(base.dtype.element_ty), mask)


@triton.jit
def in_two_buffers(tile, index, address):
    """Have a loop of three stages keep `tile`, which it loads for products alone, in two buffers of shared
    memory: Triton gives such a tile a third one, for products that still read it two rounds later, of which
    these loops have none. A tile with any other use has two; the one here never comes, which LLVM knows and
    Triton does not."""
    if (index & 1) > 1:
        tl.store(address, tl.sum(tile.to(tl.float32)).to(address.dtype.element_ty))


@triton.jit
def state_tile(P: tl.constexpr, N: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_N: tl.constexpr):
    """Offsets and mask of a state (N, P) as a tile (BLOCK_N, BLOCK_P)."""
    rows, columns = tl.arange(0, BLOCK_N), tl.arange(0, BLOCK_P)
    return rows[:, None] * P + columns[None, :], (rows < N)[:, None] & (columns < P)[None, :]


@triton.jit
def edge_decays(steps, logs, run, start, Q: tl.constexpr, PACKED: tl.constexpr):
    """dt (Q,), what is left of the state before the chunk at each position, of each position
    at the end of the chunk, and of the former there; pointers are those of this batch row and head."""
    index = start + tl.arange(0, Q)
    step, log, total = tl.load(steps + index), tl.load(logs + index), tl.load(logs + start + Q - 1)
    from_before, to_end = tl.exp2(log.to(tl.float32)), tl.exp2((total - log).to(tl.float32))
    over = tl.exp2(total.to(tl.float32))
    if PACKED:
        here = tl.load(run + index)
        before, last = tl.load(run + tl.maximum(start - 1, 0)), tl.load(run + start + Q - 1)
        from_before = tl.where(here == before, from_before, 0.0)
        to_end = tl.where(here == last, to_end, 0.0)
        over = tl.where(before == last, over, 0.0)
    return step, from_before, to_end, over


@triton.jit
def pair_decays(logs, run, rows, columns, Q: tl.constexpr, PACKED: tl.constexpr, ROWS_LATER: tl.constexpr):
    """`decays_between` of the positions from `rows` and from `columns` on."""
    index = tl.arange(0, Q)
    row_logs, column_logs = tl.load(logs + rows + index), tl.load(logs + columns + index)
    return decays_between(row_logs, column_logs, run, rows, columns, Q, PACKED, ROWS_LATER)


@triton.jit
def decays_between(
    row_logs, column_logs, run, rows, columns, Q: tl.constexpr, PACKED: tl.constexpr,
    ROWS_LATER: tl.constexpr,
):  # fmt: skip
    """(Q, Q): what is left of the earlier position at the later one, by the sums of logarithms of both; zero
    where the two are the other way round. Nothing is divided, so that no decay is too strong."""
    index = tl.arange(0, Q)
    apart = (rows - columns).to(tl.int32) + index[:, None] - index[None, :]
    between = (row_logs[:, None] - column_logs[None, :]).to(tl.float32)
    if ROWS_LATER:
        seen = apart >= 0
    else:
        seen = apart <= 0
        between = -between
    if PACKED:
        seen = seen & (tl.load(run + rows + index)[:, None] == tl.load(run + columns + index)[None, :])
    return tl.exp2(tl.where(seen, between, float("-inf")))


@triton.jit
def similarity_decays(row_logs, column_logs):
    """As `decays_between`, for pairs that `similarities` has masked: finite for the others, whose zeros it
    multiplies."""
    return tl.exp2(tl.minimum((row_logs[:, None] - column_logs[None, :]).to(tl.float32), _LARGEST_LOG))


@triton.jit
def in_fragments(tile, Q: tl.constexpr):
    """A (Q, Q) tile as Q * Q numbers in the order in which the threads of a warp group hold a product: eight
    of a thread side by side, then its neighbours'. Read back by `from_fragments` without shared memory."""
    shape: tl.constexpr = (Q // 16, 2, 8, Q // 16, 2, 4, 2)
    return tl.reshape(tl.permute(tl.reshape(tile, shape), (3, 0, 2, 5, 4, 1, 6)), (Q * Q,))


@triton.jit
def from_fragments(numbers, Q: tl.constexpr):
    """The way back of `in_fragments`."""
    shape: tl.constexpr = (Q // 16, Q // 16, 8, 4, 2, 2, 2)
    return tl.reshape(tl.permute(tl.reshape(numbers, shape), (1, 5, 2, 0, 4, 3, 6)), (Q, Q))
