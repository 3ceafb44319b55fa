"""How probable a causal language model finds each base of a sequence of any length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.inference.devices import explain_full_memory
from genoseq.inference.records import batches
from genoseq.models.base import SequenceModel
from genoseq.models.generation import require_language_model
from genoseq.models.likelihood import next_token_log_probs
from genoseq.sequence import encode_bases

_DEFAULT_WINDOW = 8192
_NATS_PER_BIT = float(np.log(2.0))


class Window(NamedTuple):
    """A stretch the model reads at once, [start, end), of which [scored, end) is scored."""

    start: int
    scored: int
    end: int


def plan_windows(num_bases: int, window: int, stride: int, *, first: int = 1) -> Iterator[Window]:
    """Windows that score each base from `first` on exactly once.

    The last window is moved back to end with the sequence, so that it too is full. Every base scored after
    the first window has at least `window - stride` bases of context; those in it have all there are.

    Raises:
        ConfigError: unless 1 <= stride < window.
    """
    if not 1 <= stride < window:
        raise ConfigError(f"window={window}, stride={stride}: give a stride from 1 to window - 1.")
    scored = first
    while scored < num_bases:
        end = min(max(window, scored + stride), num_bases)
        yield Window(max(0, end - window), scored, end)
        scored = end


def base_log_probabilities(
    model: SequenceModel,
    sequence: str | np.ndarray,
    *,
    window: int | None = None,
    stride: int | None = None,
    batch_size: int = 8,
) -> np.ndarray:
    """Natural log-probability of each base given those before it, for a sequence of any length.

    `SequenceModel.log_prob`, in overlapping windows: over the tokenizer's vocabulary, in which a padded
    vocabulary has no share.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        sequence: letters, or base codes (N,) uint8.
        window: bases the model reads at once; by default as many as it takes, at most 8,192.
        stride: bases by which windows follow each other; by default half a window.
        batch_size: windows at a time.

    Returns:
        (N,) float32. NaN at N, and at the first base unless the tokenizer puts a token before it.

    Raises:
        ConfigError: the model is no causal language model, or window and stride do not fit each other or it.
        SequenceError: the sequence is empty or no nucleotides.
        DeviceError: a batch does not fit in memory.
    """
    tokenizer = require_language_model(model, "scoring bases")
    codes = encode_bases(sequence) if isinstance(sequence, str) else sequence
    if len(codes) == 0:
        raise SequenceError("the sequence is empty: there is no base to score.")
    letters = torch.from_numpy(tokenizer.encode_codes(codes))
    prefix = torch.from_numpy(tokenizer.prefix_ids)
    window = _window(model, window, len(prefix))
    stride = window // 2 if stride is None else stride
    scores = np.full(len(codes), np.nan, dtype=np.float32)
    windows = plan_windows(len(codes), window, stride, first=0 if len(prefix) else 1)
    for group in batches(windows, batch_size):
        tokens = torch.stack([torch.cat([prefix, letters[part.start : part.end]]) for part in group])
        for part, row in zip(group, _own_log_probs(model, tokens), strict=True):
            scores[part.scored : part.end] = row[len(row) - (part.end - part.scored) :]
    scores[codes >= len(tokenizer.base_ids)] = np.nan
    return scores


def bits(log_probabilities: np.ndarray) -> np.ndarray:
    """Bits of each base from its natural log-probability: 2 is a guess among four."""
    return -log_probabilities / _NATS_PER_BIT


def _own_log_probs(model: SequenceModel, tokens: torch.Tensor) -> np.ndarray:
    """Log-probabilities (B, L - 1) float32 of the tokens (B, L) after the first."""
    tokens = tokens.to(model.device)
    with explain_full_memory(len(tokens)):
        expected = next_token_log_probs(model, tokens)
    return expected.gather(2, tokens[:, 1:, None]).squeeze(2).cpu().numpy()


def _window(model: SequenceModel, window: int | None, prefix: int) -> int:
    """The window asked for, or the default, checked against what the model takes beside the prefix."""
    longest = None if model.backbone.l_max is None else model.backbone.l_max - prefix
    if window is None:
        return min(longest or _DEFAULT_WINDOW, _DEFAULT_WINDOW)
    if longest is not None and window > longest:
        raise ConfigError(f"window={window}: this model takes at most {longest:,} bases at once.")
    return window
