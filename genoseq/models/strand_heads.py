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
from genoseq.models.heads import FIRST_STD, Head, Pooling, SequenceHead
from genoseq.nn.losses import IGNORED, Problem, problem_loss
from genoseq.nn.strands import turn


class MaskedLanguageModelHead(Head):
    """Logits (B, L, V) of each token, from everything around it.

    On a backbone of two strands, what the other strand says of the complement is added.

    Args:
        backbone: what it stands on.
        tied: share the weight of the backbone's embedding.
    """

    head_type: ClassVar[str] = "masked_language_model"
    complement: torch.Tensor | None

    def __init__(self, backbone: Backbone, *, tied: bool = True) -> None:
        super().__init__()
        self.arguments = {"tied": tied}
        self.tied = tied
        table = backbone.input_embedding.weight
        if tied:
            self.weight = table
        else:
            self.weight = nn.Parameter(torch.empty_like(table))
            self.reset_parameters()
        complement = None
        if isinstance(backbone, Caduceus) and backbone.two_strands:
            complement = backbone.complement
        self.strand_symmetric = complement is not None
        self.register_buffer("complement", complement, persistent=False)

    def reset_parameters(self) -> None:
        if not self.tied:
            nn.init.normal_(self.weight, std=FIRST_STD)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self.complement is None:
            return F.linear(hidden, self.weight)
        first, second = hidden.chunk(2, dim=-1)
        other = F.linear(turn(second), self.weight).flip(1)
        return F.linear(first, self.weight) + other[..., self.complement]

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


@dataclass
class _OneStrand:
    """What a head asks of a backbone, for half of its channels."""

    d_model: int


class StrandSequenceHead(SequenceHead):
    """One prediction a sequence: either strand is pooled and scored, and the mean taken.

    Args:
        backbone: what it stands on.
        problem, num_outputs, pooling, dropout, bias: see `SequenceHead`.

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
