"""Models that read shares of tokens in place of tokens, so that there is a gradient by letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from genoseq.errors import ConfigError
from genoseq.models.backbone import Backbone
from genoseq.models.base import ModelOutput, SequenceModel
from genoseq.models.caduceus import Caduceus
from genoseq.models.ensemble import Ensemble
from genoseq.models.lifecode import LifeCode
from genoseq.models.modes import evaluating
from genoseq.tokenizers import Tokenizer


def one_hot_tokens(model: SequenceModel, ids: torch.Tensor) -> torch.Tensor:
    """(B, T, V) in the dtype of the embedding: all of each token (B, T)."""
    table = model.backbone.input_embedding.weight
    return F.one_hot(ids.to(table.device), len(table)).to(table.dtype)


def shares_of_bases(
    model: SequenceModel, tokenizer: Tokenizer, ids: torch.Tensor, letters: torch.Tensor, bases: torch.Tensor
) -> torch.Tensor:
    """Shares of A, C, G and T as shares of tokens, (B, T, V); what is no letter stays all of its token.

    Args:
        model: whose embedding has V rows.
        tokenizer: of single nucleotides.
        ids: (B, T) integers.
        letters: (B, T) bool, L of each row: where the bases stand.
        bases: (B, L, 4) shares of A, C, G and T, through which gradients flow.

    Raises:
        ConfigError: the letters are read in tokens of several bases.
        SequenceError: the tokenizer has none of single ones.
    """
    whole = one_hot_tokens(model, ids).to(bases.dtype)
    columns = one_hot_tokens(model, torch.from_numpy(tokenizer.base_ids)).to(bases.dtype)
    if int(letters.sum()) != bases.shape[0] * bases.shape[1]:
        raise ConfigError(
            f"this model reads {bases.shape[1]} bases in {int(letters[0].sum())} tokens: there is no "
            "gradient by base. Use a model of single bases, or method=evolution or sampling."
        )
    return whole.masked_scatter(letters.unsqueeze(-1), bases @ columns)


def read_shares(
    model: SequenceModel, shares: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor | None = None
) -> ModelOutput:
    """What a model gives where each place holds a mixture of tokens.

    The model is called with `ids` as ever; wherever it looks them up in its embedding, it finds mixtures of
    rows instead. It does not have to know: every backbone can that looks tokens up one by one.

    Args:
        model: any; of an ensemble, each member reads the mixtures.
        shares: (B, T, V) floats, for each place the weight of every row of the embedding.
        ids: (B, T) the tokens themselves.
        mask: (B, T) bool, False at padding.

    Raises:
        ConfigError: the model reads its tokens in other ways too, or not as they were given: the mixtures
            would not be all that it sees.
    """
    mixtures = _Mixtures(model, shares, ids.to(shares.device))
    with evaluating(model):
        with mixtures:
            output = model(ids.to(shares.device), mask)
        mixtures.require_read()
    return output


class _Lookup(NamedTuple):
    """Tokens (B, T) that a backbone asks its embedding for, and the shares (B, T, V) that it finds."""

    ids: torch.Tensor
    shares: torch.Tensor


def _lookups(backbone: Backbone, ids: torch.Tensor, shares: torch.Tensor) -> Iterator[_Lookup]:
    """All of a forward pass, in order: the ids of a reverse palindrome do not tell its strands apart."""
    here = _Lookup(ids, shares)
    if not (isinstance(backbone, Caduceus) and backbone.two_strands):
        return iter([here])
    turned = _Lookup(backbone.complement[ids.flip(1)], shares.flip(1)[..., backbone.complement])
    return iter([turned, here] if backbone.symmetry == "shared" else [here, turned])


class _Mixtures(TorchFunctionMode):
    """What is looked up in the embedding of a model is a mixture.

    Of all functions of torch, which come by here, only these lookups are changed: some backbones never call
    their embedding layer.
    """

    def __init__(self, model: SequenceModel, shares: torch.Tensor, ids: torch.Tensor) -> None:
        super().__init__()
        members = cast(Sequence[SequenceModel], model.members) if isinstance(model, Ensemble) else [model]
        self._backbones = [_readable(member.backbone, shares.shape[-1]) for member in members]
        self._left = [_lookups(backbone, ids, shares) for backbone in self._backbones]

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.embedding:
            tokens, table = (*args, *(kwargs[name] for name in ("input", "weight")[len(args) :]))[:2]
            for backbone, left in zip(self._backbones, self._left, strict=True):
                if table is backbone.input_embedding.weight:
                    return _mixed(backbone, tokens, next(left, None))
        return func(*args, **kwargs)

    def require_read(self) -> None:
        """Raises: ConfigError: a backbone did not look everything up."""
        for backbone, left in zip(self._backbones, self._left, strict=True):
            if next(left, None) is not None:
                raise _unread(backbone, "it does not look its tokens up in its embedding")


def _mixed(backbone: Backbone, tokens: torch.Tensor, expected: _Lookup | None) -> torch.Tensor:
    """(B, T, D) in the dtype of the embedding."""
    if expected is None or not torch.equal(tokens, expected.ids):
        raise _unread(backbone, "it looks up other tokens than those of the sequence, once a strand")
    table = backbone.input_embedding.weight
    return (expected.shares @ table.to(expected.shares.dtype)).to(table.dtype)


def _readable(backbone: Backbone, rows: int) -> Backbone:
    """The backbone.

    Raises:
        ConfigError: it cannot read shares of so many tokens.
    """
    if isinstance(backbone, LifeCode):
        raise _unread(backbone, "it also reads whole codons")
    if len(backbone.input_embedding.weight) != rows:
        raise _unread(backbone, f"its embedding has other rows than the {rows} of the first of the ensemble")
    return backbone


def _unread(backbone: Backbone, why: str) -> ConfigError:
    return ConfigError(
        f"gradients do not reach all that {type(backbone).__name__} reads here: {why}. Attribute with "
        "method=mutagenesis, design with method=evolution or sampling, or take another model."
    )
