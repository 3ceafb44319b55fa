"""Which tokens are hidden from a model that has to tell them: whole codons, and single bases elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genoseq.errors import ConfigError
from genoseq.sequence import CODON, codon_starts


def choose_hidden(
    offsets: np.ndarray,
    length: int,
    *,
    coding: Sequence[tuple] = (),
    fraction: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Choose codons of coding regions and single bases elsewhere, each with one chance, for any tokenizer.

    Every token that has a base of what was chosen is hidden: all three of a codon in single nucleotides, its
    one token in codons, and all words that overlap it in k-mers, none of which may tell it. Special tokens
    never are.

    Args:
        offsets: (L, 2) int64 of the tokens, as `Tokenizer.offsets` gives them.
        length: bases of the sequence.
        coding: as for `genoseq.sequence.codon_starts`.
        fraction: share of the codons and bases that is chosen. Of longer words, a larger share is hidden.
        generator: source of the choice.

    Returns:
        (L,) bool.

    Raises:
        ConfigError: the fraction is not between 0 and 1.
        IntervalError: a region is not inside of the sequence.
    """
    if not 0 <= fraction <= 1:
        raise ConfigError(f"fraction={fraction}: give a share between 0 and 1.")
    begins = np.ones(length, dtype=bool)
    starts = codon_starts(coding, length)
    for place in range(1, CODON):
        begins[starts + place] = False
    chosen = generator.random(np.count_nonzero(begins)) < fraction
    before = np.concatenate(([0], np.cumsum(chosen[np.cumsum(begins) - 1])))
    return before[offsets[:, 1]] > before[offsets[:, 0]]
