"""A head that gives a vector of length 1 for a sequence: what is alike lies close together."""

from __future__ import annotations

from typing import ClassVar, NoReturn, get_args

import torch
import torch.nn.functional as F
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.models.backbone import Backbone
from genoseq.models.heads import Head, PlainPooling, draw_first, pool


class EmbeddingHead(Head):
    """Vectors (B, width) of length 1, in which products are cosine similarities.

    Args:
        backbone: what it stands on.
        width: numbers of a vector.
        pooling: of the hidden states over the real positions: `mean`, `max`, `first` or `last`.

    Raises:
        ConfigError: an unknown pooling, or a width below 1.
    """

    head_type: ClassVar[str] = "embedding"

    def __init__(self, backbone: Backbone, *, width: int = 128, pooling: PlainPooling = "mean") -> None:
        super().__init__()
        require_choice("pooling", pooling, get_args(PlainPooling))
        if width < 1:
            raise ConfigError(f"width={width}: a vector has 1 number or more.")
        self.arguments = {"width": width, "pooling": pooling}
        self.width = width
        self.pooling: PlainPooling = pooling
        self.project = nn.Linear(backbone.d_model, width, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        draw_first(self.project)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        return F.normalize(self.project(pool(hidden, mask, self.pooling)), dim=-1)

    def loss(
        self,
        logits: torch.Tensor,
        labels: torch.Tensor,
        *,
        mask: torch.Tensor | None = None,
        segment_ids: torch.Tensor | None = None,
    ) -> NoReturn:
        """There is none of one sequence alone.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("head=embedding learns from pairs: give task=contrastive and data=reads.")
