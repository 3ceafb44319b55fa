"""`exponential_window_` through Triton: each number is read once and written once, one exponential each."""

from __future__ import annotations

import torch
import triton

from genoseq_kernels.exponential_window import kernels
from genoseq_kernels.rows import have_room

OPTIONS = {"CHANNELS": 4, "SPAN": 1024, "num_warps": 4}
"""In float32, eight vectors of 16 bytes a thread, under way at once; times are read once for four rows."""


def window(
    x: torch.Tensor, remains: torch.Tensor, t: torch.Tensor, scale: float, out: torch.Tensor
) -> torch.Tensor:
    """`x * (1 + scale * remains ** t)` written to `out`, which may be x."""
    batch, channels, length = x.shape
    tiles = triton.cdiv(channels, OPTIONS["CHANNELS"]) * triton.cdiv(length, OPTIONS["SPAN"])
    kernels.window[(batch * tiles,)](
        x, remains.contiguous(), t.contiguous(), out, scale, *x.stride(), *out.stride(), channels, length,
        ROOM=have_room(x, out), **OPTIONS,
    )  # fmt: skip
    return out
