"""One position of the scan, for generation."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from genoseq_kernels.selective_scan.reference import precise


def selective_state_update(
    state: torch.Tensor,
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None = None,
    z: torch.Tensor | None = None,
    dt_bias: torch.Tensor | None = None,
    dt_softplus: bool = False,
) -> torch.Tensor:
    """One position of `selective_scan` (or of `ssd`, with heads): changes `state` and gives the output.

    Without heads, leave H out of all shapes and G out of those of B and C.

    Args:
        state: (B, D, N), or (B, H, P, N) with heads; written in place.
        x: (B, D) or (B, H, P).
        dt: as `x`; where all channels of a head share a step, an expanded view.
        A: (D, N) or (H, P, N), real.
        B, C: (B, N), or (B, G, N) where heads are in G groups.
        D, dt_bias: (D,) or (H, P).
        z: as `x`, gates the output through SiLU.
        dt_softplus: apply softplus to dt, after the bias.

    Returns:
        As `x`, of its dtype; computed in float32 or better.

    Raises:
        ValueError: shapes that do not fit each other.

    Source: Gu and Dao 2023, "Mamba", algorithm 2; `selective_state_update` of the released code.
    """
    _check(state, x, dt, A, B, C, D, z, dt_bias)
    kept = precise(x.dtype)
    heads = state.shape[1] if state.dim() == 4 else 1
    step = dt.to(kept) if dt_bias is None else dt.to(kept) + dt_bias.to(kept)
    step = (F.softplus(step) if dt_softplus else step).unsqueeze(-1)
    values = x.to(kept)
    new = state.to(kept) * torch.exp(step * A.to(kept)) + step * values.unsqueeze(-1) * _spread(
        B, heads, state
    )
    state.copy_(new)
    y = (new * _spread(C, heads, state)).sum(-1)
    if D is not None:
        y = y + D.to(kept) * values
    if z is not None:
        y = y * F.silu(z.to(kept))
    return y.to(x.dtype)


def _spread(weights: torch.Tensor, heads: int, state: torch.Tensor) -> torch.Tensor:
    """B or C as something that broadcasts to the state: (B, 1, N) or (B, H, 1, N)."""
    if state.dim() == 4:
        weights = weights.repeat_interleave(heads // weights.shape[1], dim=1)
    return weights.to(precise(state.dtype)).unsqueeze(-2)


def _check(
    state: torch.Tensor,
    x: torch.Tensor,
    dt: torch.Tensor,
    A: torch.Tensor,
    B: torch.Tensor,
    C: torch.Tensor,
    D: torch.Tensor | None,
    z: torch.Tensor | None,
    dt_bias: torch.Tensor | None,
) -> None:
    if state.dim() not in (3, 4):
        raise ValueError(
            f"selective_state_update: state {tuple(state.shape)}; wanted (B, D, N) or (B, H, P, N)."
        )
    batch, *channels, num_states = state.shape
    wanted = {"x": (batch, *channels), "dt": (batch, *channels), "z": (batch, *channels)}
    wanted |= {"A": (*channels, num_states), "D": tuple(channels), "dt_bias": tuple(channels)}
    given = {"x": x, "dt": dt, "z": z, "A": A, "D": D, "dt_bias": dt_bias}
    for name, tensor in given.items():
        if tensor is not None and tuple(tensor.shape) != wanted[name]:
            raise ValueError(
                f"selective_state_update: {name} {tuple(tensor.shape)}; a state {tuple(state.shape)} wants "
                f"{wanted[name]}."
            )
    for name, weights in (("B", B), ("C", C)):
        _check_weights(name, weights, state)


def _check_weights(name: str, weights: torch.Tensor, state: torch.Tensor) -> None:
    batch, num_states = state.shape[0], state.shape[-1]
    if state.dim() == 3:
        fits, shape = weights.shape == (batch, num_states), f"({batch}, {num_states})"
    else:
        heads = state.shape[1]
        fits = weights.dim() == 3 and (weights.shape[0], weights.shape[2]) == (batch, num_states)
        fits = fits and weights.shape[1] > 0 and heads % weights.shape[1] == 0
        shape = f"({batch}, G, {num_states}) with G dividing {heads} heads"
    if not fits:
        raise ValueError(
            f"selective_state_update: {name} {tuple(weights.shape)}; a state {tuple(state.shape)} wants "
            f"{shape}."
        )
