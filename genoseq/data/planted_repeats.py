"""Copies of a window's own stretches, planted in it: what teaches a model to look back for repeats.

Genomes are full of tandem, dispersed and inverted repeats, but a short genome has too few of them to learn
from that a match found earlier in the window says what comes next.
"""

from __future__ import annotations

import numpy as np

from genoseq.sequence import BASES, reverse_complement

_N = BASES.index("N")
_SHORTEST = 12
_MOST_COPIES = 4
_MOST_DIVERGED = 0.3


def plant_repeats(codes: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Overwrite stretches of a window by copies of earlier ones, one after the other.

    One to four copies; of 12 bases to a quarter of the window, short ones as likely as long ones on a
    logarithmic scale, and so is the gap before each; half of them on the other strand; up to 30 % of a copy's
    bases are drawn anew.

    Args:
        codes: (L,) uint8 base codes; of fewer than 48 bases nothing is changed.
        generator: of the random numbers.

    Returns:
        (L,) uint8, a new array.
    """
    planted = codes.copy()
    if len(codes) < 4 * _SHORTEST:
        return planted
    for _ in range(int(generator.integers(1, _MOST_COPIES + 1))):
        _plant_one(planted, generator)
    return planted


def _plant_one(codes: np.ndarray, generator: np.random.Generator) -> None:
    width = _log_uniform(_SHORTEST, len(codes) // 4, generator)
    source = int(generator.integers(0, len(codes) - 2 * width + 1))
    room = len(codes) - source - 2 * width
    target = source + width + _log_uniform(1, room + 1, generator) - 1
    copy = codes[source : source + width]
    copy = reverse_complement(copy) if generator.random() < 0.5 else copy.copy()
    diverged = generator.random(width) < _MOST_DIVERGED * generator.random()
    copy[diverged & (copy != _N)] = generator.integers(0, _N, np.count_nonzero(diverged & (copy != _N)))
    codes[target : target + width] = copy


def _log_uniform(least: int, most: int, generator: np.random.Generator) -> int:
    """An integer of [least, most], by its logarithm."""
    return int(np.exp(generator.uniform(np.log(least), np.log(most + 1))))
