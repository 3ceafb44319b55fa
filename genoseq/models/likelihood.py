"""How likely a causal language model finds each base of a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from genoseq.errors import SequenceError
from genoseq.models.generation import require_language_model
from genoseq.models.modes import evaluating

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
    tokenizer = require_language_model(model, "a log-probability")
    letters = tokenizer.encode(sequence, add_special_tokens=False)
    if len(letters) == 0:
        raise SequenceError("the sequence is empty: there is no base to score.")
    prefix = tokenizer.prefix_ids
    tokens = torch.from_numpy(np.concatenate([prefix, letters])).unsqueeze(0)
    scores = next_token_log_probs(model, tokens)[0].cpu().numpy()
    # Before the first token there is nothing to read its probability from.
    given = np.vstack([np.full((1, scores.shape[1]), np.nan), scores])[len(prefix) :]
    bases = given[:, tokenizer.base_ids]
    own = given[np.arange(len(letters)), letters]
    table = {
        "position": np.arange(len(letters)),
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
    tokenizer = require_language_model(model, "a log-probability")
    with evaluating(model):
        logits = model(tokens.to(model.device)).logits
    return logits[:, :-1, : tokenizer.vocab_size].float().log_softmax(dim=-1)
