"""Caduceus: bidirectional Mamba over nucleotides, blind to strand by its weights (PS) or afterwards (Ph).

Names of submodules and parameters are those of the released checkpoints.
Source: Schiff et al. 2024, "Caduceus: Bi-Directional Equivariant Long-Range DNA Sequence Modeling", and its
released code.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.residual_stack import batch_context, initialize
from genoseq.nn import MixerContext
from genoseq.nn.bidirectional import BidirectionalMamba, Combination, turned
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm, make_norm
from genoseq.nn.strands import StrandEmbedding, StrandWise, on_strands, swap_strands, turn
from genoseq.tokenizers import CharacterTokenizer

Symmetry = Literal["none", "conjoined", "shared"]


class CaduceusBlock(nn.Module):
    """x + mixer(norm(x)), on one strand or on both.

    Args:
        mixer: of width D.
        norm: of width D.
        shared: x has 2 D channels, one half a strand, and both go through the same weights.
        swapped: at the door the halves of `x` change places, unturned, as the released code does where its
            addition and norm are fused. Only where `shared`.
    """

    def __init__(self, mixer: BidirectionalMamba, norm: nn.Module, *, shared: bool, swapped: bool) -> None:
        super().__init__()
        self.mixer: nn.Module = StrandWise(mixer) if shared else mixer
        self.norm = StrandWise(norm) if shared and not swapped else norm
        self.swapped = shared and swapped

    def forward(self, x: torch.Tensor, context: MixerContext) -> torch.Tensor:
        """(B, L, D) or (B, L, 2 D) to the same."""
        if self.swapped:
            x = swap_strands(x)
        return x + self.mixer(_normed_strands(self.norm, x, plain=self.swapped), context)


class Caduceus(Backbone):
    """The published function.

    Args:
        d_model: D, width of one strand.
        num_layers: number of blocks.
        vocab_size: number of tokens.
        pad_vocab_size_multiple: the embedding's rows are rounded up to a multiple of this.
        symmetry: `none` reads one strand (Ph as it is trained). `conjoined` reads both, one after the other
            with the same weights (Ph as it predicts). `shared` carries both through every layer (PS): hidden
            states of the reverse complement are the reverse complement of the hidden states. The last two
            give 2 D channels, the second half of them of the other strand, turned.
        fused_add_norm: PS as released: the halves change places, unturned, at every block. Unfused is another
            function of the same weights.
        complement_map: the token that stands on the other strand for each; None for that of the character
            tokenizer.
        d_state, d_conv, expand, dt_rank, dt_min, dt_max, dt_init_floor, dt_scale, conv_bias, bias: of the
            mixers, see `MambaMixer`.
        combination: what becomes of the two directions: `add` or `ew_multiply`.
        tied: share the projections of the two directions.
        norm: `rms` or `layer`.
        norm_epsilon: of every norm.
        initializer_range: standard deviation of the first embeddings.
        rescale_residual_init: divide the first weights that write to the residual stream by sqrt(num_layers).
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.

    Attributes:
        d_model: width of the hidden states, 2 D where there are two strands.
        two_strands: whether there are.

    Raises:
        ConfigError: an argument is outside its range.
    """

    model_type: ClassVar[str] = "caduceus"
    causal = False
    complement: torch.Tensor

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        vocab_size: int = 12,
        pad_vocab_size_multiple: int = 8,
        symmetry: Symmetry = "shared",
        fused_add_norm: bool = True,
        complement_map: Sequence[int] | None = None,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | None = None,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_scale: float = 1.0,
        conv_bias: bool = True,
        bias: bool = False,
        combination: Combination = "add",
        tied: bool = True,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        require_choice("symmetry", symmetry, get_args(Symmetry))
        require_checkpointing(activation_checkpointing)
        super().__init__()
        self.arguments = arguments | {
            "complement_map": None if complement_map is None else list(complement_map)
        }
        self.num_layers = num_layers
        self.vocab_size = math.ceil(vocab_size / pad_vocab_size_multiple) * pad_vocab_size_multiple
        self.l_max = None
        self.symmetry = symmetry
        self.two_strands = symmetry != "none"
        self.d_model = 2 * d_model if self.two_strands else d_model
        self.fused_add_norm = fused_add_norm
        self.activation_checkpointing = activation_checkpointing
        complement = _complement(complement_map, self.vocab_size)
        self.register_buffer("complement", complement, persistent=False)
        shared = symmetry == "shared"
        words: nn.Module = nn.Embedding(self.vocab_size, d_model)
        if shared:
            words = StrandEmbedding(self.vocab_size, d_model, complement_map=complement)
        self.embeddings = nn.ModuleDict({"word_embeddings": words})
        mamba_options = {
            "d_state": d_state,
            "d_conv": d_conv,
            "expand": expand,
            "dt_rank": dt_rank,
            "dt_min": dt_min,
            "dt_max": dt_max,
            "dt_init_floor": dt_init_floor,
            "dt_scale": dt_scale,
            "conv_bias": conv_bias,
            "bias": bias,
        }
        self.layers = nn.ModuleList(
            CaduceusBlock(
                BidirectionalMamba(
                    d_model=d_model, combination=combination, tied=tied, mamba_options=mamba_options
                ),
                make_norm(norm, d_model, epsilon=norm_epsilon),
                shared=shared,
                swapped=fused_add_norm,
            )
            for _ in range(num_layers)
        )
        last: nn.Module = make_norm(norm, d_model, epsilon=norm_epsilon)
        self.norm_f = StrandWise(last) if shared and not fused_add_norm else last
        self._initialize()

    def reset_parameters(self) -> None:
        reset_children(self)
        self.complement.copy_(_complement(self.arguments["complement_map"], self.vocab_size))
        if isinstance(words := self.embeddings["word_embeddings"], StrandEmbedding):
            words.complement_map.copy_(self.complement)
        self._initialize()

    def _initialize(self) -> None:
        residuals = self.num_layers if self.arguments["rescale_residual_init"] else None
        initialize(self, std=self.arguments["initializer_range"], residuals=residuals)

    @property
    def input_embedding(self) -> nn.Embedding:
        words = self.embeddings["word_embeddings"]
        table = words.embedding if isinstance(words, StrandEmbedding) else words
        assert isinstance(table, nn.Embedding)
        return table

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
        kept = self._states(input_ids, context, keep=output_hidden_states)
        if self.symmetry == "conjoined":
            other = self._states(
                self.complement[input_ids.flip(1)], turned(context), keep=output_hidden_states
            )
            kept = [torch.cat([x, turn(y)], dim=-1) for x, y in zip(kept, other, strict=True)]
        return BackboneOutput(kept[-1], tuple(kept) if output_hidden_states else None)

    def _states(self, input_ids: torch.Tensor, context: MixerContext, *, keep: bool) -> list[torch.Tensor]:
        """The last hidden states, after those of the layers where they are to be kept."""
        x = self.embeddings["word_embeddings"](input_ids)
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        x, kept = through_layers(self.activation_checkpointing, self.layers, x, context, keep=keep)
        plain = self.symmetry == "shared" and self.fused_add_norm
        return [*kept, _normed_strands(self.norm_f, x, plain=plain)]


def _normed_strands(norm: nn.Module, x: torch.Tensor, *, plain: bool) -> torch.Tensor:
    """Norm of the residual stream in the dtype of its weight; a `plain` one is taken to either strand."""
    x = x.to(next(norm.parameters()).dtype)
    return on_strands(norm, x) if plain else norm(x)


def _complement(complement_map: Sequence[int] | None, vocab_size: int) -> torch.Tensor:
    """(V,) int64; tokens beyond the map stand for themselves.

    Raises:
        ConfigError: the map is not its own inverse, or longer than the vocabulary.
    """
    if complement_map is None:
        tokenizer = CharacterTokenizer()
        rows = np.arange(min(tokenizer.vocab_size, vocab_size))[:, None]
        given = tokenizer.reverse_complement(rows)[:, 0]
    else:
        given = np.array(list(complement_map), dtype=np.int64)
    complement = np.arange(vocab_size)
    if len(given) <= vocab_size and (given < vocab_size).all():
        complement[: len(given)] = given
    if len(given) > vocab_size or not np.array_equal(complement[complement], np.arange(vocab_size)):
        raise ConfigError(
            f"complement_map={given.tolist()}: the complement of the complement of each of the {vocab_size} "
            "tokens is the token itself."
        )
    return torch.from_numpy(complement)
