"""Sequences as a model is given them: once, or twice in a row for an echo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from genoseq.sequence import StrandPolicy
from genoseq.tokenizers.base import Tokenizer


class Passes(NamedTuple):
    """One sequence.

    Attributes:
        input_ids: (L,) int64, special tokens included.
        second_pass: (L,) bool, where the second pass is; None where the sequence is given once.
    """

    input_ids: np.ndarray
    second_pass: np.ndarray | None


class PassBatch(NamedTuple):
    """Sequences of one length.

    Attributes:
        input_ids: (B, L) int64.
        attention_mask: (B, L) bool, False at padding.
        second_pass: (B, L) bool, where the second pass is; None where sequences are given once.
        letters: (B, L) bool, letters of the second pass, or of the only one: no special tokens, no padding.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    second_pass: torch.Tensor | None
    letters: torch.Tensor


def encode_passes(tokenizer: Tokenizer, ids: np.ndarray, policy: StrandPolicy) -> Passes:
    """Frame one sequence, and give it twice where the policy says so.

    The special tokens stand once, around both passes: between them there is nothing, so that a model reads on
    as it would in a repeat (for `echo`: an inverted repeat) of the genome. Those at the end have seen both
    passes and belong to the second; those at the beginning have seen nothing and do not.

    Args:
        tokenizer: what made the ids; it knows the other strand.
        ids: (L,) int64, of letters, without special tokens.
        policy: whether there is a second pass, and of which strand.
    """
    if policy.second_pass is None:
        return Passes(np.concatenate((tokenizer.prefix_ids, ids, tokenizer.suffix_ids)), None)
    again = ids if policy.second_pass == "same" else tokenizer.reverse_complement(ids)
    twice = np.concatenate((tokenizer.prefix_ids, ids, again, tokenizer.suffix_ids))
    return Passes(twice, np.arange(len(twice)) >= len(tokenizer.prefix_ids) + len(ids))


def pad_passes(tokenizer: Tokenizer, sequences: Sequence[Passes]) -> PassBatch:
    """One batch, filled up to the longest; sequences are all given once, or all twice."""
    input_ids, attention_mask = tokenizer.pad([one.input_ids for one in sequences])
    letters = tokenizer.is_letter(input_ids)
    flags = [one.second_pass for one in sequences if one.second_pass is not None]
    if not flags:
        return PassBatch(input_ids, attention_mask, None, letters)
    assert len(flags) == len(sequences), "either every sequence has a second pass or none has"
    second_pass = torch.zeros_like(attention_mask)
    second_pass[attention_mask] = torch.from_numpy(np.concatenate(flags))
    return PassBatch(input_ids, attention_mask, second_pass, letters & second_pass)
