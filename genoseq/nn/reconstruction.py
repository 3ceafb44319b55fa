"""What hidden tokens are, told by cross-attention from what an encoder made of the visible ones."""

from __future__ import annotations

import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.nn.attend import masked_attention
from genoseq.nn.gated_mlp import GatedMlp
from genoseq.nn.rotary import rotate

_ROTARY_BASE = 10000.0


class Reconstruction(nn.Module):
    """One layer: a query a hidden token, which knows its position alone; keys and values of visible ones.

    All queries are one learned vector, turned by the position, and so are the keys: what attention finds
    depends on distances.

    Args:
        d_model: D, width of the states and inside.
        num_heads: heads of the attention.
        d_inner: width inside its gated MLP.
        num_outputs: V, what is told of each hidden token.

    Raises:
        ConfigError: the heads do not divide the width into even parts.
    """

    def __init__(self, *, d_model: int, num_heads: int, d_inner: int, num_outputs: int) -> None:
        super().__init__()
        if num_heads < 1 or d_model % (2 * num_heads):
            raise ConfigError(
                f"{num_heads} heads do not divide a width of {d_model} into even parts: choose other heads."
            )
        self.num_heads = num_heads
        self.query = nn.Parameter(torch.empty(d_model))
        self.norm = nn.RMSNorm(d_model)
        self.kv_proj = nn.Linear(d_model, 2 * d_model, bias=False)
        self.out_proj = nn.Linear(d_model, d_model, bias=False)
        self.norm2 = nn.RMSNorm(d_model)
        self.mlp = GatedMlp(d_model=d_model, d_inner=d_inner)
        self.norm_f = nn.RMSNorm(d_model)
        self.score = nn.Linear(d_model, num_outputs)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """First values of the query; the layers have their own."""
        nn.init.normal_(self.query)

    def forward(self, states: torch.Tensor, visible: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Logits of hidden tokens.

        Args:
            states: (B, L, D).
            visible: (B, L) bool, the positions that are attended to; where a row has none, all of it.
            places: (B, Q) integers, the positions of what is asked for.

        Returns:
            (B, Q, V).
        """
        numbers = torch.arange(states.shape[1], device=states.device).unsqueeze(0)
        keys, values = self._heads(self.kv_proj(self.norm(states))).chunk(2, dim=1)
        queries = self._heads(self.query.expand(*places.shape, -1)).to(keys.dtype)
        seen = visible | ~visible.any(1, keepdim=True)
        found = masked_attention(
            self._turned(queries, places), self._turned(keys, numbers), values, seen[:, None, None]
        )
        x = self.out_proj(found.transpose(1, 2).flatten(-2)).to(states.dtype)
        x = x + self.mlp(self.norm2(x))
        return self.score(self.norm_f(x))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, heads * P) to (B, heads, L, P), of the width of a head of queries."""
        return x.unflatten(-1, (-1, len(self.query) // self.num_heads)).transpose(1, 2)

    def _turned(self, heads: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return rotate(heads, places, width=heads.shape[-1], base=_ROTARY_BASE, interleaved=False)
