"""`gated_delta_rule` through matrix products, on any device: a triangular system within a chunk of positions,
a recurrence over states between chunks.

Position i adds k[i] u[i]^T to the state. Of the state S before its chunk b[i] is left there, and D[i, j] of
what position j has added. The rule says
u[i] = beta[i] (v[i] - b[i] S^T k[i] - sum over j < i of D[i, j] (k[i] . k[j]) u[j]):
the rows u of U solve (I + A) U = diag(beta) (V - diag(b) K S), with A strictly lower triangular. For all
chunks at once, (I + A)^-1 is applied to diag(beta) V and to diag(beta b) K; with W for the latter, U is the
former minus W S, chunk by chunk. Everything else is masked attention with U for values.

Decays are exponentials of differences of sums of logarithms, masked before the exponential, with sums in
float64. Several chunks make a block, done at once; the state before each block is all that is kept for the
gradient, which makes the rest anew. Blocks are so long that states kept and states of a block are both about
the square root of the number of chunks.

Source: Yang et al. 2024, "Gated Delta Networks", section 3.3 (the WY form); Yang et al. 2024, "Parallelizing
Linear Transformers with the Delta Rule". The gradient is derived from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from genoseq_kernels.gated_delta_rule.reference import Gradients, Inputs, first_state, inverse_norm
from genoseq_kernels.spans import Span, spans
from genoseq_kernels.ssd.reference import precise, runs

CHUNK = 64
"""Positions of a chunk."""

BLOCK_ELEMENTS = 2**20
"""About so many numbers may the states of a block have, or its heads, chunks, position by position."""


def forward(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """o (B, L, H, V), the last state (B, H, K, V), and the states that the gradient needs."""
    o = torch.empty(inputs.v.shape, dtype=inputs.v.dtype, device=inputs.v.device)
    kept = saved_like(inputs)
    state = first_state(inputs)
    run = None if inputs.seq_idx is None else runs(inputs.seq_idx)
    for index, span in enumerate(_spans(inputs)):
        kept[index] = state
        block = _Block(inputs, span, run)
        before, written, state = block.write(state)
        o[:, span.positions] = block.by_position(block.read(before, written)).to(o.dtype)
    # Not an input, nor a part of what is kept.
    return o, state.clone(), kept


def backward(grad: torch.Tensor, grad_last: torch.Tensor, inputs: Inputs, kept: torch.Tensor) -> Gradients:
    """Gradients of the first two results of `forward`, from the last block to the first."""
    q, k, v, g, beta = (torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in inputs[:5])
    carried = grad_last.to(kept.dtype)
    run = None if inputs.seq_idx is None else runs(inputs.seq_idx)
    for index, span in reversed(list(enumerate(_spans(inputs)))):
        block = _Block(inputs, span, run)
        *found, carried = _block_gradients(block.chunked(grad), carried, kept[index], block)
        for whole, part in zip((q, k, v, g, beta), found, strict=True):
            whole[:, span.positions] = block.by_position(part).to(whole.dtype)
    first = inputs.initial_state
    return Gradients(q, k, v, g, beta, None if first is None else carried.to(first.dtype, copy=True))


def saved_like(inputs: Inputs) -> torch.Tensor:
    """An empty tensor for the states kept: one a block, and two more for a last block that is not full."""
    batch, length, heads, width = inputs.v.shape
    blocks = length // (_chunks_of_block(inputs) * CHUNK) + 2
    shape = (blocks, batch, heads, inputs.k.shape[-1], width)
    return torch.empty(shape, dtype=precise(inputs.v.dtype), device=inputs.v.device)


def _chunks_of_block(inputs: Inputs) -> int:
    batch, length, heads, width = inputs.v.shape
    largest = max(CHUNK**2, inputs.k.shape[-1] * width)
    return max(1, BLOCK_ELEMENTS // (batch * heads * largest), math.isqrt(length // CHUNK))


def _spans(inputs: Inputs) -> Iterator[Span]:
    return spans(inputs.v.shape[1], size=CHUNK, chunks=_chunks_of_block(inputs))


class _Block:
    """The tensors of a block that both passes need: (B, C, H, Q, ...), C chunks of Q positions."""

    def __init__(self, inputs: Inputs, span: Span, run: torch.Tensor | None) -> None:
        self.span = span
        self.precision = precise(inputs.v.dtype)
        self.repeats = inputs.v.shape[2] // inputs.k.shape[2]
        q, k, self.v = (self.chunked(x) for x in inputs[:3])
        self.query, self.key = _Direction(q, inputs), _Direction(k, inputs)
        self.q = self.query.unit.repeat_interleave(self.repeats, dim=2) * inputs.scale
        self.k = self.key.unit.repeat_interleave(self.repeats, dim=2)
        g, beta = (self.chunked(x.unsqueeze(-1)) for x in (inputs.g, inputs.beta))
        self.beta, self.scale = beta, inputs.scale
        logs = g.double().cumsum(3)
        self.from_before = logs.exp().to(self.precision)
        self.to_end = (logs[:, :, :, -1:] - logs).exp().to(self.precision)
        hidden = torch.ones(span.size, span.size, dtype=torch.bool, device=g.device).triu(1)
        if run is not None:
            hidden = hidden | self._forget(run)
        # (B, C, H, Q, Q): what is left at a position (row) of one before it (column).
        between = (logs - logs.transpose(-1, -2)).to(self.precision)
        self.decays = between.masked_fill_(hidden, -torch.inf).exp_()
        self.over_chunk = self.from_before[:, :, :, -1:]
        self.similarities = (self.k @ self.k.transpose(-1, -2)) * self.decays
        self.attention = (self.q @ self.k.transpose(-1, -2)) * self.decays
        # Only its strictly lower triangle is read.
        self.system = self.similarities * self.beta
        self.starts, self.ends = self.q * self.from_before, self.k * self.to_end
        self.solved = self.solve(self.v * beta)
        self.through = self.solve(self.k * (beta * self.from_before))

    def _forget(self, run: torch.Tensor) -> torch.Tensor:
        """Nothing reaches from one packed sequence into the next: these pairs (B, C, 1, Q, Q) are hidden."""
        here = self._cut(run)
        first = max(self.span.start - 1, 0)
        before = torch.cat([run[:, first : first + 1], here[:, :-1, -1]], 1)
        self.from_before = self.from_before * (here == before.unsqueeze(-1))[:, :, None, :, None]
        self.to_end = self.to_end * (here == here[:, :, -1:])[:, :, None, :, None]
        return (here.unsqueeze(-1) != here.unsqueeze(-2)).unsqueeze(2)

    def _cut(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, ...) as (B, C, Q, ...)."""
        return x[:, self.span.positions].unflatten(1, (self.span.chunks, self.span.size))

    def chunked(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, H, W), or of fewer heads, as (B, C, H, Q, W) in the precision of the computation."""
        return self._cut(x).to(self.precision).transpose(2, 3)

    def by_position(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, Q, W) as (B, C * Q, H, W), W left out where it is left out in x."""
        return x.transpose(2, 3).flatten(1, 2)

    def solve(self, x: torch.Tensor) -> torch.Tensor:
        """(I + A)^-1 x."""
        return torch.linalg.solve_triangular(self.system, x, upper=False, unitriangular=True)

    def solve_transposed(self, x: torch.Tensor) -> torch.Tensor:
        """(I + A)^-T x."""
        system = self.system.transpose(-1, -2)
        return torch.linalg.solve_triangular(system, x, upper=True, unitriangular=True)

    def write(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The states before each chunk (B, C, H, K, V), U (B, C, H, Q, V), and the state after the last."""
        before = self.solved.new_empty(*self.solved.shape[:3], *state.shape[-2:])
        written, ends = torch.empty_like(self.solved), self.ends.transpose(-1, -2)
        for chunk in range(self.span.chunks):
            before[:, chunk] = state
            written[:, chunk] = self.solved[:, chunk] - self.through[:, chunk] @ state
            state = state * self.over_chunk[:, chunk] + ends[:, chunk] @ written[:, chunk]
        return before, written, state

    def read(self, before: torch.Tensor, written: torch.Tensor) -> torch.Tensor:
        """The result, (B, C, H, Q, V)."""
        return self.starts @ before + self.attention @ written

    def per_key(self, x: torch.Tensor) -> torch.Tensor:
        """Sums (B, C, G, Q, K) over the heads (B, C, H, Q, K) that share a query and key."""
        return x.unflatten(2, (-1, self.repeats)).sum(3)


class _Direction:
    """Queries or keys (B, C, G, Q, K), scaled to length one where the call says so."""

    def __init__(self, x: torch.Tensor, inputs: Inputs) -> None:
        self.factor = inverse_norm(x) if inputs.normalised else None
        self.unit = x if self.factor is None else x * self.factor

    def gradient(self, unit: torch.Tensor) -> torch.Tensor:
        """That of what was given, from that of `unit`."""
        if self.factor is None:
            return unit
        return self.factor * (unit - self.unit * (self.unit * unit).sum(-1, keepdim=True))


def _block_gradients(
    grad: torch.Tensor, carried: torch.Tensor, state: torch.Tensor, block: _Block
) -> tuple[torch.Tensor, ...]:
    """Gradients of q, k, v, g, beta of a block, and of the state before it.

    Args:
        grad: of the result, (B, C, H, Q, V).
        carried: of the state after the block, (B, H, K, V).
        state: the one before it.
        block: see `_Block`.
    """
    before, written, _ = block.write(state)
    d_written, after, carried = _written_gradients(grad, carried, block)
    d_right = block.solve_transposed(d_written)  # of V - diag(b) K S, times beta
    held = block.k @ before  # what the state before the chunk has under each key
    d_system = (d_right @ written.transpose(-1, -2)).tril_(-1).neg_()
    d_attention = grad @ written.transpose(-1, -2)

    pairs = d_attention * block.attention + d_system * block.system
    d_asked = grad @ before.transpose(-1, -2)
    d_held = -d_right * (block.beta * block.from_before)
    from_after = written @ after.transpose(-1, -2)
    g = _log_gradients(
        pairs,
        begun=(d_asked * block.starts).sum(-1) + (d_held * held).sum(-1),
        gone=(from_after * block.ends).sum(-1),
        through=(before * after).sum((-1, -2)) * block.over_chunk[..., 0, 0],
    )
    beta = (d_right * (block.v - block.from_before * held)).sum(-1)
    beta = beta + (d_system * block.similarities).sum(-1)

    d_attention = d_attention * block.decays
    d_system = d_system * block.decays * block.beta
    q = d_asked * block.from_before + d_attention @ block.k
    k = d_held @ before.transpose(-1, -2) + from_after * block.to_end
    k = k + d_attention.transpose(-1, -2) @ block.q + (d_system + d_system.transpose(-1, -2)) @ block.k
    return (
        block.query.gradient(block.per_key(q) * block.scale),
        block.key.gradient(block.per_key(k)),
        d_right * block.beta,
        g,
        beta,
        carried,
    )


def _written_gradients(
    grad: torch.Tensor, carried: torch.Tensor, block: _Block
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of U (B, C, H, Q, V), of the states after each chunk (B, C, H, K, V), of the one before the first."""
    d_written = block.attention.transpose(-1, -2) @ grad
    read = block.starts.transpose(-1, -2) @ grad
    after, through = torch.empty_like(read), block.through.transpose(-1, -2)
    for chunk in reversed(range(block.span.chunks)):
        after[:, chunk] = carried
        d_written[:, chunk] += block.ends[:, chunk] @ carried
        carried = (
            carried * block.over_chunk[:, chunk] + read[:, chunk] - through[:, chunk] @ d_written[:, chunk]
        )
    return d_written, after, carried


def _log_gradients(
    pairs: torch.Tensor, *, begun: torch.Tensor, gone: torch.Tensor, through: torch.Tensor
) -> torch.Tensor:
    """Gradient of g at each position (B, C, H, Q): the share of all that its decay stands between.

    `pairs` (B, C, H, Q, Q) is the share of each pair of positions, taken over; no decay stands between a
    position and itself, whose large shares would only round off the others. What begins before the chunk
    counts at the positions up to its end there, what goes on after the chunk from its beginning on, and
    `through` (B, C, H) does both.
    """
    pairs.diagonal(dim1=-2, dim2=-1).zero_()
    begun = begun + pairs.sum(-1) - pairs.sum(-2)
    suffix = begun.double().flip(3).cumsum(3).flip(3)
    prefix = gone.double().cumsum(3) - gone
    return (suffix + prefix + through.unsqueeze(-1)).to(gone.dtype)
