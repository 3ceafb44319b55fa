"""PatchTST: a Transformer over the patches of each channel.

Source: Nie et al. 2023, "A Time Series is Worth 64 Words: Long-term Forecasting with Transformers".
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from genoseq.models.patched import PatchedForecaster
from genoseq.models.residual_stack import initialize_normally
from genoseq.nn.attention import BidirectionalAttention
from genoseq.nn.blocks import PostNormBlock
from genoseq.nn.materialize import reset_children
from genoseq.nn.mlp import Mlp

_EPSILON = 1e-5
_STD = 0.02


class PatchTST(PatchedForecaster):
    """Attention to all patches of a channel, with learned positions.

    The paper's norms are over the batch; these are over the width (layer norms), so that a forecast does not
    depend on what else is in its batch.

    Args:
        sequence_length, horizon, d_model, patch_length, stride, num_parameters, head_dropout: see
            `PatchedForecaster`.
        num_layers: number of blocks.
        num_heads: of attention.
        d_inner: width inside the MLPs.
        dropout: of the embeddings, and of what mixers add.

    Raises:
        ConfigError: lengths or heads that do not fit.
    """

    model_type: ClassVar[str] = "patchtst"

    def __init__(
        self,
        *,
        sequence_length: int,
        horizon: int,
        d_model: int = 16,
        num_layers: int = 3,
        num_heads: int = 4,
        d_inner: int = 128,
        patch_length: int = 16,
        stride: int = 8,
        dropout: float = 0.3,
        head_dropout: float = 0.0,
        num_parameters: int = 1,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: x for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__(
            sequence_length=sequence_length,
            horizon=horizon,
            d_model=d_model,
            patch_length=patch_length,
            stride=stride,
            num_marks=0,
            num_parameters=num_parameters,
            head_dropout=head_dropout,
        )
        self.arguments = arguments
        self.positions = nn.Embedding(self.num_patches, d_model)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            PostNormBlock(
                BidirectionalAttention(d_model=d_model, num_heads=num_heads, qkv_bias=True, out_bias=True),
                Mlp(d_model=d_model, d_inner=d_inner),
                d_model=d_model,
                dropout=dropout,
                layer_norm_epsilon=_EPSILON,
            )
            for _ in range(num_layers)
        )
        initialize_normally(self.positions, std=_STD)

    def reset_parameters(self) -> None:
        reset_children(self)
        initialize_normally(self.positions, std=_STD)

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        x = self.dropout(patches + self.positions.weight)
        for layer in self.layers:
            x = layer(x)
        return x
