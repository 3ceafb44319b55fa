"""How much more, or less, likely a language model finds a sequence with one base changed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from genoseq.data.substitutions import Substitution
from genoseq.errors import ConfigError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.hidden import hidden_log_probs
from genoseq.inference.records import require_tokenizer
from genoseq.models.base import SequenceModel
from genoseq.models.chunks import batches
from genoseq.models.likelihood import log_likelihoods
from genoseq.models.strand_heads import MaskedLanguageModelHead
from genoseq.sequence import CODON
from genoseq.tokenizers import CodingTokenizer, Tokenizer


def change_scores(
    model: SequenceModel, changes: Sequence[Substitution], *, batch_size: int = 16
) -> np.ndarray:
    """Log-likelihood of the changed sequence minus that of the sequence as it is, in nats.

    For a causal language model the likelihood is of the whole sequence. For a masked one it is that of the
    tokens that the change touches, all of them hidden, given the rest ("masked marginals").

    Args:
        model: a causal or masked language model with any tokenizer; one of codons is told that they begin
            with the first base.
        changes: of coding sequences.
        batch_size: changes at a time.

    Returns:
        (N,) float64.

    Raises:
        ConfigError: the model is neither, or masked and of a tokenizer that gives the changed sequence
            another number of tokens.
        DeviceError: a batch does not fit in memory.

    Source: Meier et al. 2021, "Language models enable zero-shot prediction of the effects of mutations on
    protein function", for masked marginals.
    """
    masked = isinstance(model.head, MaskedLanguageModelHead)
    if not masked and model.head.head_type != "language_model":
        raise ConfigError(
            f"a change of likelihood needs a language model; this is a {type(model.head).__name__} on "
            f"{type(model.backbone).__name__}."
        )
    of_batch = _of_masked if masked else _of_causal
    scores: list[np.ndarray] = []
    for batch in batches(changes, batch_size):
        with explain_full_memory(batch_size):
            scores.append(of_batch(model, batch))
    return np.concatenate(scores) if scores else np.empty(0)


def _of_causal(model: SequenceModel, changes: Sequence[Substitution]) -> np.ndarray:
    before = _log_likelihoods(model, [change.sequence for change in changes])
    return _log_likelihoods(model, [change.changed for change in changes]) - before


def _log_likelihoods(model: SequenceModel, sequences: Sequence[str]) -> np.ndarray:
    tokenizer = require_tokenizer(model)
    tokens = tokenizer.pad([encode_coding(tokenizer, sequence) for sequence in sequences])
    mask = None if tokens.attention_mask.all() else tokens.attention_mask
    # What ends a sequence is not told of a part of a gene, and is not counted.
    return log_likelihoods(model, tokens.input_ids, mask)


@torch.inference_mode()
def _of_masked(model: SequenceModel, changes: Sequence[Substitution]) -> np.ndarray:
    tokenizer = require_tokenizer(model)
    old = [encode_coding(tokenizer, change.sequence) for change in changes]
    new = [encode_coding(tokenizer, change.changed) for change in changes]
    for change, first, second in zip(changes, old, new, strict=True):
        if len(first) != len(second):
            raise ConfigError(
                f"{tokenizer!r} gives {len(first)} tokens for a sequence and {len(second)} with base "
                f"{change.position} changed: hidden tokens cannot stand for either. Use a tokenizer of "
                "bases, codons or k-mers."
            )
    ids, others = (tokenizer.pad(rows) for rows in (old, new))
    touched = ids.input_ids != others.input_ids
    mask = None if ids.attention_mask.all() else ids.attention_mask
    log_probs = hidden_log_probs(model, ids.input_ids, touched, mask).double().cpu()
    gained, lost = (log_probs.gather(1, rows.input_ids[touched, None])[:, 0] for rows in (others, ids))
    gains = torch.zeros(touched.shape, dtype=torch.float64).masked_scatter(touched, gained - lost)
    return gains.sum(1).numpy()


def encode_coding(tokenizer: Tokenizer, sequence: str) -> np.ndarray:
    """Token ids, (L,) int64, special ones among them, of a coding sequence that begins with a codon."""
    if isinstance(tokenizer, CodingTokenizer):
        return tokenizer.encode(sequence, coding=[(0, len(sequence) // CODON * CODON)])
    return tokenizer.encode(sequence)
