"""What a masked language model finds in the place of tokens that are hidden from it."""

from __future__ import annotations

import torch

from genoseq.errors import ConfigError
from genoseq.models.base import SequenceModel
from genoseq.models.modes import evaluating
from genoseq.tokenizers import Tokenizer


def hidden_log_probs(
    model: SequenceModel, tokens: torch.Tensor, hidden: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """Natural log-probabilities of what may stand where tokens are hidden, given all others.

    Args:
        model: a masked language model with a tokenizer.
        tokens: (B, L) integers, on any device.
        hidden: (B, L) bool, on the device of the tokens.
        mask: (B, L) bool, False at padding; None where there is none.

    Returns:
        (H, V) float32 on the model's device, a row a hidden token, row by row of the batch, over the
        tokenizer's vocabulary.
    """
    tokenizer = model.tokenizer
    assert tokenizer is not None
    shown = torch.where(hidden, hidden_tokens(tokenizer, tokens), tokens).to(model.device)
    with evaluating(model):
        logits = model(shown, None if mask is None else mask.to(model.device)).logits
    return logits[hidden.to(model.device)][:, : tokenizer.vocab_size].float().log_softmax(dim=-1)


def hidden_tokens(tokenizer: Tokenizer, ids: torch.Tensor) -> torch.Tensor:
    """The token that hides each, of their shape and on their device."""
    return torch.from_numpy(tokenizer.hidden_ids).to(ids.device)[ids]


def require_separate(tokenizer: Tokenizer, remedy: str) -> None:
    """Refuse tokens whose neighbours tell what is hidden.

    Raises:
        ConfigError: they overlap; `remedy` says what to do instead.
    """
    if tokenizer.overlapping:
        raise ConfigError(
            f"the tokens of {tokenizer!r} overlap, so that neighbours tell what is hidden: no "
            f"pseudo-likelihood. {remedy}"
        )
