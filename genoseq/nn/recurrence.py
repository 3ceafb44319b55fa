"""What recurrent mixers share: their first time steps, and what padding leaves alone."""

from __future__ import annotations

import math

import torch

from genoseq.errors import SequenceError


@torch.no_grad()
def fill_time_step_bias(bias: torch.Tensor, *, low: float, high: float, floor: float) -> None:
    """Draw biases, in place, whose softplus is log-uniform in [low, high], and at least `floor`.

    Source: Gu and Dao 2023, "Mamba", section 3.6, and its released code.
    """
    step = bias.uniform_(math.log(low), math.log(high)).exp().clamp(min=floor)
    # The inverse of softplus.
    bias.copy_(step + torch.log(-torch.expm1(-step)))


def precise(x: torch.Tensor) -> torch.Tensor:
    """In float32, or in its own dtype where that is better."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def next_tail(tail: torch.Tensor, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The last inputs that a short convolution still reaches, after a chunk.

    Args:
        tail: (B, C, K - 1) those before the chunk.
        x: (B, C, L) the chunk.
        mask: (B, L) bool; what stands behind the last real position of a row counts for nothing.

    Returns:
        (B, C, K - 1), a copy without gradient.
    """
    width, length = tail.shape[-1], x.shape[-1]
    tail, x = tail.detach(), x.detach().to(tail.dtype)
    if mask is None:
        recent = torch.cat([tail, x[..., max(0, length - width) :]], dim=-1)
        return recent[..., recent.shape[-1] - width :].clone()
    places = torch.arange(1, length + 1, device=x.device)
    ends = torch.where(mask, places, 0).amax(1)
    index = ends[:, None, None] + torch.arange(width, device=x.device)
    return torch.cat([tail, x], dim=-1).gather(-1, index.expand(tail.shape))


def require_rows(rows: int, state_rows: int) -> None:
    """Refuse a state of another batch.

    Raises:
        SequenceError: the numbers of rows differ.
    """
    if rows != state_rows:
        raise SequenceError(
            f"the state is of {state_rows} sequences, the input of {rows}: "
            "give init_state the batch size of the input."
        )
