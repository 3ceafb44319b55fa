"""DNABERT-2: a bidirectional encoder that knows positions by their distance alone.

Source: Zhou et al. 2024, "DNABERT-2: Efficient Foundation Model and Benchmark For Multi-Species Genome", and
its released code, which is that of Portes et al. 2023, "MosaicBERT". Unpadding is left out: a mask gives the
same values at every token.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.residual_stack import batch_context, initialize_normally
from genoseq.nn import BidirectionalAttention, GatedMlp, PostNormBlock, normed
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.materialize import reset_children


class DNABERT2(Backbone):
    """The published function.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        num_heads: heads of attention.
        d_inner: width inside the gated MLPs.
        vocab_size: number of tokens.
        token_types: rows of the embedding of token types. Every token is of the first: the others are there
            for the released weights.
        padding_id: token whose embedding is not learned as an input; None for none, which a mask makes
            unnecessary.
        dropout: of the embeddings, of what attention adds, and inside the MLPs.
        norm_epsilon: of every norm.
        initializer_range: standard deviation of all first weights.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range, or heads do not divide the width.
    """

    model_type: ClassVar[str] = "dnabert2"
    causal = False

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        num_heads: int,
        d_inner: int,
        vocab_size: int = 4096,
        token_types: int = 2,
        padding_id: int | None = None,
        dropout: float = 0.1,
        norm_epsilon: float = 1e-12,
        initializer_range: float = 0.02,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        require_checkpointing(activation_checkpointing)
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = vocab_size
        self.l_max = None
        self.activation_checkpointing = activation_checkpointing
        self.embedding = nn.Embedding(vocab_size, d_model, padding_idx=padding_id)
        self.token_types = nn.Embedding(token_types, d_model)
        self.norm = nn.LayerNorm(d_model, eps=norm_epsilon)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            PostNormBlock(
                BidirectionalAttention(
                    d_model=d_model, num_heads=num_heads, position="alibi", qkv_bias=True, out_bias=True
                ),
                GatedMlp(d_model=d_model, d_inner=d_inner, out_bias=True, activation="gelu", dropout=dropout),
                d_model=d_model,
                dropout=dropout,
                layer_norm_epsilon=norm_epsilon,
            )
            for _ in range(num_layers)
        )
        initialize_normally(self, std=self.arguments["initializer_range"])

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.embedding

    def reset_parameters(self) -> None:
        reset_children(self)
        initialize_normally(self, std=self.arguments["initializer_range"])

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """See `Backbone.forward`; there is no norm after the last block, whose output is there twice.

        Raises:
            SequenceError: see `batch_context`.
        """
        context = batch_context(input_ids, attention_mask, segment_ids)
        words = self.embedding(input_ids) + self.token_types.weight[0]
        x = self.dropout(normed(self.norm, words))
        x, kept = through_layers(
            self.activation_checkpointing, self.layers, x, context, keep=output_hidden_states
        )
        return BackboneOutput(x, (*kept, x) if output_hidden_states else None)
