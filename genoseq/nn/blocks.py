"""What stands around a mixer in a residual network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import normed, normed_input
from genoseq.nn.tiling import tiled


class Mlp(nn.Module):
    """Two linear layers with a GELU (tanh form) between: (..., D) to (..., D)."""

    def __init__(self, *, d_model: int, d_inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, d_inner)
        self.fc2 = nn.Linear(d_inner, d_model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


class PreNormBlock(nn.Module):
    """x + mixer(norm1(x)), then x + mlp(norm2(x)).

    The residual stream is float32 (float64 in a float64 model), whatever the layers run in.

    Args:
        mixer: of width `d_model`.
        mlp: of width `d_model`.
        dropout: of what is added to the residual stream.
        layer_norm_epsilon: of both norms.
        sequence_tile: positions that the MLP sees at once; None for all.
    """

    def __init__(
        self,
        mixer: Mixer,
        mlp: nn.Module,
        *,
        d_model: int,
        dropout: float,
        layer_norm_epsilon: float,
        sequence_tile: int | None = None,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm1 = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.mlp = mlp
        self.norm2 = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.dropout = nn.Dropout(dropout)
        self.sequence_tile = sequence_tile

    def forward(
        self, x: torch.Tensor, context: MixerContext | None = None, *, state: Any = None
    ) -> torch.Tensor:
        """(B, L, D) to (B, L, D); a `state` is carried on in place."""
        x = x + self.dropout(self.mixer(normed_input(self.norm1, x), context, state=state))
        learned = [*self.norm2.parameters(), *self.mlp.parameters()]
        return x + self.dropout(tiled(self._feed_forward, x, learned, tile=self.sequence_tile))

    def step(self, x: torch.Tensor, state: Any) -> torch.Tensor:
        """One position, (B, D) to (B, D); the `state` is carried on in place."""
        x = x + self.dropout(self.mixer.step(normed_input(self.norm1, x), state)[0])
        return x + self.dropout(self.mlp(normed_input(self.norm2, x)))

    def _feed_forward(self, x: torch.Tensor, places: slice) -> torch.Tensor:
        return self.mlp(normed_input(self.norm2, x))


class PostNormBlock(nn.Module):
    """norm(x + mixer(x)), then norm2 of that plus its MLP, as BERT has them.

    What passes from block to block is float32 (float64 in a float64 model), whatever the layers run in.

    Args:
        mixer, mlp: of width `d_model`.
        dropout: of what the mixer adds.
        layer_norm_epsilon: of both norms.
    """

    def __init__(
        self, mixer: Mixer, mlp: nn.Module, *, d_model: int, dropout: float, layer_norm_epsilon: float
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.mlp = mlp
        self.norm2 = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor, context: MixerContext | None = None) -> torch.Tensor:
        """(B, L, D) to (B, L, D)."""
        x = normed(self.norm, x + self.dropout(self.mixer(x, context)))
        return normed(self.norm2, x + self.mlp(x))
