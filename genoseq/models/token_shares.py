"""Models that read shares of tokens in place of tokens, so that there is a gradient by letters."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.modes import evaluating


def one_hot_tokens(model: SequenceModel, ids: torch.Tensor) -> torch.Tensor:
    """(B, L, V) in the dtype of the embedding: all of each token (B, L)."""
    table = model.backbone.input_embedding.weight
    return F.one_hot(ids.to(table.device), len(table)).to(table.dtype)


def read_shares(
    model: SequenceModel, shares: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor | None = None
) -> ModelOutput:
    """What a model gives where each place holds a mixture of tokens.

    Args:
        model: any.
        shares: (B, L, V), for each place the weight of every row of the embedding; V as the table has it.
        ids: (B, L) the tokens themselves, for what a model does by token beside its embedding.
        mask: (B, L) bool, False at padding.
    """
    mixture = _Mixture(model.backbone.input_embedding.weight, _lookups(model, shares))
    with evaluating(model), mixture:
        return model(ids.to(shares.device), mask)


def _lookups(model: SequenceModel, shares: torch.Tensor) -> list[torch.Tensor]:
    """What takes the place of the tokens, each time that a forward pass looks them up in the embedding."""
    backbone = model.backbone
    if not (isinstance(backbone, Caduceus) and backbone.two_strands):
        return [shares]
    turned = shares.flip(1)[..., backbone.complement]
    return [turned, shares] if backbone.symmetry == "shared" else [shares, turned]


class _Mixture(TorchFunctionMode):
    """Whatever is looked up in one table is a mixture: some backbones never call their embedding layer."""

    def __init__(self, table: torch.Tensor, shares: list[torch.Tensor]) -> None:
        super().__init__()
        self._table = table
        self._shares = iter(shares)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.embedding and (args[1] if len(args) > 1 else kwargs["weight"]) is self._table:
            return next(self._shares) @ self._table
        return func(*args, **kwargs)
