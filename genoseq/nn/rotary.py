"""Positions as rotations of pairs of channels, and as a penalty on distance.

Source: Su et al. 2021, "RoFormer", section 3.2; Press et al. 2022, "Train Short, Test Long", section 3.
"""

from __future__ import annotations

import torch


def rotate(
    x: torch.Tensor, positions: torch.Tensor, *, width: int, base: float, interleaved: bool
) -> torch.Tensor:
    """Turn the first `width` channels of every head by angles that grow with the position.

    The angles are float32 or better, and nothing is kept: there is no table to outgrow.

    Args:
        x: (B, H, L, P).
        positions: (B or 1, L) integers.
        width: even, P or less; the other channels pass as they are.
        base: pair i turns by position * base^(-2 i / width).
        interleaved: pairs are neighbours (0, 1), (2, 3)...; else channel i goes with i + width / 2.

    Returns:
        (B, H, L, P) of the dtype of `x`.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    exponents = torch.arange(0, width, 2, device=x.device, dtype=exact) / width
    angles = positions.to(exact)[:, None, :, None] * base**-exponents
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    turned, rest = x[..., :width], x[..., width:]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = turned.chunk(2, dim=-1)
    pairs = (first * cos - second * sin, first * sin + second * cos)
    turned = torch.stack(pairs, dim=-1).flatten(-2) if interleaved else torch.cat(pairs, dim=-1)
    return torch.cat([turned, rest], dim=-1)


def alibi_slopes(num_heads: int, *, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
    """(H,) what each head loses a position of distance.

    Powers of 2^(-8 / H) for a power of two; else those of the power of two below it, then every second one of
    the power above it.
    """
    below = 1 << (num_heads.bit_length() - 1)
    even = torch.arange(1, below + 1, device=device, dtype=dtype) * (8 / below)
    between = (torch.arange(num_heads - below, device=device, dtype=dtype) * 2 + 1) * (4 / below)
    return torch.exp2(-torch.cat([even, between]))
