"""How likely a causal language model finds each base of a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from genoseq.models.backbone import StreamingBackbone
from genoseq.models.chunks import (
    Reading,
    batches,
    encode_part,
    first_state,
    plan_reading,
    require_bases,
    window_tokens,
)
from genoseq.models.generation import require_language_model
from genoseq.models.modes import evaluating
from genoseq.sequence import Letters
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

_LETTERS = "ACGT"


class _Part(NamedTuple):
    """Attributes:
    start: number of the first base.
    letters: (L,) their tokens.
    expected: (L, V) log-probabilities of what could have stood there.
    """

    start: int
    letters: np.ndarray
    expected: np.ndarray


def log_prob(model: SequenceModel, sequence: str) -> pd.DataFrame:
    """Natural log-probability of each base, given those before it.

    Probabilities are over the tokenizer's vocabulary, as in training; a padded vocabulary has no share in
    them. Divide by -ln 2 for bits.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        sequence: letters, not more than the model's l_max.

    Returns:
        A row a base: `position` (0-based), `base`, `log_prob` of that base (NaN for N), and `log_prob_A`,
        `_C`, `_G`, `_T` of each base that could have stood there. All NaN in the first row if nothing comes
        before it.

    Raises:
        ConfigError: the model is no causal language model.
        SequenceError: the sequence is empty, no nucleotides, or longer than the model takes.
    """
    tokenizer = require_language_model(model, "a log-probability")
    require_bases(sequence)
    letters = encode_part(tokenizer, sequence, 0, len(sequence))
    tokens = torch.from_numpy(np.concatenate([tokenizer.prefix_ids, letters])).unsqueeze(0)
    scores = next_token_log_probs(model, tokens)[0].cpu().numpy()
    return base_table(tokenizer, letters, _from_the_first(scores, tokenizer), 0)


def log_prob_chunks(
    model: SequenceModel,
    sequence: Letters,
    *,
    chunk_length: int = 65_536,
    context: int | None = None,
    batch_size: int = 8,
) -> Iterator[pd.DataFrame]:
    """The table of `log_prob` in pieces, for sequences that do not fit at once, such as a chromosome.

    Without `context` the model's state is carried from one chunk to the next, and the table is that of one
    pass. What is kept between the chunks is of fixed size for recurrent layers and bounded attention; Hyena
    and full attention keep all they have read. With `context` the sequence is read in windows that overlap,
    in fixed memory: an approximation, in which a base sees that many before it, or more, or all there are.

    Args:
        model: a causal language model with a tokenizer of single nucleotides.
        sequence: letters, a text or what reads them when they are asked for.
        chunk_length: bases at a time, 1 or more; where a state is carried no result depends on it.
        context: bases read again before each chunk; None to carry the state.
        batch_size: windows at a time; a state is carried one chunk at a time.

    Yields:
        Rows of `log_prob`, `chunk_length` of them or what is left; with `context` the first has more.

    Raises:
        ConfigError: the model is no causal language model; a setting is below 1, or does not go with the
            model: a `context` where the state is of fixed size, none where there is no state, or windows
            longer than `l_max`.
        SequenceError: the sequence is empty, no nucleotides, or longer than a state is carried.
    """
    tokenizer = require_language_model(model, "a log-probability")
    reading = plan_reading(model, chunk_length=chunk_length, context=context)
    assert reading is not None
    require_bases(sequence)
    if reading.context is None:
        parts = _carried(model, sequence, reading)
    else:
        parts = _in_windows(model, sequence, reading, batch_size)
    for part in parts:
        yield base_table(tokenizer, part.letters, part.expected, part.start)


def _carried(model: SequenceModel, sequence: Letters, reading: Reading) -> Iterator[_Part]:
    tokenizer, backbone = model.tokenizer, model.backbone
    assert tokenizer is not None
    assert isinstance(backbone, StreamingBackbone)
    state = first_state(model, backbone, len(sequence))
    expected = np.full((1, tokenizer.vocab_size), np.nan, dtype=np.float32)
    if len(tokenizer.prefix_ids):
        expected = _read_on(model, backbone, tokenizer.prefix_ids, state)[-1:]
    for chunk in reading.windows(len(sequence)):
        letters = encode_part(tokenizer, sequence, chunk.first, chunk.last)
        scores = np.concatenate([expected, _read_on(model, backbone, letters, state)])
        yield _Part(chunk.first, letters, scores[:-1])
        expected = scores[-1:]


def _in_windows(
    model: SequenceModel, sequence: Letters, reading: Reading, batch_size: int
) -> Iterator[_Part]:
    tokenizer = model.tokenizer
    assert tokenizer is not None
    for windows in batches(reading.windows(len(sequence)), batch_size):
        tokens = window_tokens(model, sequence, windows)
        scores = next_token_log_probs(model, tokens).cpu().numpy()
        letters = tokens[:, len(tokenizer.prefix_ids) :].cpu().numpy()
        for window, row, score in zip(windows, letters, scores, strict=True):
            kept = slice(window.first - window.start, window.last - window.start)
            yield _Part(window.first, row[kept], _from_the_first(score, tokenizer)[kept])


@torch.inference_mode()
def _read_on(
    model: SequenceModel, backbone: StreamingBackbone, tokens: np.ndarray, state: list[Any]
) -> np.ndarray:
    """What the model expects after each of the next tokens (L,): (L, V) log-probabilities."""
    with evaluating(model):
        ids = torch.from_numpy(tokens).unsqueeze(0).to(model.device)
        logits = model.head(backbone.forward_chunk(ids, state))
    return _log_probs(model, logits)[0].cpu().numpy()


def _from_the_first(scores: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Rows of the letters alone; before the first token there is nothing to read its probability from."""
    nothing = np.full((1, scores.shape[1]), np.nan, dtype=scores.dtype)
    return np.vstack([nothing, scores])[len(tokenizer.prefix_ids) :]


def base_table(tokenizer: Tokenizer, letters: np.ndarray, expected: np.ndarray, start: int) -> pd.DataFrame:
    """Rows of `log_prob`.

    Args:
        tokenizer: of single nucleotides.
        letters: (L,) their tokens.
        expected: (L, V) log-probabilities of what could have stood there.
        start: number of the first.
    """
    bases = expected[:, tokenizer.base_ids]
    own = expected[np.arange(len(letters)), letters]
    table = {
        "position": np.arange(start, start + len(letters)),
        "base": list(tokenizer.decode(letters)),
        "log_prob": np.where(np.isin(letters, tokenizer.base_ids), own, np.nan),
    }
    return pd.DataFrame(table | {f"log_prob_{base}": bases[:, i] for i, base in enumerate(_LETTERS)})


@torch.inference_mode()
def next_token_log_probs(
    model: SequenceModel, tokens: torch.Tensor, mask: torch.Tensor | None = None
) -> torch.Tensor:
    """What a language model expects after each token but the last.

    Args:
        model: a causal language model with a tokenizer.
        tokens: (B, L) integers, on any device.
        mask: (B, L) bool, False at padding; None where there is none.

    Returns:
        (B, L - 1, V) float32 on the model's device: natural log-probabilities over the tokenizer's
        vocabulary, in which a padded vocabulary has no share. Row i is of token i + 1.
    """
    require_language_model(model, "a log-probability")
    with evaluating(model):
        logits = model(tokens.to(model.device), None if mask is None else mask.to(model.device)).logits
    return _log_probs(model, logits[:, :-1])


def log_likelihoods(
    model: SequenceModel, tokens: torch.Tensor, mask: torch.Tensor | None = None
) -> np.ndarray:
    """Natural log-likelihood of each sequence: of its tokens of A, C, G and T, given those before them.

    Special tokens and those with an N do not count, nor does a first one that nothing comes before.

    Args:
        model: a causal language model with a tokenizer.
        tokens: (B, L) integers, on any device.
        mask: (B, L) bool, False at padding; None where there is none.

    Returns:
        (B,) float64.
    """
    tokenizer = require_language_model(model, "a log-likelihood")
    log_probs = next_token_log_probs(model, tokens, mask)
    # Where there is float64 to sum in: Apple's GPUs have none.
    place = torch.device("cpu") if log_probs.device.type == "mps" else log_probs.device
    own = tokens[:, 1:].to(log_probs.device)
    told = log_probs.gather(2, own[..., None])[..., 0].to(place).double()
    counted = torch.from_numpy(tokenizer.is_known).to(place)[own.to(place)]
    if mask is not None:
        counted &= mask[:, :-1].to(place)
    return told.where(counted, 0.0).sum(1).cpu().numpy()


def _log_probs(model: SequenceModel, logits: torch.Tensor) -> torch.Tensor:
    """Logits (..., V) to log-probabilities over the tokenizer's vocabulary alone, float32."""
    assert model.tokenizer is not None
    return logits[..., : model.tokenizer.vocab_size].float().log_softmax(dim=-1)
