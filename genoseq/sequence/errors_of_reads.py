"""What a sequencer makes of a sequence: bases read wrongly, twice, or not at all."""

from __future__ import annotations

import numpy as np

from genoseq.errors import ConfigError

_KINDS = ("substitution", "insertion", "deletion")


def sequence_with_errors(
    codes: np.ndarray,
    rate: float,
    generator: np.random.Generator,
    *,
    shares: tuple[float, float, float] = (0.8, 0.1, 0.1),
) -> np.ndarray:
    """A read of a sequence, each base of which is read wrongly with the same chance.

    Args:
        codes: (L,) uint8 base codes.
        rate: errors a base.
        generator: source of all randomness.
        shares: of substitutions by another base, of insertions of a random base before one, and of deletions
            among the errors.

    Returns:
        (L + insertions - deletions,) uint8; an N stays an N where it is substituted.

    Raises:
        ConfigError: a rate outside 0 to 1, or shares that do not add up to 1.
    """
    if not 0 <= rate <= 1 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ConfigError(f"rate={rate}, shares={shares} of {', '.join(_KINDS)}: give 0 to 1, a sum of 1.")
    kinds = np.searchsorted(np.cumsum(shares) * rate, generator.random(len(codes)), side="right")
    substituted = (kinds == 0) & (codes < 4)
    read = codes.copy()
    read[substituted] = (codes[substituted] + generator.integers(1, 4, size=substituted.sum())) % 4
    inserted = np.flatnonzero(kinds == 1)
    # Deletions first, as places to keep; insertions are put before what is kept.
    kept = kinds != 2
    places = np.cumsum(kept) - kept
    bases = generator.integers(0, 4, size=len(inserted)).astype(np.uint8)
    return np.insert(read[kept], places[inserted], bases)
