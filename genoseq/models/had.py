"""HAD's student: gated delta nets in both directions under one layer of attention, over single nucleotides.

Source: Yang et al. 2025, "HAD: Hybrid Architecture Distillation Outperforms Teacher in Genomic Sequence
Modeling". Its code is not public; what it leaves open is chosen here: the two directions have weights of
their own and their outputs are added, every mixer has a gated MLP behind it, attention knows positions by
rotation, and the widths are such that the preset has the paper's 1.1 million parameters.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.residual_stack import batch_context, initialize
from genoseq.nn import Bidirectional, BidirectionalAttention, GatedDeltaNet, GatedMlp, Mixer
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm, ResidualBlock, make_norm, normed


class HAD(Backbone):
    """A small encoder.

    Args:
        d_model: D, width.
        num_layers: number of blocks, the last of which attends; the others are gated delta nets.
        num_heads, head_dim, expand_v, d_conv: of the gated delta nets, see `GatedDeltaNet`.
        attention_heads: heads of the attention, each of D / attention_heads channels.
        d_inner: width inside the gated MLPs.
        vocab_size: number of tokens.
        dropout: of what every mixer and MLP adds.
        norm: `rms` or `layer`.
        norm_epsilon: of the norms of the residual stream.
        initializer_range: standard deviation of the first embeddings.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range, or heads do not divide the width.
    """

    model_type: ClassVar[str] = "had"
    causal = False

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        num_heads: int,
        attention_heads: int,
        d_inner: int,
        head_dim: int = 32,
        expand_v: int = 2,
        d_conv: int = 4,
        vocab_size: int = 12,
        dropout: float = 0.0,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        require_checkpointing(activation_checkpointing)
        if num_layers < 1:
            raise ConfigError(f"num_layers={num_layers}: give 1 or more, of which the last one attends.")
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = vocab_size
        self.l_max = None
        self.activation_checkpointing = activation_checkpointing

        def one_way() -> GatedDeltaNet:
            return GatedDeltaNet(
                d_model=d_model, num_heads=num_heads, head_dim=head_dim, expand_v=expand_v, d_conv=d_conv
            )

        def block(mixer: Mixer) -> ResidualBlock:
            norms = [make_norm(norm, d_model, epsilon=norm_epsilon) for _ in range(2)]
            mlp = GatedMlp(d_model=d_model, d_inner=d_inner)
            return ResidualBlock(mixer, norms[0], mlp, norms[1], dropout=dropout)

        both_ways = (Bidirectional(one_way(), one_way(), combination="add") for _ in range(num_layers - 1))
        attention = BidirectionalAttention(d_model=d_model, num_heads=attention_heads, position="rotary")
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.layers = nn.ModuleList(block(mixer) for mixer in (*both_ways, attention))
        self.norm_f = make_norm(norm, d_model, epsilon=norm_epsilon)
        self._initialize()

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.embedding

    def reset_parameters(self) -> None:
        reset_children(self)
        self._initialize()

    def _initialize(self) -> None:
        initialize(self, std=self.arguments["initializer_range"], residuals=2 * self.num_layers)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """See `Backbone.forward`.

        Raises:
            SequenceError: see `batch_context`.
        """
        context = batch_context(input_ids, attention_mask, segment_ids)
        x = F.embedding(input_ids, self.embedding.weight)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x, kept = through_layers(
            self.activation_checkpointing, self.layers, x, context, keep=output_hidden_states
        )
        last = normed(self.norm_f, x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)
