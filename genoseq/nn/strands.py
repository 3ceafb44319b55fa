"""Layers that treat both strands alike: of 2 D channels, D belong to either strand.

The second half, the other strand's, runs against the sequence, channels and positions turned. The reverse
complement of the input swaps the halves and turns them.
Source: Schiff et al. 2024, "Caduceus", section 4.2 (MambaDNA).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from genoseq.nn.bidirectional import turned
from genoseq.nn.mixer import MixerContext


def turn(x: torch.Tensor) -> torch.Tensor:
    """(B, L, D) with positions and channels turned round: one strand's view in the other's order."""
    return x.flip(1, 2)


def swap_strands(x: torch.Tensor) -> torch.Tensor:
    """(B, L, 2 D) with its halves in the other order, neither turned."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([second, first], dim=-1)


def on_strands(layer: nn.Module, x: torch.Tensor, *context: MixerContext) -> torch.Tensor:
    """One layer on either strand, (B, L, 2 D) to (B, L, 2 D).

    The two calls are of one shape, so that turning the input turns the output to the last bit.
    """
    first, second = x.chunk(2, dim=-1)
    other = layer(turn(second), *(turned(given) for given in context))
    return torch.cat([layer(first, *context), turn(other)], dim=-1)


class StrandWise(nn.Module):
    """A layer of width D made one of width 2 D that treats both strands alike."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: torch.Tensor, *context: Any) -> torch.Tensor:
        return on_strands(self.submodule, x, *context)


class StrandEmbedding(nn.Module):
    """Embeddings of the tokens, and of those of the other strand: (B, L) to (B, L, 2 D).

    Attributes:
        complement_map: (V,) the token that stands on the other strand for each.
    """

    complement_map: torch.Tensor

    def __init__(self, num_embeddings: int, width: int, *, complement_map: torch.Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_embeddings, width)
        self.register_buffer("complement_map", complement_map.clone())

    def reset_parameters(self) -> None:
        """Nothing: the complement follows from the model's arguments, which makes it again."""

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        other = self.embedding(self.complement_map[input_ids.flip(1)])
        return torch.cat([self.embedding(input_ids), turn(other)], dim=-1)
