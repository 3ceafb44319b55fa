"""`selective_scan` in plain torch: the loop that is its meaning, and the chunked form that runs anywhere.

Both keep h[t] = exp(dt[t] A) h[t-1] + dt[t] B[t] u[t] and read y[t] = C[t] h[t]. The chunked form scans a
chunk of positions at once and walks over the chunks, so that no tensor of the size of all states exists: the
gradient makes the states of a chunk anew from the one before it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F

CHUNK = 128
"""Positions scanned at once, and between two states kept for the gradient."""


class Inputs(NamedTuple):
    """What both passes read. `B` and `C` are (D, N), or (B, G, N, L) with G groups of channels."""

    u: torch.Tensor
    delta: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    D: torch.Tensor | None
    z: torch.Tensor | None
    delta_bias: torch.Tensor | None
    initial_state: torch.Tensor | None
    seq_idx: torch.Tensor | None
    delta_softplus: bool


class Gradients(NamedTuple):
    """Gradients of a scalar; None for an input that was not given."""

    u: torch.Tensor
    delta: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    D: torch.Tensor | None
    z: torch.Tensor | None
    delta_bias: torch.Tensor | None
    initial_state: torch.Tensor | None


def sequential(x: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The loop over positions, differentiable: y (B, D, L) and the last state (B, D, N)."""
    state = first_state(x)
    positions = []
    for t in range(x.u.shape[-1]):
        chunk = _Chunk(x, slice(t, t + 1))
        state = chunk.decay[0] * state + chunk.value[0]
        positions.append(chunk.read(state[None]))
    y = torch.cat(positions).permute(1, 2, 0)
    return _gated(y, x).to(x.u.dtype), state


def forward(x: Inputs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """y (B, D, L), the last state (B, D, N), and the state before each chunk (chunks, B, D, N)."""
    y = torch.empty(x.u.shape, dtype=x.u.dtype, device=x.u.device)
    state = first_state(x)
    starts = state.new_empty(num_chunks(x.u.shape[-1], CHUNK), *state.shape)
    for index, positions in enumerate(_chunks(x.u.shape[-1])):
        starts[index] = state
        chunk = _Chunk(x, positions)
        states = chunk.states(state)
        state = states[-1]
        y[..., positions] = _gated(chunk.read(states).permute(1, 2, 0), x, positions)
    return y, state.clone(), starts


def backward(grad: torch.Tensor, grad_last: torch.Tensor, x: Inputs, starts: torch.Tensor) -> Gradients:
    """Gradients of `forward`'s first two results, from the last chunk to the first."""
    sums = _Sums(x)
    carried = grad_last.to(state_dtype(x.u, x.A))
    chunks = list(_chunks(x.u.shape[-1]))
    for index in reversed(range(len(chunks))):
        carried = _chunk_gradients(grad, carried, x, starts[index], chunks[index], sums)
    return sums.finish(carried)


def starts_shape(u: torch.Tensor, A: torch.Tensor) -> tuple[int, ...]:
    """Of the states kept for the gradient."""
    return (num_chunks(u.shape[-1], CHUNK), u.shape[0], *A.shape)


def first_state(x: Inputs) -> torch.Tensor:
    """The given state or zeros, in the precision that states are kept in."""
    dtype = state_dtype(x.u, x.A)
    if x.initial_state is not None:
        return x.initial_state.to(dtype)
    return torch.zeros(x.u.shape[0], *x.A.shape, dtype=dtype, device=x.u.device)


def state_dtype(u: torch.Tensor, A: torch.Tensor) -> torch.dtype:
    """Of the states: float32 or better, complex where A is."""
    return torch.promote_types(precise(u.dtype), A.dtype if A.is_complex() else torch.float32)


def precise(dtype: torch.dtype) -> torch.dtype:
    """What is computed in: float32 or better."""
    return torch.promote_types(dtype, torch.float32)


def num_chunks(length: int, chunk: int) -> int:
    """Chunks that cover a length."""
    return (length + chunk - 1) // chunk


def scan(decay: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """h[t] = decay[t] h[t-1] + value[t] along the first axis, h[-1] = 0, by doubling; in place.

    Nothing is divided: decays that underflow are harmless.
    """
    shift = 1
    while shift < decay.shape[0]:
        value[shift:] += decay[shift:] * value[:-shift]
        if 2 * shift < decay.shape[0]:
            decay[shift:] = decay[shift:] * decay[:-shift]
        shift *= 2
    return value


class _Chunk:
    """The recurrence at a few positions T, positions first: decay and value (T, B, D, N)."""

    def __init__(self, x: Inputs, positions: slice) -> None:
        kept = precise(x.u.dtype)
        self.u = _positions_first(x.u[..., positions].to(kept))
        raw = _positions_first(x.delta[..., positions].to(kept))
        self.raw = raw if x.delta_bias is None else raw + x.delta_bias.to(kept)
        self.dt = F.softplus(self.raw) if x.delta_softplus else self.raw
        self.A = x.A.to(state_dtype(x.u, x.A))
        self.B = _per_channel(x.B, positions, x)
        self.C = _per_channel(x.C, positions, x)
        decay = torch.exp(self.dt.unsqueeze(-1) * self.A)
        self.decay = decay if x.seq_idx is None else decay * _continues(x.seq_idx, positions)
        self.value = (self.dt * self.u).unsqueeze(-1) * self.B

    def states(self, before: torch.Tensor) -> torch.Tensor:
        """The state after each position."""
        value = self.value.clone()
        value[0] += self.decay[0] * before
        return scan(self.decay.clone(), value)

    def read(self, states: torch.Tensor) -> torch.Tensor:
        """(T, B, D) from the states; complex ones stand for themselves and their conjugates."""
        product = states * self.C
        return 2 * product.real.sum(-1) if product.is_complex() else product.sum(-1)


class _Sums:
    """Gradients as they are gathered, in the precision of the computation."""

    def __init__(self, x: Inputs) -> None:
        def zeros(of: torch.Tensor) -> torch.Tensor:
            return torch.zeros(of.shape, dtype=torch.promote_types(of.dtype, kept), device=of.device)

        kept = precise(x.u.dtype)
        self.x = x
        self.u = torch.empty(x.u.shape, dtype=x.u.dtype, device=x.u.device)
        self.delta = torch.empty(x.delta.shape, dtype=x.delta.dtype, device=x.delta.device)
        self.A, self.B, self.C = zeros(x.A), zeros(x.B), zeros(x.C)
        self.D = None if x.D is None else zeros(x.D)
        self.z = None if x.z is None else torch.empty(x.z.shape, dtype=x.z.dtype, device=x.z.device)
        self.delta_bias = None if x.delta_bias is None else zeros(x.delta_bias)

    def finish(self, carried: torch.Tensor) -> Gradients:
        """All, in the dtypes of the inputs."""
        x = self.x
        return Gradients(
            u=self.u,
            delta=self.delta,
            A=self.A.to(x.A.dtype),
            B=self.B.to(x.B.dtype),
            C=self.C.to(x.C.dtype),
            D=None if x.D is None or self.D is None else self.D.to(x.D.dtype),
            z=self.z,
            delta_bias=(
                None
                if x.delta_bias is None or self.delta_bias is None
                else self.delta_bias.to(x.delta_bias.dtype)
            ),
            initial_state=None if x.initial_state is None else carried.to(x.initial_state.dtype, copy=True),
        )


def _chunk_gradients(
    grad: torch.Tensor, carried: torch.Tensor, x: Inputs, before: torch.Tensor, positions: slice, sums: _Sums
) -> torch.Tensor:
    """Gather the gradients of one chunk; `carried` is that of the state after it, the result before it."""
    chunk = _Chunk(x, positions)
    states = chunk.states(before)
    dy = grad[..., positions].to(chunk.u.dtype)
    if x.z is not None and sums.z is not None:
        z = x.z[..., positions].to(dy.dtype)
        ungated = _skipped(chunk.read(states).permute(1, 2, 0), x, positions)
        sigmoid = torch.sigmoid(z)
        sums.z[..., positions] = dy * ungated * sigmoid * (1 + z * (1 - sigmoid))
        dy = dy * z * sigmoid
    dy = _positions_first(dy)
    if sums.D is not None:
        sums.D += (dy * chunk.u).sum((0, 1))
    outer = (2 * dy if states.is_complex() else dy).unsqueeze(-1)
    d_states = outer * chunk.C.conj()
    d_states[-1] += carried
    following = torch.zeros_like(chunk.decay)
    following[1:] = chunk.decay[1:].flip(0).conj()
    d_states = scan(following, d_states.flip(0)).flip(0)
    _add(sums.C, outer * states.conj(), positions, x)
    _add(sums.B, d_states * (chunk.dt * chunk.u).unsqueeze(-1), positions, x)
    previous = torch.cat([before[None], states[:-1]])
    d_exponent = d_states * (chunk.decay * previous).conj()
    sums.A += _like((d_exponent * chunk.dt.unsqueeze(-1)).sum((0, 1)), sums.A)
    d_value = _real(d_states * chunk.B.conj()).sum(-1)
    d_dt = d_value * chunk.u + _real(d_exponent * chunk.A.conj()).sum(-1)
    if x.delta_softplus:
        d_dt = d_dt * torch.sigmoid(chunk.raw)
    if sums.delta_bias is not None:
        sums.delta_bias += d_dt.sum((0, 1))
    d_u = d_value * chunk.dt
    if x.D is not None:
        d_u = d_u + dy * x.D.to(dy.dtype)
    sums.u[..., positions] = d_u.permute(1, 2, 0)
    sums.delta[..., positions] = d_dt.permute(1, 2, 0)
    return chunk.decay[0].conj() * d_states[0]


def _chunks(length: int) -> list[slice]:
    return [slice(start, min(start + CHUNK, length)) for start in range(0, length, CHUNK)]


def _positions_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(2, 0, 1).contiguous()


def _per_channel(weights: torch.Tensor, positions: slice, x: Inputs) -> torch.Tensor:
    """B or C as something that broadcasts to (T, B, D, N)."""
    weights = weights.to(torch.promote_types(weights.dtype, precise(x.u.dtype)))
    if weights.dim() == 2:
        return weights
    chunk = weights[..., positions].permute(3, 0, 1, 2)
    return chunk.repeat_interleave(x.u.shape[1] // weights.shape[1], dim=2)


def _add(total: torch.Tensor, gradient: torch.Tensor, positions: slice, x: Inputs) -> None:
    """Gather the gradient (T, B, D, N) of B or C in its own shape."""
    gradient = _like(gradient, total)
    if total.dim() == 2:
        total += gradient.sum((0, 1))
    else:
        groups = gradient.unflatten(2, (total.shape[1], -1)).sum(3)
        total[..., positions] = groups.permute(1, 2, 3, 0)


def _continues(seq_idx: torch.Tensor, positions: slice) -> torch.Tensor:
    """(T, B, 1, 1): whether a position belongs to the sequence of the one before it."""
    first, last = positions.start, positions.stop
    here, before = seq_idx[:, first:last], seq_idx[:, max(first - 1, 0) : last - 1]
    if first == 0:
        before = torch.cat([seq_idx[:, :1], before], dim=1)
    return (here == before).T[..., None, None]


def _skipped(y: torch.Tensor, x: Inputs, positions: slice = slice(None)) -> torch.Tensor:
    return y if x.D is None else y + x.u[..., positions].to(y.dtype) * x.D.to(y.dtype)[:, None]


def _gated(y: torch.Tensor, x: Inputs, positions: slice = slice(None)) -> torch.Tensor:
    y = _skipped(y, x, positions)
    return y if x.z is None else y * F.silu(x.z[..., positions].to(y.dtype))


def _real(x: torch.Tensor) -> torch.Tensor:
    return x.real if x.is_complex() else x


def _like(gradient: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """Complex states give real weights a real gradient."""
    return gradient if total.is_complex() else _real(gradient)
