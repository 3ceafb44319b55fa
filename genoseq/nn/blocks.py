"""What stands around a mixer in a residual network."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.residual import branched, normed, normed_input


class PreNormBlock(nn.Module):
    """x + mixer(norm1(x)), then x + mlp(norm2(x)).

    The residual stream is float32 (float64 in a float64 model), whatever the layers run in.

    Args:
        mixer: of width `d_model`.
        mlp: of width `d_model`.
        dropout: of what is added to the residual stream.
        layer_norm_epsilon: of both norms.
    """

    def __init__(
        self,
        mixer: Mixer,
        mlp: nn.Module,
        *,
        d_model: int,
        dropout: float,
        layer_norm_epsilon: float,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm1 = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.mlp = mlp
        self.norm2 = nn.LayerNorm(d_model, eps=layer_norm_epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, context: MixerContext | None = None, *, state: Any = None
    ) -> torch.Tensor:
        """(B, L, D) to (B, L, D); a `state` is carried on in place."""
        x, y = branched(self.norm1, x)
        return self._feed_forward(x, self.dropout(self.mixer(y, context, state=state)))

    def step(self, x: torch.Tensor, state: Any) -> torch.Tensor:
        """One position, (B, D) to (B, D); the `state` is carried on in place."""
        return self._feed_forward(x, self.dropout(self.mixer.step(normed_input(self.norm1, x), state)[0]))

    def _feed_forward(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x, y = branched(self.norm2, x, mixed)
        return x + self.dropout(self.mlp(y))


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
