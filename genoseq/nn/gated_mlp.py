"""The gated feed-forward layer (SwiGLU).

Names of parameters, and the order of rows in `fc1` (values, gates), are those of mamba_ssm.
Source: Shazeer 2020, "GLU Variants Improve Transformer".
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.nn.tiling import tiled


class GatedMlp(nn.Module):
    """fc2(values * silu(gates)), where fc1 gives values and gates: (B, L, D) or (B, D) to the same.

    Args:
        d_model: D.
        d_inner: width of the values.
        bias: of both linear layers.
        sequence_tile: positions that are computed at once, and again in the backward pass; None for all.
    """

    def __init__(
        self, *, d_model: int, d_inner: int, bias: bool = False, sequence_tile: int | None = None
    ) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, 2 * d_inner, bias=bias)
        self.fc2 = nn.Linear(d_inner, d_model, bias=bias)
        self.sequence_tile = sequence_tile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 2:
            return self._feed_forward(x)
        return tiled(self._tile, x, self.parameters(), tile=self.sequence_tile)

    def _tile(self, x: torch.Tensor, places: slice) -> torch.Tensor:
        return self._feed_forward(x)

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        values, gates = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(values * F.silu(gates))
