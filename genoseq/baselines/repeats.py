"""Copy models: having met a stretch before, on either strand, expect what followed it there.

Counts of order 20 know a repeat only base by base and lose it at each difference. A copy model points into
the sequence seen before and stays on through single differences, so it carries over diverged repeats.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genoseq.baselines.context_tables import scatter
from genoseq.compiled import Integer, compiled, inlined

CONFIDENCES = 26
"""Number of states that `read_repeats` tells apart: no copy, or the length that has matched so far."""

_INDEX_BITS = 22
_TOP = 64
_LONGEST_CHECK = 32
_MOST_MISSES = 8
_RECENT = 16
_RATE = 0.01
# Matched length to a level: exact to 15, then two levels a doubling, up to 24.
_LEVELS = np.array([n if n < 16 else min(16 + int(2 * np.log2(n / 16)), 24) for n in range(257)])


class Repeats(NamedTuple):
    """Copy models: M of one strand, then M of the other.

    Attributes:
        lengths: (M,) bases that must match before a copy starts.
        newest: (M, 2**22) int32 position after the newest place where a stretch of that hash ended; -1 none.
        pointer: (2M,) position to copy from next; -1 where no copy is under way.
        matched: (2M,) bases matched; a miss quarters it.
        misses: (2M,) the last 16 outcomes, one bit each, 1 for a miss.
        expected: (2M,) base expected next; -1 none.
        hit_rate: (2M, 25 * 16) how often such a copy was right, by level of length and last four outcomes.
    """

    lengths: np.ndarray
    newest: np.ndarray
    pointer: np.ndarray
    matched: np.ndarray
    misses: np.ndarray
    expected: np.ndarray
    hit_rate: np.ndarray


def make_repeats(lengths: tuple[int, ...]) -> Repeats:
    """Copy models that have seen nothing."""
    models = 2 * len(lengths)
    return Repeats(
        lengths=np.array(lengths, dtype=np.int64),
        newest=np.full((len(lengths), 1 << _INDEX_BITS), -1, dtype=np.int32),
        pointer=np.full(models, -1),
        matched=np.zeros(models, dtype=np.int64),
        misses=np.zeros(models, dtype=np.int64),
        expected=np.full(models, -1),
        hit_rate=np.full((models, 25 * 16), 0.6),
    )


@compiled
def read_repeats(repeats: Repeats, codes: np.ndarray, features: np.ndarray, confidences: np.ndarray) -> int:
    """Write each model's centred log-probabilities (2M, 4) and confidence (2M,).

    Returns:
        0 where nothing is copied, 1 for a short match at best, 2 for one of at least 16 bases.
    """
    longest = 0
    for m in range(repeats.pointer.size):
        features[m, :] = 0.0
        confidences[m] = 0
        base = _expected_base(repeats, codes, m)
        repeats.expected[m] = base
        if base < 0:
            continue
        rate = min(max(repeats.hit_rate[m, _state(repeats, m)], 0.26), 0.9998)
        evidence = np.log(3 * rate / (1 - rate))
        features[m, :] = -evidence / 4
        features[m, base] += evidence
        level = _LEVELS[min(repeats.matched[m], 256)]
        confidences[m] = 1 + level
        longest = max(longest, 1 if level < 16 else 2)
    return longest


@compiled
def follow_repeats(repeats: Repeats, base: Integer, learning: bool) -> None:
    """Move the pointers on over `base`; let go of copies that missed more than 8 of the last 16."""
    half = repeats.lengths.size
    for m in range(repeats.pointer.size):
        if repeats.expected[m] < 0:
            continue
        hit = repeats.expected[m] == base
        if learning:
            state = _state(repeats, m)
            repeats.hit_rate[m, state] += (np.float64(hit) - repeats.hit_rate[m, state]) * _RATE
        repeats.misses[m] = ((repeats.misses[m] << 1) | np.int64(not hit)) & ((1 << _RECENT) - 1)
        repeats.matched[m] = repeats.matched[m] + 1 if hit else repeats.matched[m] // 4
        # At the very start a pointer of the other strand runs into -1, which is none.
        repeats.pointer[m] += 1 if m < half else -1
        if _ones(repeats.misses[m]) > _MOST_MISSES:
            repeats.pointer[m] = -1


@compiled
def find_repeats(
    repeats: Repeats,
    codes: np.ndarray,
    position: int,
    forward: np.uint64,
    reverse: np.uint64,
    known: int,
    learning: bool,
) -> None:
    """Start copies where the bases up to `position` were met before; remember them where `learning`."""
    half = repeats.lengths.size
    for m in range(half):
        length = repeats.lengths[m]
        if known < length:
            continue
        mask = (np.uint64(1) << np.uint64(2 * length)) - np.uint64(1)
        key = _index(forward & mask)
        if repeats.pointer[m] < 0:
            start = repeats.newest[m, key]
            _start(repeats, m, start, _match_length(codes, position, start - 1, -1), length)
        if repeats.pointer[half + m] < 0:
            end = repeats.newest[m, _index(reverse >> np.uint64(_TOP - 2 * length))]
            first = end - length if end >= 0 else -1
            _start(repeats, half + m, first - 1, _match_length(codes, position, first, 1), length)
        if learning:
            repeats.newest[m, key] = position + 1


@compiled
def forget_copies(repeats: Repeats) -> None:
    """Let go of all copies under way, at an N or the end of a sequence."""
    repeats.pointer[:] = -1


@inlined
def _start(repeats: Repeats, m: int, pointer: int, matched: int, wanted: int) -> None:
    if matched >= wanted:
        repeats.pointer[m] = pointer
        repeats.matched[m] = matched
        repeats.misses[m] = 0


@compiled
def _match_length(codes: np.ndarray, position: int, other: int, step: int) -> int:
    """Bases that agree going back from `position` and from `other` back (step -1) or on, complemented (1)."""
    length = 0
    while length < _LONGEST_CHECK and 0 <= other < position and codes[other] < 4:
        wanted = codes[position - length]
        if codes[other] != (wanted if step < 0 else 3 - wanted):
            break
        length += 1
        other += step
    return length


@inlined
def _expected_base(repeats: Repeats, codes: np.ndarray, m: int) -> Integer:
    """The base a copy stands at, complemented on the other strand; an N ends the copy."""
    if repeats.pointer[m] < 0:
        return -1
    base = np.int64(codes[repeats.pointer[m]])
    if base > 3:
        repeats.pointer[m] = -1
        return -1
    return base if m < repeats.lengths.size else 3 - base


@inlined
def _state(repeats: Repeats, m: int) -> Integer:
    return 16 * _LEVELS[min(repeats.matched[m], 256)] + (repeats.misses[m] & 15)


@inlined
def _index(context: np.uint64) -> Integer:
    return np.int64(scatter(context) >> np.uint64(_TOP - _INDEX_BITS))


@compiled
def _ones(value: int) -> int:
    count = 0
    while value:
        count += value & 1
        value >>= 1
    return count
