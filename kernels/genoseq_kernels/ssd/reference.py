"""`ssd` as its definition, a loop over positions: the oracle. Also what every backend shares.

h[t] = exp(dt[t] A) h[t-1] + dt[t] x[t] B[t]^T and y[t] = h[t] C[t] + D x[t], gated by silu(z[t]); the state
of a head is (P, N). The loop is differentiable by autograd.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional as F


class Inputs(NamedTuple):
    """What every pass reads; shapes as in `genoseq_kernels.ssd`."""

    x: torch.Tensor
    dt: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    D: torch.Tensor | None
    z: torch.Tensor | None
    dt_bias: torch.Tensor | None
    initial_states: torch.Tensor | None
    seq_idx: torch.Tensor | None
    dt_softplus: bool
    dt_min: float
    dt_max: float


class Gradients(NamedTuple):
    """Gradients of a scalar; None for an input that was not given."""

    x: torch.Tensor
    dt: torch.Tensor
    A: torch.Tensor
    B: torch.Tensor
    C: torch.Tensor
    D: torch.Tensor | None
    z: torch.Tensor | None
    dt_bias: torch.Tensor | None
    initial_states: torch.Tensor | None


class TimeStep(NamedTuple):
    """dt as the recurrence uses it, in the precision of the computation, and its derivative by what was
    given (None where that is one)."""

    value: torch.Tensor
    slope: torch.Tensor | None


def sequential(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The loop over positions: y (B, L, H, P) and the last state (B, H, P, N)."""
    kept = precise(inputs.x.dtype)
    heads = inputs.x.shape[2]
    x, dt = inputs.x.to(kept), time_step(inputs, slice(None)).value
    B, C = (_per_head(weights.to(kept), heads) for weights in (inputs.B, inputs.C))
    decay = torch.exp(dt * inputs.A.to(kept))
    if inputs.seq_idx is not None:
        decay = decay * (torch.diff(inputs.seq_idx, dim=1, prepend=inputs.seq_idx[:, :1]) == 0).unsqueeze(-1)
    state = x.new_zeros(*x.shape[:1], *x.shape[2:], B.shape[-1])
    if inputs.initial_states is not None:
        state = inputs.initial_states.to(kept)
    values = (dt.unsqueeze(-1) * x).unbind(1)
    positions = []
    for left, value, into, out in zip(decay.unbind(1), values, B.unbind(1), C.unbind(1), strict=True):
        state = left[..., None, None] * state + value.unsqueeze(-1) * into.unsqueeze(-2)
        positions.append((state * out.unsqueeze(-2)).sum(-1))
    y = torch.stack(positions, 1)
    if inputs.D is not None:
        y = y + skip_weight(inputs.D, kept) * x
    if inputs.z is not None:
        y = y * F.silu(inputs.z.to(kept))
    return y.to(inputs.x.dtype), state


def time_step(inputs: Inputs, positions: slice, *, with_slope: bool = False) -> TimeStep:
    """dt of some positions (B, T, H): bias, softplus, limits, in this order."""
    raw = inputs.dt[:, positions].to(precise(inputs.x.dtype))
    if inputs.dt_bias is not None:
        raw = raw + inputs.dt_bias.to(raw.dtype)
    value = F.softplus(raw) if inputs.dt_softplus else raw
    slope = torch.sigmoid(raw) if inputs.dt_softplus and with_slope else None
    if not limited(inputs):
        return TimeStep(value, slope)
    inside = ((value >= inputs.dt_min) & (value <= inputs.dt_max)).to(value.dtype) if with_slope else None
    if slope is not None and inside is not None:
        inside = inside * slope
    return TimeStep(value.clamp(inputs.dt_min, inputs.dt_max), inside)


def limited(inputs: Inputs) -> bool:
    """Whether `dt_limit` can change anything: softplus is above zero by itself."""
    return inputs.dt_max != float("inf") or inputs.dt_min > (0.0 if inputs.dt_softplus else -float("inf"))


def skip_weight(D: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """D (H,) or (H, P) as what multiplies (..., H, P)."""
    return D.to(dtype).unsqueeze(-1) if D.dim() == 1 else D.to(dtype)


def precise(dtype: torch.dtype) -> torch.dtype:
    """What is computed in: float32 or better."""
    return torch.promote_types(dtype, torch.float32)


def runs(seq_idx: torch.Tensor) -> torch.Tensor:
    """How often `seq_idx` (B, L) has changed up to each position: equal within a sequence, else growing."""
    return (torch.diff(seq_idx, dim=1, prepend=seq_idx[:, :1]) != 0).cumsum(1)


def _per_head(weights: torch.Tensor, heads: int) -> torch.Tensor:
    return weights.repeat_interleave(heads // weights.shape[2], dim=2)
