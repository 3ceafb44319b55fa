"""ESM-2, a language model of proteins: transformers' own class under our contract, to learn from it.

Source: Lin et al. 2023, "Evolutionary-scale prediction of atomic-level protein structure with a language
model"; the code is that of transformers, which is installed with `genoseq[transformers]`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.borrowed import import_transformers, reset_rotation, run_borrowed
from genoseq.models.residual_stack import batch_context, initialize_normally
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing
from genoseq.nn.packing import plan_unpacking

if TYPE_CHECKING:
    from transformers import EsmModel


class ESM2(Backbone):
    """The published function.

    It reads residues in tokens of its own, with <cls> before and <eos> behind a protein.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        num_heads: heads of attention.
        d_inner: width inside the MLPs.
        vocab_size: number of tokens.
        padding_id, mask_id: those of <pad> and <mask>; the first one's embedding is not learned.
        token_dropout: embeddings of <mask> are zero, and the others scaled by how many there are of it.
        rotary_base: of the wavelengths of positions.
        norm_before: a norm of the embeddings.
        dropout, attention_dropout: of what every layer adds, and of the weights of attention.
        norm_epsilon: of every norm.
        initializer_range: standard deviation of all first weights.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Raises:
        ConfigError: an argument is outside its range, or transformers is not installed.
    """

    model_type: ClassVar[str] = "esm2"
    causal = False

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        num_heads: int,
        d_inner: int,
        vocab_size: int = 33,
        padding_id: int = 1,
        mask_id: int = 32,
        token_dropout: bool = True,
        rotary_base: float = 10000.0,
        norm_before: bool = False,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        require_checkpointing(activation_checkpointing)
        if num_heads < 1 or d_model % num_heads:
            raise ConfigError(
                f"num_heads={num_heads} does not divide d_model={d_model}: choose one that does."
            )
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = vocab_size
        self.l_max = None
        transformers = import_transformers("model_type=esm2")
        config = transformers.EsmConfig(
            hidden_size=d_model,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=d_inner,
            vocab_size=vocab_size,
            pad_token_id=padding_id,
            mask_token_id=mask_id,
            token_dropout=token_dropout,
            position_embedding_type="rotary",
            rope_theta=rotary_base,
            emb_layer_norm_before=norm_before,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=attention_dropout,
            layer_norm_eps=norm_epsilon,
            initializer_range=initializer_range,
            use_cache=False,
        )
        self.esm: EsmModel = transformers.EsmModel(config, add_pooling_layer=False)
        if activation_checkpointing:
            self.esm.activation_checkpointing_enable(offload=activation_checkpointing == "offload")
        # Contacts are not asked for here: its weights come and go with the files.
        self.esm.contact_head.requires_grad_(False)
        initialize_normally(self.esm, std=initializer_range)

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.esm.embeddings.word_embeddings

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks, in order."""
        return self.esm.encoder.layer

    def reset_parameters(self) -> None:
        initialize_normally(self.esm, std=self.arguments["initializer_range"])
        for module in self.esm.modules():
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        assert self.esm.rotary_embeddings is not None
        reset_rotation(self.esm.rotary_embeddings, self.esm.config)
        positions = self.esm.embeddings.position_ids
        positions.copy_(torch.arange(positions.shape[-1]).expand(positions.shape))

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        *,
        segment_ids: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        """See `Backbone.forward`; packed sequences are computed in rows of their own.

        Raises:
            SequenceError: see `batch_context`.
        """
        mask = batch_context(input_ids, attention_mask, segment_ids).mask
        if segment_ids is None:
            return self._run(input_ids, mask, keep=output_hidden_states)
        unpacking = plan_unpacking(segment_ids)
        mask = torch.ones_like(input_ids, dtype=torch.bool) if mask is None else mask
        rows = self._run(unpacking.unpack(input_ids), unpacking.unpack(mask), keep=output_hidden_states)
        packed = [unpacking.pack(x, len(input_ids)) for x in rows.hidden_states or (rows.last_hidden_state,)]
        return BackboneOutput(packed[-1], tuple(packed) if output_hidden_states else None)

    def _run(self, input_ids: torch.Tensor, mask: torch.Tensor | None, *, keep: bool) -> BackboneOutput:
        run = partial(self.esm, input_ids=input_ids, attention_mask=mask)
        return run_borrowed(run, self.esm.encoder.emb_layer_norm_after, keep=keep)
