"""Which tokens are hidden from models that have to tell them, so that no other token tells the same bases."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from genoseq.errors import ConfigError
from genoseq.sequence import CODON, codon_starts


class Fate(IntEnum):
    """What becomes of a token in masked language modelling: the last three are those that count."""

    LEFT = 0
    HIDDEN = 1
    EXCHANGED = 2
    KEPT = 3


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
    return touches(offsets, _draw(begins, generator) < fraction)


def choose_fates(
    begins: np.ndarray,
    eligible: np.ndarray,
    *,
    overlapping: np.ndarray | None = None,
    fraction: float,
    hidden: float,
    exchanged: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Choose a share of the tokens, and what becomes of each in masked language modelling.

    Tokens that stand side by side are chosen one by one, those of one codon together. Of words that overlap
    bases are chosen, as many as make the share of the words that have one of them the wanted one: all words
    that have a hidden base are hidden, so that none tells it.

    Args:
        begins: (L,) bool, see `Tokenizer.begins_unit`.
        eligible: (L,) bool, the tokens that may be chosen.
        overlapping: (L, 2) int64, `Tokenizer.offsets` of words that overlap; None where none does.
        fraction: share of the tokens that is chosen.
        hidden, exchanged: shares of the chosen ones that are hidden, and exchanged for another; the rest is
            kept.
        generator: source of the choice.

    Returns:
        (L,) int64, a `Fate` each. Of words that overlap, some that are not eligible may be chosen too.
    """
    if overlapping is not None:
        length = int(overlapping.max(initial=0))
        fraction = 1 - (1 - fraction) ** (1 / _widths(overlapping).max(initial=1))
        begins, eligible = np.ones(length, dtype=bool), _covered(overlapping[eligible], length)
    chosen = (_draw(begins, generator) < fraction) & eligible
    number = _draw(begins, generator)
    fates = np.where(number < hidden, Fate.HIDDEN, Fate.EXCHANGED)
    fates[number >= hidden + exchanged] = Fate.KEPT
    fates[~chosen] = Fate.LEFT
    if overlapping is None:
        return fates
    words = np.full(len(overlapping), Fate.LEFT, dtype=np.int64)
    # What is hidden comes last: a word that is kept, or exchanged, may not tell a hidden base.
    for fate in (Fate.KEPT, Fate.EXCHANGED, Fate.HIDDEN):
        words[touches(overlapping, fates == fate)] = fate
    return words


def choose_hidden_groups(
    of: np.ndarray,
    other: np.ndarray,
    length: int,
    *,
    group_size: int = 1,
    fraction: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Choose groups of one tokenizer's tokens, and with them the bases to hide from two models.

    A token of either tokenizer is hidden where it `touches` a hidden base, and no visible one has any. Tokens
    that stand side by side are hidden whole: where those of the two begin and end at other bases, what is
    hidden grows until it ends where a token of both does. Of words that overlap, all that touch the group's
    bases are hidden, and what such a word has beyond them is not.

    Args:
        of: (L, 2) int64 offsets of the tokens that are grouped, as `Tokenizer.offsets` gives them. Special
            tokens are in no group.
        other: (M, 2) the same of the other tokenizer's.
        length: bases of the sequence.
        group_size: neighbouring tokens of a group; the last one of a sequence may have fewer.
        fraction: share of the groups that is chosen. More may be hidden, see above.
        generator: source of the choice.

    Returns:
        (length,) bool, the hidden bases.

    Raises:
        ConfigError: the fraction is not between 0 and 1, or a group has no token.
    """
    if not 0 <= fraction <= 1:
        raise ConfigError(f"fraction={fraction}: give a share between 0 and 1.")
    if group_size < 1:
        raise ConfigError(f"group_size={group_size}: a group has 1 token or more.")
    words = of[of[:, 1] > of[:, 0]]
    chosen = generator.random(-(-len(words) // group_size)) < fraction
    hidden = _covered(words[chosen.repeat(group_size)[: len(words)]], length)
    growing = [offsets for offsets in (other, of) if not _overlap(offsets)]
    before = -1
    while growing and hidden.sum() > before:
        before = int(hidden.sum())
        for offsets in growing:
            hidden |= _covered(offsets[touches(offsets, hidden)], length)
    return hidden


def touches(offsets: np.ndarray, bases: np.ndarray) -> np.ndarray:
    """Which tokens have any of some bases.

    Args:
        offsets: (L, 2) int64 of the tokens, as `Tokenizer.offsets` gives them.
        bases: (length,) bool.

    Returns:
        (L,) bool; False at special tokens.
    """
    before = np.concatenate(([0], np.cumsum(bases)))
    return before[offsets[:, 1]] > before[offsets[:, 0]]


def _draw(begins: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A random number in [0, 1) for each place, (L,), one for all from one beginning to the next."""
    if not len(begins):
        return np.empty(0)
    # What is before the first beginning was cut off from its own.
    unit = np.cumsum(begins) - bool(begins[0])
    return generator.random(unit[-1] + 1)[unit]


def _overlap(offsets: np.ndarray) -> bool:
    return bool((offsets[1:, 0] < offsets[:-1, 1]).any())


def _widths(offsets: np.ndarray) -> np.ndarray:
    return offsets[:, 1] - offsets[:, 0]


def _covered(offsets: np.ndarray, length: int) -> np.ndarray:
    """(length,) bool, the bases that any of the tokens has."""
    edges = np.zeros(length + 1, dtype=np.int64)
    np.add.at(edges, offsets[:, 0], 1)
    np.subtract.at(edges, offsets[:, 1], 1)
    return np.cumsum(edges[:-1]) > 0
