"""Residual blocks of one norm a layer, as Mamba and its hybrids have them, and their norms."""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import nn

from genoseq.errors import require_choice
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.tiling import autocast_dtype
from genoseq_kernels import branch_norm, layer_norm, rms_norm

Norm = Literal["rms", "layer"]
NormLayer = nn.RMSNorm | nn.LayerNorm


def make_norm(kind: Norm, width: int, *, epsilon: float) -> NormLayer:
    """A norm over the last axis.

    Raises:
        ConfigError: the kind is none of `Norm`.
    """
    require_choice("norm", kind, get_args(Norm))
    return (nn.RMSNorm if kind == "rms" else nn.LayerNorm)(width, eps=epsilon)


def normed(norm: NormLayer, x: torch.Tensor) -> torch.Tensor:
    """Norm of the residual stream, in the dtype of the norm's weight."""
    x = x.to(norm.weight.dtype)
    return _normed(norm, x, x.dtype)


def normed_input(norm: NormLayer, x: torch.Tensor) -> torch.Tensor:
    """Norm of the residual stream, in the dtype that the next product wants without a pass of its own."""
    x = x.to(norm.weight.dtype)
    return _normed(norm, x, autocast_dtype(x))


def _normed(norm: NormLayer, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    if isinstance(norm, nn.LayerNorm):
        return layer_norm(x, norm.weight, norm.bias, norm.eps, dtype=dtype)
    assert norm.eps is not None
    return rms_norm(x, norm.weight, norm.eps, dtype=dtype)


def branched(
    norm: NormLayer, x: torch.Tensor, added: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """x, with what is added to it, and `normed_input` of that: in one pass, in which also gradients meet."""
    if x.dtype != norm.weight.dtype:
        x = x if added is None else x + added
        return x, normed_input(norm, x)
    bias = norm.bias if isinstance(norm, nn.LayerNorm) else None
    assert norm.eps is not None
    return branch_norm(x, norm.weight, bias, norm.eps, added=added, dtype=autocast_dtype(x))


class ResidualBlock(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm2(x)) where there is an MLP.

    The residual stream is float32 (float64 in a float64 model), whatever the layers run in.

    Args:
        mixer: of width D.
        norm: of width D.
        mlp, norm2: both, or neither.
        dropout: of what is added to the residual stream.
    """

    def __init__(
        self,
        mixer: Mixer,
        norm: NormLayer,
        mlp: nn.Module | None = None,
        norm2: NormLayer | None = None,
        *,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        assert (mlp is None) == (norm2 is None)
        self.mixer = mixer
        self.norm = norm
        self.mlp = mlp
        self.norm2 = norm2
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: torch.Tensor, context: MixerContext | None = None, *, state: Any = None
    ) -> torch.Tensor:
        """(B, L, D) to (B, L, D); a `state` is carried on in place."""
        x, y = branched(self.norm, x)
        return self._feed_forward(x, self.dropout(self.mixer(y, context, state=state)))

    def step(self, x: torch.Tensor, state: Any) -> torch.Tensor:
        """One position, (B, D) to (B, D); the `state` is carried on in place."""
        return self._feed_forward(x, self.dropout(self.mixer.step(normed_input(self.norm, x), state)[0]))

    def _feed_forward(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        if self.mlp is None:
            return x + mixed
        assert self.norm2 is not None
        x, y = branched(self.norm2, x, mixed)
        return x + self.dropout(self.mlp(y))
