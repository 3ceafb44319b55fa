"""Heads: hidden states in, predictions and their loss out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.models.backbone import Backbone
from genoseq.nn.losses import (
    Problem,
    next_token_loss,
    problem_loss,
    require_problem,
    tiled_next_token_loss,
)
from genoseq.nn.tiling import require_tile

PlainPooling = Literal["mean", "max", "first", "last"]
Pooling = Literal[PlainPooling, "attention"]

_LOSS_TILE = 65536
FIRST_STD = 0.02


class Head(nn.Module, ABC):
    """What turns the hidden states of a backbone into predictions.

    Attributes:
        head_type: the name that a model folder carries.
        arguments: what the constructor was given beside the backbone, as JSON can hold it.
        strand_symmetric: on this backbone, predictions for the reverse complement are those for the sequence,
            each with its base.
    """

    head_type: ClassVar[str]
    arguments: dict[str, Any]
    strand_symmetric: bool = False

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw all first values again; a weight that is tied is the backbone's own."""

    @abstractmethod
    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Predictions from hidden states (B, L, D); the mask (B, L) bool is False at padding."""

    @abstractmethod
    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Mean loss () of predictions."""

    def hidden_loss(
        self,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """`loss` of the predictions from hidden states (B, L, D), where nobody wants the predictions."""
        return self.loss(self(hidden, mask), labels, mask=mask, segment_ids=segment_ids)


class LanguageModelHead(Head):
    """Logits (B, L, V) of the next token of a causal backbone.

    Args:
        backbone: what it stands on.
        tied: share the weight of the backbone's embedding, as the original release does.
        loss_tile: positions whose logits are held at once where the loss alone is wanted; None for all. The
            loss is the same up to rounding.

    Raises:
        ConfigError: a tile of no position.
    """

    head_type: ClassVar[str] = "language_model"

    def __init__(self, backbone: Backbone, *, tied: bool = True, loss_tile: int | None = _LOSS_TILE) -> None:
        super().__init__()
        require_tile("loss_tile", loss_tile)
        self.arguments = {"tied": tied, "loss_tile": loss_tile}
        self.tied = tied
        self.loss_tile = loss_tile
        if tied:
            self.weight = backbone.input_embedding.weight
        else:
            self.weight = nn.Parameter(torch.empty(backbone.vocab_size, backbone.d_model))
            self.reset_parameters()

    def reset_parameters(self) -> None:
        if not self.tied:
            nn.init.normal_(self.weight, std=FIRST_STD)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return nn.functional.linear(hidden, self.weight)

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Next-token cross-entropy in nats; labels (B, L) are the tokens themselves, -100 where none
        counts."""
        return next_token_loss(logits, labels, mask, segment_ids)

    def hidden_loss(
        self,
        hidden: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if self.loss_tile is None or hidden.shape[1] <= self.loss_tile:
            return super().hidden_loss(hidden, labels, mask=mask, segment_ids=segment_ids)
        return tiled_next_token_loss(hidden, self.weight, labels, mask, segment_ids, tile=self.loss_tile)


class SequenceHead(Head):
    """One prediction a sequence: logits or values (B, num_outputs).

    Args:
        backbone: what it stands on.
        problem: `single_label`, `multi_label` or `regression`.
        num_outputs: classes, labels or values.
        pooling: of the hidden states over the real positions: `mean`, `last`, `first`, `max`, or `attention`
            with one learned query.
        pooler: a linear layer and tanh behind the pooling, as BERT has.
        dropout: of the pooled state.
        bias: of the linear layer that gives the outputs.

    Raises:
        ConfigError: an unknown problem or pooling, or no output.
    """

    head_type: ClassVar[str] = "sequence"

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
        super().__init__()
        _check_outputs(problem, num_outputs)
        require_choice("pooling", pooling, get_args(Pooling))
        self.arguments = {
            "problem": problem,
            "num_outputs": num_outputs,
            "pooling": pooling,
            "pooler": pooler,
            "dropout": dropout,
            "bias": bias,
        }
        self.problem = problem
        self.num_outputs = num_outputs
        self.pooling: Pooling = pooling
        self.dropout = nn.Dropout(dropout)
        self.score = _linear(backbone.d_model, num_outputs, bias=bias)
        self.query = _linear(backbone.d_model, 1, bias=False) if pooling == "attention" else None
        self.pooler = _linear(backbone.d_model, backbone.d_model, bias=True) if pooler else None

    def reset_parameters(self) -> None:
        for layer in (self.score, self.query, self.pooler):
            if layer is not None:
                draw_first(layer)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        if self.pooling != "attention":
            pooled = pool(hidden, mask, self.pooling)
        else:
            assert self.query is not None
            weights = self.query(hidden)
            if mask is not None:
                weights = weights.masked_fill(~mask.unsqueeze(-1), -torch.inf)
            pooled = (torch.softmax(weights, dim=1) * hidden).sum(1)
        if self.pooler is not None:
            pooled = torch.tanh(self.pooler(pooled))
        return self.score(self.dropout(pooled))

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `problem_loss`."""
        return problem_loss(self.problem, logits, labels)


class TokenHead(Head):
    """One prediction a token: logits or values (B, L, num_outputs).

    Args:
        backbone: what it stands on.
        problem: `single_label`, `multi_label` or `regression`.
        num_outputs: classes, labels or values.
        dropout: of the hidden states.

    Raises:
        ConfigError: an unknown problem, or no output.
    """

    head_type: ClassVar[str] = "token"

    def __init__(
        self,
        backbone: Backbone,
        *,
        problem: Problem = "single_label",
        num_outputs: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check_outputs(problem, num_outputs)
        self.arguments = {"problem": problem, "num_outputs": num_outputs, "dropout": dropout}
        self.problem = problem
        self.num_outputs = num_outputs
        self.dropout = nn.Dropout(dropout)
        self.score = _linear(backbone.d_model, num_outputs, bias=True)

    def reset_parameters(self) -> None:
        draw_first(self.score)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return self.score(self.dropout(hidden))

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """See `problem_loss`; padding does not count."""
        if mask is not None:
            logits, labels = logits[mask], labels[mask]
        return problem_loss(self.problem, logits, labels)


HEADS: dict[str, type[Head]] = {head.head_type: head for head in (LanguageModelHead, SequenceHead, TokenHead)}


def pool(hidden: torch.Tensor, mask: torch.Tensor | None, pooling: PlainPooling) -> torch.Tensor:
    """Pool hidden states (B, L, D) over the positions (B, L) that the mask leaves, to (B, D).

    Args:
        hidden: (B, L, D).
        mask: (B, L) bool with at least one position left in each row; None leaves all.
        pooling: `mean`, `max`, `first` or `last`.
    """
    if mask is None:
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
    if pooling == "mean":
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        return (hidden * weights).sum(1) / weights.sum(1)
    if pooling == "max":
        return hidden.masked_fill(~mask.unsqueeze(-1), -torch.inf).amax(1)
    index = torch.arange(hidden.shape[1], device=hidden.device)
    if pooling == "last":
        chosen = torch.where(mask, index, -1).amax(1)
    else:
        assert pooling == "first", pooling
        chosen = torch.where(mask, index, hidden.shape[1]).amin(1)
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), chosen]


def draw_first(layer: nn.Linear) -> None:
    """First values of a head's layer."""
    nn.init.normal_(layer.weight, std=FIRST_STD)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _linear(width: int, outputs: int, *, bias: bool) -> nn.Linear:
    layer = nn.Linear(width, outputs, bias=bias)
    draw_first(layer)
    return layer


def _check_outputs(problem: str, num_outputs: int) -> None:
    require_problem(problem)
    least = 2 if problem == "single_label" else 1
    if num_outputs < least:
        raise ConfigError(f"num_outputs={num_outputs}: a {problem} head has {least} or more.")
