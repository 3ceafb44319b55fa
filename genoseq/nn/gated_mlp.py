"""The gated feed-forward layer (SwiGLU, GEGLU).

Names of parameters, and the order of rows in `fc1` (values, gates), are those of mamba_ssm.
Source: Shazeer 2020, "GLU Variants Improve Transformer".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.nn.tiling import tiled

GateActivation = Literal["silu", "gelu"]


class GatedMlp(nn.Module):
    """fc2(values * activation(gates)), where fc1 gives values and gates: (B, L, D) or (B, D) to the same.

    Args:
        d_model: D.
        d_inner: width of the values.
        bias: of both linear layers.
        out_bias: of fc2, where it is another.
        activation: of the gates: `silu`, or `gelu` (exact form).
        dropout: of what fc2 takes.
        sequence_tile: positions that are computed at once, and again in the backward pass; None for all. Not
            with dropout.
    """

    def __init__(
        self,
        *,
        d_model: int,
        d_inner: int,
        bias: bool = False,
        out_bias: bool | None = None,
        activation: GateActivation = "silu",
        dropout: float = 0.0,
        sequence_tile: int | None = None,
    ) -> None:
        super().__init__()
        assert not (dropout and sequence_tile), "tiles draw no random numbers"
        self.fc1 = nn.Linear(d_model, 2 * d_inner, bias=bias)
        self.fc2 = nn.Linear(d_inner, d_model, bias=bias if out_bias is None else out_bias)
        self.activation = F.silu if activation == "silu" else F.gelu
        self.dropout = nn.Dropout(dropout)
        self.sequence_tile = sequence_tile

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.dim() == 2:
            return self._feed_forward(x)
        return tiled(self._tile, x, self.parameters(), tile=self.sequence_tile)

    def _tile(self, x: torch.Tensor, places: slice) -> torch.Tensor:
        return self._feed_forward(x)

    def _feed_forward(self, x: torch.Tensor) -> torch.Tensor:
        values, gates = self.fc1(x).chunk(2, dim=-1)
        return self.fc2(self.dropout(values * self.activation(gates)))
