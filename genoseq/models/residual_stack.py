"""What causal backbones of residual blocks share: embedding, blocks, last norm, and their states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import SequenceError
from genoseq.models.backbone import BackboneOutput, StreamingBackbone
from genoseq.nn import MixerContext
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.residual import Norm, ResidualBlock, make_norm, normed
from genoseq.nn.visibility import run_starts, runs_of

# Ends of the names of layers that write to the residual stream.
_WRITERS = (".out_proj", ".o_proj", ".fc2")


class ResidualStack(StreamingBackbone):
    """A causal backbone of residual blocks.

    A subclass takes its own arguments, makes the blocks, and sets `arguments`.

    Args:
        blocks: in order.
        d_model: D.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        norm: kind of the last norm.
        norm_epsilon: of the last norm.
        activation_checkpointing: see `genoseq.nn.checkpointing.checkpointed`.

    Raises:
        ConfigError: no such norm or checkpointing.
    """

    causal = True

    def __init__(
        self,
        blocks: Sequence[ResidualBlock],
        *,
        d_model: int,
        vocab_size: int,
        pad_vocab_size_multiple: int,
        norm: Norm,
        norm_epsilon: float,
        activation_checkpointing: Checkpointing,
    ) -> None:
        super().__init__()
        require_checkpointing(activation_checkpointing)
        self.d_model = d_model
        self.num_layers = len(blocks)
        self.vocab_size = math.ceil(vocab_size / pad_vocab_size_multiple) * pad_vocab_size_multiple
        self.l_max = None
        self.activation_checkpointing = activation_checkpointing
        self.embedding = nn.Embedding(self.vocab_size, d_model)
        self.layers = nn.ModuleList(blocks)
        self.norm_f = make_norm(norm, d_model, epsilon=norm_epsilon)

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.embedding

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
        x = self._embed(input_ids)
        x, kept = through_layers(
            self.activation_checkpointing, self.blocks, x, context, keep=output_hidden_states
        )
        last = normed(self.norm_f, x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)

    def init_state(self, batch_size: int, *, max_length: int) -> list[Any]:
        weight = self.embedding.weight
        return [
            block.mixer.init_state(
                batch_size, max_length=max_length, device=weight.device, dtype=weight.dtype
            )
            for block in self.blocks
        ]

    def read_on(
        self,
        input_ids: torch.Tensor,
        state: list[Any],
        attention_mask: torch.Tensor | None = None,
        *,
        output_hidden_states: bool = False,
    ) -> BackboneOutput:
        context = batch_context(input_ids, attention_mask)
        x = self._embed(input_ids)
        kept = [x] if output_hidden_states else []
        for block, block_state in zip(self.blocks, state, strict=True):
            x = block(x, context, state=block_state)
            if output_hidden_states:
                kept.append(x)
        last = normed(self.norm_f, x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)

    def step(self, input_ids: torch.Tensor, state: list[Any]) -> torch.Tensor:
        x = self._embed(input_ids)
        for block, block_state in zip(self.blocks, state, strict=True):
            x = block.step(x, block_state)
        return normed(self.norm_f, x)

    @property
    def blocks(self) -> list[ResidualBlock]:
        """The blocks, in order."""
        return cast(list[ResidualBlock], list(self.layers))

    def _embed(self, input_ids: torch.Tensor) -> torch.Tensor:
        x = F.embedding(input_ids, self.embedding.weight)
        return x.to(torch.promote_types(x.dtype, torch.float32))


def initialize(backbone: nn.Module, *, std: float, residuals: int | None) -> None:
    """First values as in the official release: normal embeddings, zero biases, torch's own for the rest.

    Args:
        backbone: its time steps keep the biases they have.
        std: of the embeddings.
        residuals: layers that write to the residual stream, whose weights are divided by its square root;
            None for no division.
    """
    rescaled: set[int] = set()
    for name, module in backbone.named_modules():
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None and not name.endswith(".dt_proj"):
            nn.init.zeros_(module.bias)
        if residuals and name.endswith(_WRITERS) and id(module.weight) not in rescaled:
            rescaled.add(id(module.weight))
            with torch.no_grad():
                module.weight /= math.sqrt(residuals)


def initialize_normally(module: nn.Module, *, std: float) -> None:
    """First values as BERT and Llama have them: normal weights, zero biases."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Embedding):
            nn.init.normal_(part.weight, std=std)
        if isinstance(part, nn.Linear) and part.bias is not None:
            nn.init.zeros_(part.bias)


def batch_context(
    input_ids: torch.Tensor, attention_mask: torch.Tensor | None, segment_ids: torch.Tensor | None = None
) -> MixerContext:
    """What mixers are told of a batch (B, L).

    Raises:
        SequenceError: there is no token, the tensors are of several shapes or tokens no integers, or there is
            padding between tokens of one sequence.
    """
    shape = tuple(input_ids.shape)
    if len(shape) != 2 or input_ids.is_floating_point():
        raise SequenceError(f"input_ids of shape {shape} and {input_ids.dtype}: give integers (B, L).")
    if not input_ids.numel():
        raise SequenceError(f"input_ids of shape {shape} hold no token: give one or more.")
    for name, given in (("attention_mask", attention_mask), ("segment_ids", segment_ids)):
        if given is not None and given.shape != input_ids.shape:
            raise SequenceError(f"{name} of shape {tuple(given.shape)}: give that of input_ids, {shape}.")
    return MixerContext(mask=_as_mask(attention_mask, segment_ids), segment_ids=segment_ids)


def _as_mask(attention_mask: torch.Tensor | None, segment_ids: torch.Tensor | None) -> torch.Tensor | None:
    """(B, L) bool, or None where there is nothing to mask.

    Raises:
        SequenceError: padding between tokens of one sequence.
    """
    if attention_mask is None:
        return None
    mask = attention_mask.bool()
    runs = mask[:, :1].sum(1) + (mask[:, 1:] & ~mask[:, :-1]).sum(1)
    broken = runs > 1
    if segment_ids is None and bool(broken.any()):
        row = int(broken.int().argmax())
        raise SequenceError(
            f"row {row} of the attention mask has padding between tokens: pad on the left or on the right, "
            "or give segment_ids where a row holds several sequences."
        )
    return mask


def longest_sequence(ids: torch.Tensor, mask: torch.Tensor | None, segment_ids: torch.Tensor | None) -> int:
    """Tokens of the longest sequence, padding aside."""
    if mask is None and segment_ids is None:
        return ids.shape[-1]
    mask = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask.bool()
    runs = runs_of(MixerContext(mask=mask, segment_ids=segment_ids))
    assert runs is not None
    counted = torch.arange(1, ids.shape[1] + 1, device=ids.device) - run_starts(runs)
    return int(torch.where(mask, counted, 0).amax())
