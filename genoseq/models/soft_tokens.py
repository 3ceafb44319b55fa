"""Tokens that are partly several bases: what gradients with respect to a sequence need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from genoseq.errors import ConfigError
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

_Function = Callable[..., Any]


@contextmanager
def soft_tokens(
    model: SequenceModel,
    tokenizer: Tokenizer,
    input_ids: torch.Tensor,
    letters: torch.Tensor,
    soft: torch.Tensor,
) -> Iterator[None]:
    """While inside, the embedding of these very tokens is that of mixtures of bases.

    The model is called with `input_ids` as ever; where it looks them up, it finds mixtures of the embeddings
    of A, C, G and T instead, through which gradients flow. It does not have to know: every backbone can.

    Args:
        model: its backbone embeds the tokens once, or once a strand.
        tokenizer: of single nucleotides.
        input_ids: (B, T) integers, what the model will be called with.
        letters: (B, T) bool, L of each row: where the mixtures stand.
        soft: (B, L, 4) shares of A, C, G and T.

    Raises:
        ConfigError: the model never looked these tokens up.
    """
    weight = model.backbone.input_embedding.weight
    bases = torch.from_numpy(tokenizer.base_ids).to(weight.device)
    turned = tokenizer.reverse_complement(input_ids)
    # As they stand, and for models that embed both strands: turned whole, and each complemented in its place.
    readings = [
        (input_ids, letters, soft),
        (turned, letters.flip(1), soft.flip(1, 2)),
        (turned.flip(1), letters, soft.flip(2)),
    ]
    lookup = _Lookup(weight, bases, readings)
    with lookup:
        yield
    if not lookup.used:
        raise ConfigError(
            f"{type(model.backbone).__name__} does not look tokens up in its embedding one by one: gradients "
            "do not reach its sequence. Take another model, or another method."
        )


class _Lookup(TorchFunctionMode):
    """Looks mixtures up where the model asks its embedding for known tokens."""

    def __init__(
        self,
        weight: torch.Tensor,
        bases: torch.Tensor,
        readings: Sequence[tuple[torch.Tensor, torch.Tensor, torch.Tensor]],
    ) -> None:
        super().__init__()
        self.used = False
        self._weight, self._bases, self._readings = weight, bases, readings

    def __torch_function__(
        self,
        func: _Function,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Every function of torch comes by here; only lookups of these tokens are changed."""
        found = func(*args, **(kwargs or {}))
        if func is not F.embedding or args[1] is not self._weight:
            return found
        for ids, letters, soft in self._readings:
            if torch.equal(args[0], ids):
                self.used = True
                mixed = (soft @ self._weight[self._bases].to(soft.dtype)).to(found.dtype)
                return found.masked_scatter(letters.unsqueeze(-1), mixed)
        return found
