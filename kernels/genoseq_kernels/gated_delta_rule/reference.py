"""`gated_delta_rule` as its definition, a loop over positions: the oracle. Also what every backend shares.

A state S of a head is (K, V). Each position decays it, replaces a part beta of what it holds under the key by
the value, and reads it by the query: S[t] = exp(g[t]) (I - beta[t] k[t] k[t]^T) S[t-1] + beta[t] k[t] v[t]^T
and o[t] = scale S[t]^T q[t]. The loop is differentiable by autograd.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from genoseq_kernels.ssd.reference import precise

NORM_EPSILON = 1e-6


class Inputs(NamedTuple):
    """What every pass reads; shapes as in `genoseq_kernels.gated_delta_rule`."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    g: torch.Tensor
    beta: torch.Tensor
    initial_state: torch.Tensor | None
    seq_idx: torch.Tensor | None
    scale: float
    normalised: bool


class Gradients(NamedTuple):
    """Gradients of a scalar; None for an initial state that was not given."""

    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    g: torch.Tensor
    beta: torch.Tensor
    initial_state: torch.Tensor | None


def sequential(inputs: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """The loop over positions: o (B, L, H, V) and the last state (B, H, K, V)."""
    kept = precise(inputs.v.dtype)
    repeats = inputs.v.shape[2] // inputs.k.shape[2]
    q, k, v, g, beta = (x.to(kept) for x in inputs[:5])
    if inputs.normalised:
        q, k = q * inverse_norm(q), k * inverse_norm(k)
    q, k = (x.repeat_interleave(repeats, dim=2) for x in (q * inputs.scale, k))
    decay = torch.exp(g)
    if inputs.seq_idx is not None:
        decay = decay * (torch.diff(inputs.seq_idx, dim=1, prepend=inputs.seq_idx[:, :1]) == 0).unsqueeze(-1)
    state = first_state(inputs)
    positions = []
    for query, key, value, left, share in zip(*(x.unbind(1) for x in (q, k, v, decay, beta)), strict=True):
        out, state = one_step(state, query, key, value, left, share)
        positions.append(out)
    return torch.stack(positions, 1).to(inputs.v.dtype), state


def one_step(
    state: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    decay: torch.Tensor,
    beta: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One position: what is read (B, H, V), and the state (B, H, K, V) after it."""
    state = state * decay[..., None, None]
    held = (state * k.unsqueeze(-1)).sum(-2)
    state = state + k.unsqueeze(-1) * (beta.unsqueeze(-1) * (v - held)).unsqueeze(-2)
    return (state * q.unsqueeze(-1)).sum(-2), state


def inverse_norm(x: torch.Tensor) -> torch.Tensor:
    """1 / |x| over the last axis, which is kept; finite at zero, as in fla."""
    return torch.rsqrt(x.square().sum(-1, keepdim=True) + NORM_EPSILON)


def first_state(inputs: Inputs) -> torch.Tensor:
    """The state before the first position (B, H, K, V), in the precision of the computation."""
    batch, _, heads, width = inputs.v.shape
    if inputs.initial_state is not None:
        return inputs.initial_state.to(precise(inputs.v.dtype))
    shape = (batch, heads, inputs.k.shape[-1], width)
    return torch.zeros(shape, dtype=precise(inputs.v.dtype), device=inputs.v.device)
