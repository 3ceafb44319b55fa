"""The sequences that constraints leave: an automaton over bases that never runs into a dead end by words,
places or codons, and looks ahead for GC."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from genoseq.compiled import Integer, compiled
from genoseq.errors import ConfigError
from genoseq.sequence.constraints import Constraints
from genoseq.sequence.word_states import NOWHERE, allowed_steps, contradiction, find_states

_IMPOSSIBLE = 30_000
_TABLE_BYTES = 256 << 20
_IS_STRONG = np.array([0, 1, 1, 0])
_BUDGET_A_BASE = 200
_TRIES = 8


class _Tables(NamedTuple):
    """What compiled code looks up.

    Attributes:
        follow: (S, 4) the state after each base.
        steps: (L, S) uint8, a bit a base that may stand there.
        near_low, near_high: (L + 1, H + 1, S) fewest and most G and C in the next h bases.
        end_low, end_high: (L + 1, S) the same to the end.
        window: bases of a GC window; 0 where GC is free.
        low, high: fewest and most G and C in it.
    """

    follow: np.ndarray
    steps: np.ndarray
    near_low: np.ndarray
    near_high: np.ndarray
    end_low: np.ndarray
    end_high: np.ndarray
    window: int
    low: int
    high: int


class Feasible:
    """Sequences that hold all of some constraints, and ways to get them.

    Words that may not stand, fixed places and codons are exact: a base is offered only where a whole sequence
    can follow. GC in windows is looked ahead for by the least and most that can still come; where that is not
    enough, `find` goes back.

    Args:
        constraints: what has to hold.

    Raises:
        ConfigError: they contradict each other; the message says which, or a motif is too intricate.
    """

    def __init__(self, constraints: Constraints) -> None:
        if constraints.gc is not None and constraints.length >= _IMPOSSIBLE:
            raise ConfigError(
                f"length={constraints.length:,} with gc=: GC is kept in sequences of less than "
                f"{_IMPOSSIBLE:,} bases. Design it in parts."
            )
        self.constraints = constraints
        self._words = find_states(constraints)
        self._steps = allowed_steps(constraints, self._words)
        if not self._steps[0, 0]:
            raise ConfigError(contradiction(constraints))
        self._require_gc()

    @property
    def length(self) -> int:
        """Bases of each sequence."""
        return self.constraints.length

    @cached_property
    def possible(self) -> np.ndarray:
        """(L, 4) bool: the bases that some sequence has at each place, GC aside."""
        reached = self._start()
        found = np.zeros((self.length, 4), dtype=bool)
        for place in range(self.length):
            for base in range(4):
                found[place, base] = (self._steps[place, reached] >> base & 1).any()
            reached = self._after(reached, place)
        return found

    def holds(self, codes: np.ndarray) -> np.ndarray:
        """Which sequences (B, L) of A, C, G and T hold everything, (B,) bool; microseconds each."""
        return _hold(codes, self._tables)

    def find(self, preferences: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """A sequence that holds everything, each place with the base it prefers of those that can be there.

        Args:
            preferences: (L, 4), larger is rather; the sequence is filled from its first base on.
            generator: of the noise with which it is tried again where none was found.

        Returns:
            (L,) uint8 base codes.

        Raises:
            ConfigError: none was found: GC windows may contradict the rest.
        """
        codes = np.zeros(self.length, dtype=np.uint8)
        wanted = np.ascontiguousarray(preferences, dtype=np.float64)
        for attempt in range(_TRIES):
            noise = generator.gumbel(size=wanted.shape) * attempt if attempt else 0.0
            if _search(codes, wanted + noise, self._tables, _BUDGET_A_BASE * self.length):
                return codes
        raise ConfigError(
            "no sequence was found that holds all constraints: they may contradict each other. Widen "
            "gc or gc_window, allow a longer max_homopolymer, or forbid less."
        )

    def random(self, generator: np.random.Generator) -> np.ndarray:
        """(L,) uint8: a sequence drawn base by base, each evenly among those that can be there."""
        return self.find(generator.gumbel(size=(self.length, 4)), generator)

    def walk(self, count: int) -> Walk:
        """Sequences to be written base by base, all at once."""
        return Walk(self, count)

    @cached_property
    def _tables(self) -> _Tables:
        window = self.constraints.window if self.constraints.gc is not None else 0
        return _Tables(self._words.follow, self._steps, *self._outlook, window, *self.constraints.gc_counts)

    @cached_property
    def _outlook(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Fewest and most G and C: in the next h bases from each place and state, (L + 1, H + 1, S) int16,
        and from there to the end, (L + 1, S)."""
        length, states = self._steps.shape
        if self.constraints.gc is None:
            nothing = np.zeros((1, 1, 1), dtype=np.int16)
            return nothing, nothing, nothing[0], nothing[0]
        windowed = self.constraints.window < length
        room = max(_TABLE_BYTES // (4 * (length + 1) * states), 2)
        horizon = min(self.constraints.window, room) if windowed else 0
        low = np.full((length + 1, horizon + 1, states), _IMPOSSIBLE, dtype=np.int16)
        high = np.full_like(low, -_IMPOSSIBLE)
        end_low = np.full((length + 1, states), _IMPOSSIBLE, dtype=np.int16)
        end_high = np.full_like(end_low, -_IMPOSSIBLE)
        end_low[length] = end_high[length] = 0
        low[length, 0] = high[length, 0] = 0
        for place in range(length - 1, -1, -1):
            low[place, 0] = high[place, 0] = 0
            for base in range(4):
                here = np.flatnonzero(self._steps[place] >> base & 1)
                after, strong = self._words.follow[here, base], _IS_STRONG[base]
                for best, table in ((np.minimum, end_low), (np.maximum, end_high)):
                    table[place, here] = best(table[place, here], table[place + 1, after] + strong)
                for best, block in ((np.minimum, low), (np.maximum, high)):
                    beyond = block[place + 1, :-1][:, after] + strong
                    block[place, 1:, here] = best(block[place, 1:, here], beyond.T)
        return low, high, end_low, end_high

    def _require_gc(self) -> None:
        """Refuse a GC share that words, places and codons leave no room for."""
        if self.constraints.gc is None:
            return
        wanted_low, wanted_high = self.constraints.gc_counts
        near_low, near_high, end_low, end_high = self._outlook
        window, length = self.constraints.window, self.length
        horizon = near_low.shape[1] - 1
        reached = self._start()
        for start in range(length - window + 1):
            if window == length:
                least, most = end_low[start, reached].min(), end_high[start, reached].max()
            elif horizon < window:
                return
            else:
                least, most = near_low[start, window, reached].min(), near_high[start, window, reached].max()
            if least > wanted_high or most < wanted_low:
                raise ConfigError(
                    f"gc={list(self.constraints.gc)} contradicts the other constraints: from base {start}, "
                    f"{window} bases have {least} to {most} G and C, and {wanted_low} to {wanted_high} are "
                    "wanted. Widen gc, or change what is fixed, encoded or forbidden there."
                )
            reached = self._after(reached, start)

    def _start(self) -> np.ndarray:
        reached = np.zeros(len(self._words.follow), dtype=bool)
        reached[0] = True
        return reached

    def _after(self, reached: np.ndarray, place: int) -> np.ndarray:
        after = np.zeros_like(reached)
        for base in range(4):
            here = reached & ((self._steps[place] >> base & 1) > 0)
            after[self._words.follow[here, base]] = True
        return after


class Walk:
    """Sequences that are written base by base, all at once.

    Attributes:
        failed: (B,) bool: at some base of the sequence nothing was allowed any more, because of GC alone.
    """

    def __init__(self, feasible: Feasible, count: int) -> None:
        self._tables = feasible._tables
        self._length = feasible.length
        self._states = np.zeros(count, dtype=np.int64)
        self._strong = np.zeros((count, feasible.length + 1), dtype=np.int64)
        self._place = 0
        self.failed = np.zeros(count, dtype=bool)

    def allowed(self) -> np.ndarray:
        """(B, 4) bool: what may come next; everything for a sequence that has failed."""
        assert self._place < self._length, "the sequences are whole"
        mask = _allowed(self._place, self._states, self._strong, self._tables)
        self.failed |= ~mask.any(axis=1)
        mask[self.failed] = True
        return mask

    def append(self, codes: np.ndarray) -> None:
        """Every sequence has one more base, (B,) codes."""
        after = self._tables.follow[self._states, codes]
        self.failed |= after == NOWHERE
        self._states = np.where(self.failed, 0, after)
        self._strong[:, self._place + 1] = self._strong[:, self._place] + _IS_STRONG[codes]
        self._place += 1


@compiled
def _gc_fits(place: Integer, after: Integer, total: Integer, strong: np.ndarray, tables: _Tables) -> bool:
    """Whether every window that holds `place` can still come right, with `total` G and C up to it."""
    length, horizon = tables.steps.shape[0], tables.near_low.shape[1] - 1
    for end in range(max(place + 1, tables.window), min(place + tables.window, length) + 1):
        known = total - strong[end - tables.window]
        left = end - place - 1
        if end == length:
            least, most = tables.end_low[place + 1, after], tables.end_high[place + 1, after]
        else:
            seen = min(left, horizon)
            least = tables.near_low[place + 1, seen, after]
            most = tables.near_high[place + 1, seen, after] + (left - seen)
        if known + least > tables.high or known + most < tables.low:
            return False
    return True


@compiled
def _may_stand(base: Integer, place: Integer, state: Integer, strong: np.ndarray, tables: _Tables) -> bool:
    """Whether a base may be next, behind those that `strong` (L + 1,) has the running GC of."""
    if not tables.steps[place, state] >> base & 1:
        return False
    total = strong[place] + (base == 1 or base == 2)
    return tables.window == 0 or _gc_fits(place, tables.follow[state, base], total, strong, tables)


@compiled
def _search(codes: np.ndarray, preferences: np.ndarray, tables: _Tables, budget: Integer) -> bool:
    """Fill `codes` (L,) depth first, the preferred base before the others; False when the budget is spent."""
    length = len(codes)
    states = np.zeros(length + 1, dtype=np.int64)
    strong = np.zeros(length + 1, dtype=np.int64)
    tried = np.zeros(length + 1, dtype=np.uint8)
    place = 0
    while place < length:
        best = -1
        for base in range(4):
            if tried[place] >> base & 1:
                continue
            if best >= 0 and preferences[place, base] <= preferences[place, best]:
                continue
            if _may_stand(base, place, states[place], strong, tables):
                best = base
        if best < 0:
            place -= 1
            budget -= 1
            if place < 0 or budget < 0:
                return False
            continue
        tried[place] |= 1 << best
        codes[place] = best
        states[place + 1] = tables.follow[states[place], best]
        strong[place + 1] = strong[place] + (best == 1 or best == 2)
        place += 1
        tried[place] = 0
    return True


@compiled
def _holds(codes: np.ndarray, tables: _Tables) -> bool:
    """Whether no base of a sequence (L,) is one that may not stand there, GC of whole windows included."""
    state = 0
    strong = np.zeros(len(codes) + 1, dtype=np.int64)
    for place in range(len(codes)):
        base = codes[place]
        if not tables.steps[place, state] >> base & 1:
            return False
        state = tables.follow[state, base]
        strong[place + 1] = strong[place] + (base == 1 or base == 2)
        if tables.window > 0 and place + 1 >= tables.window:
            count = strong[place + 1] - strong[place + 1 - tables.window]
            if count < tables.low or count > tables.high:
                return False
    return True


@compiled
def _hold(codes: np.ndarray, tables: _Tables) -> np.ndarray:
    """(B,) bool: the rows of (B, L) that hold."""
    found = np.zeros(len(codes), dtype=np.bool_)
    for row in range(len(codes)):
        found[row] = _holds(codes[row], tables)
    return found


@compiled
def _allowed(place: Integer, states: np.ndarray, strong: np.ndarray, tables: _Tables) -> np.ndarray:
    """(B, 4) bool: what may stand at `place` of each sequence."""
    mask = np.zeros((len(states), 4), dtype=np.bool_)
    for row in range(len(states)):
        for base in range(4):
            mask[row, base] = _may_stand(base, place, states[row], strong[row], tables)
    return mask
