"""Heads of bidirectional backbones, and of those that carry two strands.

Hidden states of two strands are (B, L, 2 D), the second half of the other strand, positions and channels
turned. Where the sum over both is taken, the two parts are computed by calls of one shape, so that the
reverse complement of the input gives the same numbers to the last bit.
Source: Schiff et al. 2024, "Caduceus", section 4.3, and its released code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone
from genoseq.models.caduceus import Caduceus
from genoseq.models.heads import FIRST_STD, Head, Pooling, SequenceHead, draw_first
from genoseq.nn.losses import IGNORED, Problem, problem_loss
from genoseq.nn.residual import normed
from genoseq.nn.strands import turn


class MaskedLanguageModelHead(Head):
    """Logits (B, L, V) of each token, from everything around it.

    On a backbone of two strands, what the other strand says of the complement is added.

    Args:
        backbone: what it stands on.
        tied: share the weight of the backbone's embedding.
        transform: a linear layer, GELU and LayerNorm before that weight, and a bias behind it, as BERT has.
        norm_epsilon: of that LayerNorm.
    """

    head_type: ClassVar[str] = "masked_language_model"
    complement: torch.Tensor | None

    def __init__(
        self, backbone: Backbone, *, tied: bool = True, transform: bool = False, norm_epsilon: float = 1e-12
    ) -> None:
        super().__init__()
        self.arguments = {"tied": tied, "transform": transform, "norm_epsilon": norm_epsilon}
        self.tied = tied
        table = backbone.input_embedding.weight
        self.weight = table if tied else nn.Parameter(torch.empty_like(table))
        rows, width = table.shape
        self.transform = _Transform(width, norm_epsilon) if transform else None
        self.bias = nn.Parameter(torch.empty(rows)) if transform else None
        self.reset_parameters()
        complement = None
        if isinstance(backbone, Caduceus) and backbone.two_strands:
            complement = backbone.complement
        self.strand_symmetric = complement is not None
        self.register_buffer("complement", complement, persistent=False)

    def reset_parameters(self) -> None:
        if not self.tied:
            nn.init.normal_(self.weight, std=FIRST_STD)
        if self.transform is not None and self.bias is not None:
            self.transform.reset_parameters()
            nn.init.zeros_(self.bias)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self.complement is None:
            return self._of_one_strand(hidden)
        first, second = hidden.chunk(2, dim=-1)
        other = self._of_one_strand(turn(second)).flip(1)
        return self._of_one_strand(first) + other[..., self.complement]

    def _of_one_strand(self, hidden: torch.Tensor) -> torch.Tensor:
        if self.transform is not None:
            hidden = self.transform(hidden)
        return F.linear(hidden, self.weight, self.bias)

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean cross-entropy in nats of the tokens (B, L) that were hidden; -100 everywhere else."""
        if mask is not None:
            labels = labels.masked_fill(~mask, IGNORED)
        return problem_loss("single_label", logits, labels)


class _Transform(nn.Module):
    """norm(gelu(dense(x))), as BERT has it before the weight that gives logits: (..., D) to the same."""

    def __init__(self, d_model: int, norm_epsilon: float) -> None:
        super().__init__()
        self.dense = nn.Linear(d_model, d_model)
        self.norm = nn.LayerNorm(d_model, eps=norm_epsilon)

    def reset_parameters(self) -> None:
        """Draw all first values again."""
        draw_first(self.dense)
        self.norm.reset_parameters()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return normed(self.norm, F.gelu(self.dense(x)))


@dataclass
class _OneStrand:
    """What a head asks of a backbone, for half of its channels."""

    d_model: int


class StrandSequenceHead(SequenceHead):
    """One prediction a sequence: either strand is pooled and scored, and the mean taken.

    Args:
        backbone: what it stands on.
        problem, num_outputs, pooling, pooler, dropout, bias: see `SequenceHead`.

    Raises:
        ConfigError: as `SequenceHead`; or the backbone carries one strand.
    """

    head_type: ClassVar[str] = "strand_sequence"
    strand_symmetric = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        problem: Problem = "single_label",
        num_outputs: int,
        pooling: Pooling = "mean",
        pooler: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
    ) -> None:
        if not (isinstance(backbone, Caduceus) and backbone.two_strands):
            raise ConfigError(
                "head=both_strands takes the mean over the two strands that a backbone carries; this "
                f"{type(backbone).__name__} carries one. Give head=classification, with data.strands=average "
                "for the mean of its predictions, or a Caduceus with symmetry=shared or conjoined."
            )
        super().__init__(
            cast(Backbone, _OneStrand(backbone.d_model // 2)),
            problem=problem,
            num_outputs=num_outputs,
            pooling=pooling,
            pooler=pooler,
            dropout=dropout,
            bias=bias,
        )

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        first, second = hidden.chunk(2, dim=-1)
        other = super().forward(turn(second), None if mask is None else mask.flip(1))
        return (super().forward(first, mask) + other) / 2


STRAND_HEADS: dict[str, type[Head]] = {
    head.head_type: head for head in (MaskedLanguageModelHead, StrandSequenceHead)
}
