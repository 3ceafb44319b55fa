"""An automaton over bases for forbidden words, fixed places and codons."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from genoseq.errors import ConfigError
from genoseq.sequence.alphabet import encode_base_sets
from genoseq.sequence.constraints import CODON, Constraints

NOWHERE = -1
_MOST_STATES = 20_000
# How far which words are matched, and the last bases where codons want them.
_State = tuple[frozenset[tuple[int, int]], tuple[int, ...]]


@dataclass(frozen=True)
class WordStates:
    """An automaton that has seen no forbidden word.

    Attributes:
        follow: (S, 4) int32, the state after each base; -1 where the base would complete a word.
        last: (S, 2) int8, the base before the last and the last; -1 where not that many are remembered.
    """

    follow: np.ndarray
    last: np.ndarray


def find_states(constraints: Constraints) -> WordStates:
    """States are what is matched so far of which words, found one after the other from the empty one."""
    words = sorted({word for several in constraints.patterns.values() for word in several})
    sets = [encode_base_sets(word) for word in words]
    remembered = CODON - 1 if constraints.protein is not None else 0
    first: _State = (frozenset(), ())
    numbers = {first: 0}
    waiting, follow = deque([first]), []
    while waiting:
        matched, recent = waiting.popleft()
        row = []
        for base in range(4):
            begun = {(word, 0) for word in range(len(words))} | matched
            grown = {(word, n + 1) for word, n in begun if sets[word][n] >> base & 1}
            if any(n == len(words[word]) for word, n in grown):
                row.append(NOWHERE)
                continue
            state: _State = (frozenset(grown), ((*recent, base)[-remembered:] if remembered else ()))
            if state not in numbers:
                numbers[state] = len(numbers)
                waiting.append(state)
            row.append(numbers[state])
        follow.append(row)
        if len(numbers) > _MOST_STATES:
            raise ConfigError(
                "the forbidden motifs are too intricate together (many N in the middle of several sites): "
                "forbid fewer."
            )
    last = np.array([(*(-1,) * (2 - len(recent)), *recent) for _, recent in numbers], dtype=np.int8)
    return WordStates(np.array(follow, dtype=np.int32), last)


def allowed_steps(constraints: Constraints, words: WordStates) -> np.ndarray:
    """(L, S) uint8: bit b is set where base b may stand and a whole sequence can follow, GC aside."""
    length, states = constraints.length, len(words.follow)
    letter_sets, codons = constraints.letter_sets, constraints.codons()
    steps = np.zeros((length, states), dtype=np.uint8)
    alive = np.ones(states, dtype=bool)
    for place in range(length - 1, -1, -1):
        offset = place - constraints.protein_start
        in_codon = None
        if 0 <= offset < CODON * len(codons):
            in_codon = _in_codon(codons[offset // CODON], offset % CODON, words.last)
        for base in range(4):
            after = words.follow[:, base]
            fits = (after != NOWHERE) & alive[after] & bool(letter_sets[place] >> base & 1)
            if in_codon is not None:
                fits &= in_codon[:, base]
            steps[place] |= fits.astype(np.uint8) << base
        alive = steps[place] > 0
    return steps


def _in_codon(codons: np.ndarray, offset: int, last: np.ndarray) -> np.ndarray:
    """(S, 4) bool: bases that may stand at this place of a codon, by what the state remembers."""
    if offset == 0:
        return np.broadcast_to(codons.any(axis=(1, 2)), (len(last), 4))
    before, previous = last.T
    if offset == 1:
        return np.asarray(codons.any(axis=2))[previous] & (previous >= 0)[:, None]
    return codons[before, previous] & (before >= 0)[:, None]


def contradiction(constraints: Constraints) -> str:
    """The message for constraints that leave nothing: which of them, were it not there, would mend it."""
    without = {
        "max_homopolymer": replace(constraints, max_homopolymer=None),
        "fixed": replace(constraints, fixed={}),
        "protein": replace(constraints, protein=None),
        **{
            f"forbidden {motif}": replace(
                constraints, forbidden=tuple(other for other in constraints.forbidden if other != motif)
            )
            for motif in constraints.forbidden
        },
        **{
            f"enzyme {name}": replace(
                constraints, enzymes=tuple(other for other in constraints.enzymes if other != name)
            )
            for name in constraints.enzymes
        },
    }
    culprits = [
        name
        for name, rest in without.items()
        if rest != constraints and allowed_steps(rest, find_states(rest))[0, 0]
    ]
    which = (
        f"without any one of {', '.join(culprits)} there would be some"
        if culprits
        else "and leaving out one of them is not enough"
    )
    length = f"{constraints.length:,}"
    return f"the constraints contradict each other: no sequence of {length} bases holds all, {which}."
