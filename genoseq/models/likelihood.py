"""How likely a causal language model finds each base of a sequence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.backbone import StreamingBackbone
from genoseq.models.generation import require_language_model
from genoseq.models.modes import evaluating
from genoseq.tokenizers import Tokenizer

if TYPE_CHECKING:
    from genoseq.models.base import SequenceModel

_LETTERS = "ACGT"


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
    tokenizer, letters = _read(model, sequence)
    tokens = torch.from_numpy(np.concatenate([tokenizer.prefix_ids, letters])).unsqueeze(0)
    scores = next_token_log_probs(model, tokens)[0].cpu().numpy()
    return _table(tokenizer, letters, _from_the_first(scores, tokenizer), 0)


def log_prob_chunks(
    model: SequenceModel, sequence: str, *, chunk_length: int = 65_536
) -> Iterator[pd.DataFrame]:
    """The table of `log_prob` in pieces, the model's state carried from one to the next.

    For sequences that do not fit in memory at once, such as a chromosome. What is kept between the chunks is
    of fixed size for recurrent layers and bounded attention; Hyena and full attention keep all they have
    read.

    Args:
        model: a causal language model with a tokenizer of single nucleotides, whose backbone carries a state.
        sequence: letters, not more than the model's l_max.
        chunk_length: bases at a time, 1 or more; no result depends on it.

    Yields:
        Rows of `log_prob`, `chunk_length` of them or what is left.

    Raises:
        ConfigError: the model is no causal language model or has no state; `chunk_length` is below 1.
        SequenceError: as for `log_prob`.
    """
    if chunk_length < 1:
        raise ConfigError(f"chunk_length={chunk_length}: give 1 base or more.")
    tokenizer, letters = _read(model, sequence)
    backbone = model.backbone
    if not isinstance(backbone, StreamingBackbone):
        raise ConfigError(f"reading in chunks needs a state, and {type(backbone).__name__} has none.")
    with torch.inference_mode():
        state = backbone.init_state(1, max_length=len(tokenizer.prefix_ids) + len(letters))
    expected = np.full((1, tokenizer.vocab_size), np.nan, dtype=np.float32)
    if len(tokenizer.prefix_ids):
        expected = _read_on(model, backbone, tokenizer.prefix_ids, state)[-1:]
    for start in range(0, len(letters), chunk_length):
        chunk = letters[start : start + chunk_length]
        scores = np.concatenate([expected, _read_on(model, backbone, chunk, state)])
        yield _table(tokenizer, chunk, scores[:-1], start)
        expected = scores[-1:]


@torch.inference_mode()
def _read_on(
    model: SequenceModel, backbone: StreamingBackbone, tokens: np.ndarray, state: list[Any]
) -> np.ndarray:
    """What the model expects after each of the next tokens (L,): (L, V) log-probabilities."""
    with evaluating(model):
        ids = torch.from_numpy(tokens).unsqueeze(0).to(model.device)
        logits = model.head(backbone.forward_chunk(ids, state))
    return _log_probs(model, logits)[0].cpu().numpy()


def _read(model: SequenceModel, sequence: str) -> tuple[Tokenizer, np.ndarray]:
    """The model's tokenizer, and the letters as its tokens (L,)."""
    tokenizer = require_language_model(model, "a log-probability")
    letters = tokenizer.encode(sequence, add_special_tokens=False)
    if len(letters) == 0:
        raise SequenceError("the sequence is empty: there is no base to score.")
    return tokenizer, letters


def _from_the_first(scores: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """Rows of the letters alone; before the first token there is nothing to read its probability from."""
    nothing = np.full((1, scores.shape[1]), np.nan, dtype=scores.dtype)
    return np.vstack([nothing, scores])[len(tokenizer.prefix_ids) :]


def _table(tokenizer: Tokenizer, letters: np.ndarray, expected: np.ndarray, start: int) -> pd.DataFrame:
    """Rows of letters (L,) under what was expected before each, (L, V)."""
    bases = expected[:, tokenizer.base_ids]
    own = expected[np.arange(len(letters)), letters]
    table = {
        "position": np.arange(start, start + len(letters)),
        "base": list(tokenizer.decode(letters)),
        "log_prob": np.where(np.isin(letters, tokenizer.base_ids), own, np.nan),
    }
    return pd.DataFrame(table | {f"log_prob_{base}": bases[:, i] for i, base in enumerate(_LETTERS)})


@torch.inference_mode()
def next_token_log_probs(model: SequenceModel, tokens: torch.Tensor) -> torch.Tensor:
    """What a language model expects after each token but the last.

    Args:
        model: a causal language model with a tokenizer.
        tokens: (B, L) integers, on any device.

    Returns:
        (B, L - 1, V) float32 on the model's device: natural log-probabilities over the tokenizer's
        vocabulary, in which a padded vocabulary has no share. Row i is of token i + 1.
    """
    require_language_model(model, "a log-probability")
    with evaluating(model):
        logits = model(tokens.to(model.device)).logits
    return _log_probs(model, logits[:, :-1])


def _log_probs(model: SequenceModel, logits: torch.Tensor) -> torch.Tensor:
    """Logits (..., V) to log-probabilities over the tokenizer's vocabulary alone, float32."""
    assert model.tokenizer is not None
    return logits[..., : model.tokenizer.vocab_size].float().log_softmax(dim=-1)
