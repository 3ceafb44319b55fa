"""Life-Code: an encoder of nucleotides and codons that is taught to translate, and what proteins are like.

Source: Liu et al. 2025, "Life-Code: Central Dogma Modeling with Multi-Omics Sequence Unification". There is
no public code. From the paper are: one alphabet of nucleotides for DNA, RNA and protein (`genoseq.sequence`),
embedding of nucleotides and codons, an encoder of both directions that mixes linear recurrence and attention,
and what is learnt: hidden tokens, translation, and the states of a protein language model. Chosen here, where
the paper leaves it open:

- A token is a base, and says its place in its codon (`FrameTokenizer`). The embedding of its codon is added,
  which is read from the three tokens: one hidden base makes its codon an unknown one, so that nothing leaks.
- A recurrent layer is two, one in either direction, with weights of their own, whose outputs are added.
- The state of a residue is the mean of the states of its codon's bases.
- Distillation is by the cosine between a linear map of that state and the teacher's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone, BackboneOutput
from genoseq.models.heads import draw_first
from genoseq.models.hybridna import LayerKind, layer_kinds, mixer_arguments, plain
from genoseq.models.residual_stack import batch_context, initialize
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.nn import (
    Bidirectional,
    BidirectionalAttention,
    GatedDeltaNet,
    GatedMlp,
    LinearAttention,
    Mamba2Mixer,
    MambaMixer,
    Mixer,
    ResidualBlock,
    make_norm,
    normed,
)
from genoseq.nn.checkpointing import Checkpointing, require_checkpointing, through_layers
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm
from genoseq.nn.tiling import require_tile
from genoseq.sequence import CODON, CODONS, RESIDUES
from genoseq.tokenizers import FrameTokenizer

UNKNOWN_CODON = len(CODONS)
# 20 residues, the stop, and one for all others.
NUM_MEANINGS = len(RESIDUES) + 2

# One row a letter of the pattern; all but attention are made twice, one for either direction.
_KINDS: dict[str, LayerKind] = {
    "m": LayerKind("mamba2", Mamba2Mixer),
    "a": LayerKind("attention", BidirectionalAttention),
    "s": LayerKind("mamba", MambaMixer),
    "d": LayerKind("delta", GatedDeltaNet),
    "l": LayerKind("linear", LinearAttention),
}


class LifeCode(Backbone):
    """The encoder.

    Args:
        d_model: D, width.
        num_layers: number of blocks.
        pattern: kinds of blocks, repeated until there are `num_layers`: `m` Mamba-2, `s` Mamba, `d` gated
            delta net, `l` linear attention, each in both directions, and `a` attention to both sides.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        mlp_bias: of the MLPs' layers.
        mamba2, attention, mamba, delta, linear: arguments of the mixers of each kind, `d_model` aside; None
            where the pattern has none.
        embed_dropout: dropout of the embeddings.
        resid_dropout: dropout of what every mixer and MLP adds.
        norm: `rms` or `layer`.
        norm_epsilon: of the norms of the residual stream.
        initializer_range: standard deviation of the first embeddings.
        rescale_residual_init: divide the first weights that write to the residual stream by the square root
            of how many such layers there are.
        activation_checkpointing: compute blocks again in the backward pass instead of keeping what they hold:
            less memory, more time, the same numbers. `offload` keeps their inputs in the host's memory.
        sequence_tile: positions for which the MLPs are computed at once, and again in the backward pass; None
            for all. Less memory, more time, the same numbers up to rounding.

    Raises:
        ConfigError: an argument is outside its range, or the pattern has unknown letters or does not fit.
    """

    model_type: ClassVar[str] = "lifecode"
    causal = False

    def __init__(
        self,
        *,
        d_model: int,
        num_layers: int,
        pattern: str = "ddda",
        d_inner: int = 0,
        mlp_bias: bool = False,
        mamba2: Mapping[str, Any] | None = None,
        attention: Mapping[str, Any] | None = None,
        mamba: Mapping[str, Any] | None = None,
        delta: Mapping[str, Any] | None = None,
        linear: Mapping[str, Any] | None = None,
        embed_dropout: float = 0.0,
        resid_dropout: float = 0.0,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        initializer_range: float = 0.02,
        rescale_residual_init: bool = True,
        activation_checkpointing: Checkpointing = False,
        sequence_tile: int | None = None,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        require_tile("sequence_tile", sequence_tile)
        require_checkpointing(activation_checkpointing)
        kinds = layer_kinds(pattern, num_layers, _KINDS)
        super().__init__()
        self.arguments = arguments
        self.d_model = d_model
        self.num_layers = num_layers
        self.vocab_size = FrameTokenizer().vocab_size
        self.l_max = None
        self.activation_checkpointing = activation_checkpointing
        self.embedding = nn.Embedding(self.vocab_size, d_model)
        self.codon_embedding = nn.Embedding(UNKNOWN_CODON + 1, d_model)
        self.codons = CodonReader()
        self.dropout = nn.Dropout(embed_dropout)
        self.layers = nn.ModuleList()
        for letter in kinds:
            parts: tuple[Any, ...] = ()
            if d_inner:
                mlp = GatedMlp(d_model=d_model, d_inner=d_inner, bias=mlp_bias, sequence_tile=sequence_tile)
                parts = (mlp, make_norm(norm, d_model, epsilon=norm_epsilon))
            first_norm = make_norm(norm, d_model, epsilon=norm_epsilon)
            mixer = _both_ways(letter, arguments)
            self.layers.append(ResidualBlock(mixer, first_norm, *parts, dropout=resid_dropout))
        self.norm_f = make_norm(norm, d_model, epsilon=norm_epsilon)
        self._initialize()

    @property
    def input_embedding(self) -> nn.Embedding:
        return self.embedding

    def reset_parameters(self) -> None:
        reset_children(self)
        self._initialize()

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
        x = self._embed(input_ids, segment_ids)
        x, kept = through_layers(
            self.activation_checkpointing, self.layers, x, context, keep=output_hidden_states
        )
        last = normed(self.norm_f, x)
        return BackboneOutput(last, (*kept, last) if output_hidden_states else None)

    def _embed(self, input_ids: torch.Tensor, segment_ids: torch.Tensor | None) -> torch.Tensor:
        codons = spread(self.codons(input_ids, segment_ids))
        added = self.codon_embedding(codons.clamp(min=0)).masked_fill((codons < 0).unsqueeze(-1), 0)
        x = self.embedding(input_ids) + added
        return self.dropout(x.to(torch.promote_types(x.dtype, torch.float32)))

    def _initialize(self) -> None:
        arguments = self.arguments
        writers = self.num_layers * (2 if arguments["d_inner"] else 1)
        initialize(
            self,
            std=arguments["initializer_range"],
            residuals=writers if arguments["rescale_residual_init"] else None,
        )


def _both_ways(letter: str, arguments: Mapping[str, Any]) -> Mixer:
    kind, given = _KINDS[letter], mixer_arguments(letter, arguments, _KINDS)
    if not kind.mixer.causal:
        return kind.mixer(**given)
    return Bidirectional(kind.mixer(**given), kind.mixer(**given), combination="add")


class CodonReader(nn.Module):
    """The codons that tokens of `FrameTokenizer` spell."""

    bases: torch.Tensor
    places: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        tokenizer = FrameTokenizer()
        for name in ("bases", "places"):
            self.register_buffer(name, torch.from_numpy(getattr(tokenizer, name)), persistent=False)

    def reset_parameters(self) -> None:
        """Make the tables again."""
        tokenizer = FrameTokenizer()
        self.bases.copy_(torch.from_numpy(tokenizer.bases))
        self.places.copy_(torch.from_numpy(tokenizer.places))

    def forward(self, ids: torch.Tensor, segment_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Codons as they are read, whichever strand they are on.

        Args:
            ids: (B, L) integers.
            segment_ids: (B, L); a codon is of one sequence.

        Returns:
            (B, L) int64: at the leftmost base of each whole codon its number, 16 a + 4 b + c of its base
            codes, or `UNKNOWN_CODON` where one of its bases is hidden or unknown; -1 everywhere else.
        """
        if ids.shape[1] < CODON:
            return torch.full_like(ids, -1, dtype=torch.int64)
        bases, places = (table[ids].unfold(1, CODON, 1) for table in (self.bases, self.places))
        order = torch.arange(CODON, device=ids.device)
        ahead, back = (places == order).all(-1), (places == 2 * CODON - 1 - order).all(-1)
        weights = len("ACGT") ** order
        # Read backwards, the last base comes first, as its complement.
        forward, backward = bases * weights.flip(0), (3 - bases) * weights
        numbers = torch.where(ahead, forward.sum(-1), backward.sum(-1))
        numbers = numbers.masked_fill((bases > 3).any(-1), UNKNOWN_CODON)
        whole = ahead | back
        if segment_ids is not None:
            whole &= (segment_ids.unfold(1, CODON, 1) == segment_ids[:, : 1 - CODON, None]).all(-1)
        return F.pad(numbers.masked_fill(~whole, -1), (0, CODON - 1), value=-1)


def spread(codons: torch.Tensor) -> torch.Tensor:
    """What stands at the leftmost base of each codon, (B, L), at all three of its bases; -1 at all others."""
    return F.pad(codons, (CODON - 1, 0), value=-1).unfold(1, CODON, 1).amax(-1)


def residue_states(hidden: torch.Tensor, starts: torch.Tensor) -> torch.Tensor:
    """Mean of the states of the bases of each codon.

    Args:
        hidden: (B, L, D).
        starts: (B, L) bool, the leftmost base of each codon.

    Returns:
        (N, D), row after row.
    """
    row, place = starts.nonzero(as_tuple=True)
    return hidden[row[:, None], place[:, None] + torch.arange(CODON, device=row.device)].mean(1)


class LifeCodeHead(MaskedLanguageModelHead):
    """Logits of hidden bases; and from the states of residues, those of codons and residues, and a teacher's.

    Args:
        backbone: what it stands on.
        teacher_width: of the teacher's states; None without a teacher.
        tied, transform, norm_epsilon: of the logits of bases, see `MaskedLanguageModelHead`.

    Attributes:
        codon: (N, D) to (N, 64) logits of codons, in the order of `genoseq.sequence.CODONS`.
        translation: (N, D) to (N, 22) logits: `RESIDUES`, the stop, and any other residue.
        distillation: (N, D) to (N, W) states of the teacher, up to their length; None without one.

    Raises:
        ConfigError: a teacher of no width.
    """

    head_type: ClassVar[str] = "lifecode"

    def __init__(
        self,
        backbone: Backbone,
        *,
        teacher_width: int | None = None,
        tied: bool = True,
        transform: bool = False,
        norm_epsilon: float = 1e-12,
    ) -> None:
        if teacher_width is not None and teacher_width < 1:
            raise ConfigError(f"teacher_width={teacher_width}: give 1 or more, or null without a teacher.")
        super().__init__(backbone, tied=tied, transform=transform, norm_epsilon=norm_epsilon)
        self.arguments["teacher_width"] = teacher_width
        self.teacher_width = teacher_width
        width = backbone.d_model
        self.codon = nn.Linear(width, len(CODONS))
        self.translation = nn.Linear(width, NUM_MEANINGS)
        self.distillation = None if teacher_width is None else nn.Linear(width, teacher_width)
        self._draw_own()

    def reset_parameters(self) -> None:
        super().reset_parameters()
        self._draw_own()

    def _draw_own(self) -> None:
        # The base class draws before there are any.
        for layer in self.children():
            if isinstance(layer, nn.Linear):
                draw_first(layer)
