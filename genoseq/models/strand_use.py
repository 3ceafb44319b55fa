"""What becomes of the two strands where a model predicts, and whether the model is for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.heads import SequenceHead, TokenHead
from genoseq.sequence import StrandPolicy, Strands, strand_policy
from genoseq.tokenizers import CharacterTokenizer, Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel


def policy_of(model: SequenceModel, strands: Strands | None = None) -> StrandPolicy:
    """The policy that a model predicts with.

    Args:
        model: its `preprocessing` tells the policy that it was trained with, and the strand of its labels.
        strands: another policy; None for that one, which is "none" where nothing is told.

    Raises:
        ConfigError: there is no such policy, or it does not go with the model's head, labels or tokenizer.
    """
    policy = strand_policy(model.preprocessing.get("strands", "none") if strands is None else strands)
    policy.require_labels(model.preprocessing.get("strand", "unstranded"))
    labelled = isinstance(model.head, SequenceHead | TokenHead)
    head = type(model.head).__name__
    if (policy.averages or policy.passes > 1) and not labelled:
        raise ConfigError(
            f"strands={policy.name} is for predictions of labels, and {head} makes none: give strands=none."
        )
    if policy.symmetric and not model.head.strand_symmetric:
        raise ConfigError(
            f"strands={policy.name} is for models that are blind to strand by themselves, which {head} on "
            f"{type(model.backbone).__name__} is not. Give strands=augment, or a Caduceus with "
            "symmetry=shared or conjoined under head=both_strands or head=masked_language_model."
        )
    tokenizer = model.tokenizer
    turns_tokens = policy.averages or policy.second_pass == "other"
    if turns_tokens and tokenizer is not None and not tokenizer.turns_in_place:
        raise ConfigError(
            f"strands={policy.name} turns tokens, and on the other strand {tokenizer!r} has other words and "
            "another number of them. Give strands=augment, which turns letters, or none."
        )
    framed = tokenizer if labelled else None
    if policy.symmetric and framed is not None and not framed.ends_alike:
        raise ConfigError(
            f"strands={policy.name} wants sequences without a mark of their direction, and {framed} has "
            "other special tokens before them than behind. Give data.tokenizer.special_tokens=none."
        )
    if policy.symmetric and tokenizer is not None:
        _require_same_complements(model, tokenizer)
    return policy


def _require_same_complements(model: SequenceModel, tokenizer: Tokenizer) -> None:
    own = model.backbone.arguments.get("complement_map")
    known = _complements(CharacterTokenizer()) if own is None else np.array(own)
    wanted = _complements(tokenizer) if tokenizer.turns_in_place else np.empty(0)
    shared = min(len(known), len(wanted))
    rest = np.arange(shared, len(wanted))
    if not len(wanted) or (known[:shared] != wanted[:shared]).any() or (wanted[shared:] != rest).any():
        raise ConfigError(
            f"for strands=equivariant the model has to know the other strand of each token of {tokenizer!r}: "
            "give its table as model.complement_map (the default is that of single bases; words of BPE have "
            "none), or strands=augment."
        )


def _complements(tokenizer: Tokenizer) -> np.ndarray:
    """(V,) the token that stands on the other strand for each."""
    return tokenizer.reverse_complement(np.arange(tokenizer.vocab_size)[:, None])[:, 0]


def require_room_for_two(
    model: SequenceModel, input_ids: torch.Tensor, mask: torch.Tensor | None = None
) -> None:
    """Check that a model takes rows (B, L), padding aside, that hold their sequence twice.

    Raises:
        SequenceError: one is longer than `l_max`.
    """
    longest, room = input_ids.shape[1], model.backbone.l_max
    if room is None or longest <= room:
        return
    longest = longest if mask is None else int(mask.sum(1).max())
    if longest > room:
        raise SequenceError(
            f"a sequence that is given twice has {longest:,} tokens, and this model's l_max={room:,}: cut "
            "it, give it once (strands=none or average), or take a model with a larger l_max."
        )
