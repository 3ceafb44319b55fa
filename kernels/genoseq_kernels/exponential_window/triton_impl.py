"""`exponential_window_` through Triton: each number is read once and written once, one exponential each.

Machine code for sm_90 (Triton 3.6.0 and 3.7.1), float32: 16 instructions a number, 18 in rows with room, all
in vectors of 16 bytes; 28, of 4 bytes, where rows start anywhere. Issued they take 0.15 to 0.25 ms of an H100
for (1, 256, 1,000,000), which 3.03 TB/s read and write in 0.68: bytes decide.
"""

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
