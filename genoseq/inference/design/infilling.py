"""Sequences from a masked language model: hidden and drawn anew, part by part, under constraints."""

from __future__ import annotations

import numpy as np
import torch

from genoseq.errors import ConfigError
from genoseq.inference.hidden import hidden_log_probs
from genoseq.inference.records import Record, require_tokenizer, tokenize
from genoseq.models.base import SequenceModel
from genoseq.models.generation import require_single_bases
from genoseq.sequence import decode_bases
from genoseq.sequence.feasible import Feasible

_PARTS = 7
# A base that is not hidden before any other, however these are shuffled.
_KEPT = 2.0


@torch.inference_mode()
def infill(
    model: SequenceModel,
    feasible: Feasible,
    *,
    num_sequences: int,
    sweeps: int = 10,
    temperature: float = 1.0,
    seed: int = 0,
    first_index: int = 0,
) -> list[str]:
    """Sequences that a masked language model finds natural, and that hold constraints.

    Each begins at random. In a sweep its places are shuffled into seven parts; one part after the other is
    hidden, as many bases as in training, and drawn from what the model says of each, among what the
    constraints leave. Sequence i depends on (seed, first_index + i) alone.

    Args:
        model: a masked language model of single nucleotides.
        feasible: what every sequence holds after each part.
        num_sequences: how many.
        sweeps: times that every base is drawn.
        temperature: below 1 likelier bases, above 1 less likely ones.
        seed: of the random numbers.
        first_index: number of the first sequence.

    Raises:
        ConfigError: a setting is out of range.
        SequenceError: tokens are no single nucleotides, or the length is beyond what the model takes.

    Source: Wang and Cho 2019, "BERT has a Mouth, and It Must Speak", for Gibbs sampling; bases of a part are
    drawn together, which is faster and an approximation.
    """
    if sweeps < 1 or temperature <= 0:
        raise ConfigError(f"sweeps={sweeps}, temperature={temperature}: give 1 or more, and more than 0.")
    require_single_bases(require_tokenizer(model))
    generators = [np.random.default_rng([seed, first_index + number]) for number in range(num_sequences)]
    codes = np.stack([feasible.random(generator) for generator in generators])
    for _ in range(sweeps):
        orders = np.stack([generator.permutation(feasible.length) for generator in generators])
        for part in range(_PARTS):
            hidden = orders % _PARTS == part
            scores = _expected(model, codes, hidden) / temperature
            for row, generator in enumerate(generators):
                codes[row] = _drawn(feasible, codes[row], hidden[row], scores[row], generator)
    return [decode_bases(row) for row in codes]


def _expected(model: SequenceModel, codes: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """(B, L, 4) log-probabilities of A, C, G and T where bases (B, L) are hidden; 0 elsewhere."""
    tokens = tokenize([Record("design", decode_bases(row)) for row in codes], model)
    places = tokens.letters.clone()
    places[tokens.letters] = torch.from_numpy(hidden).to(places.device).flatten()
    log_probs = hidden_log_probs(model, tokens.input_ids, places, tokens.mask).cpu().numpy()
    scores = np.zeros((*codes.shape, 4))
    scores[hidden] = log_probs[:, require_tokenizer(model).base_ids]
    return scores


def _drawn(
    feasible: Feasible,
    codes: np.ndarray,
    hidden: np.ndarray,
    scores: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """(L,) codes that hold, the hidden ones drawn and the others as they are where they can be."""
    noise = generator.gumbel(size=scores.shape), generator.random(scores.shape)
    preferences = np.where(hidden[:, None], scores + noise[0], noise[1])
    preferences[~hidden, codes[~hidden]] = _KEPT
    return feasible.find(preferences, generator)
