"""Counts of the base after each context, one table an order: direct for short contexts, hashed for long."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genoseq.compiled import Integer, compiled, inlined

LONGEST_CONTEXT = 31
"""A context is packed two bits a base into 64 bits, with one base to spare for the one before it."""

CONFIDENCES = 24
"""Number of states that `read_counts` tells apart: how often a context was seen, and whether always alike."""

_LONGEST_DIRECT = 11
_LARGEST_TABLE_BITS = 24
_PROBES = 16
_FULL = 65_535
_TAG = 4
_TABULATED = 64
_TOP = 64
_TWO, _THREE, _ONE = np.uint64(2), np.uint64(3), np.uint64(1)
_MIX_1, _MIX_2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_MIX_SHIFT = np.uint64(29)
_TAG_MASK = np.uint64(0xFFFF)
# Number of observations to a level of confidence: exact while few, then by powers.
_LEVELS = np.array(
    [min(n, 6) if n < 8 else 7 if n < 12 else 8 if n < 24 else 9 if n < 64 else 10 for n in range(256)] + [11]
)


class ContextTables(NamedTuple):
    """Counts of the base that followed each context.

    Attributes:
        orders: (K,) context lengths, ascending.
        bits: (K,) log2 of the slots that each order has.
        offsets: (K,) first slot of each order.
        pseudo_counts: (K,) added to every count: large where contexts are dense, small where one
            observation says nearly everything.
        logs: (K, 64) logarithm of small counts with their pseudo-count.
        slots: (S, 5) uint16; four counts, all halved when one is full, and beside them (one cache line for
            both) a tag that says which context a hashed slot belongs to, 0 for none.
    """

    orders: np.ndarray
    bits: np.ndarray
    offsets: np.ndarray
    pseudo_counts: np.ndarray
    logs: np.ndarray
    slots: np.ndarray


def make_tables(orders: tuple[int, ...], num_bases: int) -> ContextTables:
    """Empty tables with room for both strands of `num_bases` bases, up to 2**24 contexts an order."""
    room = min(_LARGEST_TABLE_BITS, max(8, int(np.ceil(np.log2(2.4 * num_bases + 1)))))
    bits = np.array([2 * k if k <= _LONGEST_DIRECT else min(room, 2 * k) for k in orders])
    sizes = 1 << bits
    pseudo_counts = [1.0 if k <= 8 else 0.5 if k <= 10 else 0.25 if k == 11 else 0.06 for k in orders]
    return ContextTables(
        orders=np.array(orders),
        bits=bits,
        offsets=np.cumsum(sizes) - sizes,
        pseudo_counts=np.array(pseudo_counts),
        slots=np.zeros((sizes.sum(), 5), dtype=np.uint16),
        logs=np.log(np.arange(_TABULATED) + np.array(pseudo_counts)[:, None]),
    )


@compiled
def read_counts(
    tables: ContextTables, forward: np.uint64, known: int, features: np.ndarray, confidences: np.ndarray
) -> int:
    """Write each order's centred log-probabilities (K, 4) and confidence (K,).

    Returns:
        How many orders up to the longest one whose context was seen before; 0 for none.
    """
    longest = 0
    for i in range(tables.orders.size):
        slot: Integer = -1
        if known >= tables.orders[i]:
            slot = _find(tables, i, _last_bases(forward, tables.orders[i]))
        confidences[i] = _read_slot(tables, i, slot, features)
        if confidences[i] > 0:
            longest = i + 1
    return longest


@compiled
def count_base(
    tables: ContextTables,
    forward: np.uint64,
    reverse: np.uint64,
    known: int,
    base: Integer,
    both_strands: bool,
) -> None:
    """Count `base` after the contexts that end before it and, on the other strand, what it ends in turn.

    Args:
        tables: counted into.
        forward: the bases before, the latest in the lowest two bits.
        reverse: their complements, the latest in the highest two bits.
        known: how many bases before are known.
        base: 0 to 3.
        both_strands: count the reverse complement as well: there, the complement of the base before the
            context follows the complements of `base` and the bases before it.
    """
    turned = push_reverse(reverse, base)
    for i in range(tables.orders.size):
        order = tables.orders[i]
        if known < order:
            break
        _add(tables, i, _last_bases(forward, order), base)
        if both_strands:
            before = np.int64((forward >> np.uint64(2 * (order - 1))) & _THREE)
            _add(tables, i, turned >> np.uint64(_TOP - 2 * order), 3 - before)


@inlined
def push_forward(forward: np.uint64, base: Integer) -> np.uint64:
    """The packed bases with one more, in the lowest two bits."""
    return (forward << _TWO) | np.uint64(base)


@inlined
def push_reverse(reverse: np.uint64, base: Integer) -> np.uint64:
    """The packed complements with one more, in the highest two bits."""
    return (reverse >> _TWO) | (np.uint64(3 - base) << np.uint64(_TOP - 2))


@inlined
def scatter(context: np.uint64) -> np.uint64:
    """A 64-bit hash of a packed context."""
    mixed = (context + _ONE) * _MIX_1
    return (mixed ^ (mixed >> _MIX_SHIFT)) * _MIX_2


@inlined
def _read_slot(tables: ContextTables, i: int, slot: Integer, features: np.ndarray) -> Integer:
    """Write row i of `features` from the counts of `slot`; its confidence, 0 where there are none."""
    total: Integer = 0
    most: Integer = 0
    if slot >= 0:
        for base in range(4):
            count = np.int64(tables.slots[slot, base])
            total += count
            most = max(most, count)
    mean = 0.0
    for base in range(4):
        features[i, base] = _log_count(tables, i, slot, base) if total > 0 else 0.0
        mean += features[i, base] / 4
    for base in range(4):
        features[i, base] -= mean
    return 2 * _LEVELS[min(total, 256)] + (most == total) if total > 0 else 0


@inlined
def _log_count(tables: ContextTables, i: int, slot: Integer, base: int) -> float:
    count = np.int64(tables.slots[slot, base])
    if count < _TABULATED:
        logarithm = tables.logs[i, count]
    else:
        logarithm = np.log(count + tables.pseudo_counts[i])
    return logarithm


@inlined
def _last_bases(forward: np.uint64, order: int) -> np.uint64:
    return forward & ((_ONE << np.uint64(2 * order)) - _ONE)


@inlined
def _find(tables: ContextTables, i: int, context: np.uint64) -> Integer:
    """Slot of a context; -1 where a hashed one was never counted."""
    if tables.orders[i] <= _LONGEST_DIRECT:
        return tables.offsets[i] + np.int64(context)
    home, tag = _home(tables, i, context)
    mask = (1 << tables.bits[i]) - 1
    for probe in range(_PROBES):
        slot = tables.offsets[i] + ((home + probe) & mask)
        if tables.slots[slot, _TAG] == tag:
            return slot
        if tables.slots[slot, _TAG] == 0:
            return -1
    return -1


@inlined
def _add(tables: ContextTables, i: int, context: np.uint64, base: Integer) -> None:
    if tables.orders[i] <= _LONGEST_DIRECT:
        slot = tables.offsets[i] + np.int64(context)
    else:
        slot = _claim(tables, i, context)
    tables.slots[slot, base] += 1
    if tables.slots[slot, base] == _FULL:
        for other in range(4):
            tables.slots[slot, other] //= 2


@inlined
def _claim(tables: ContextTables, i: int, context: np.uint64) -> Integer:
    """Slot of a hashed context, a new one if need be; where all are taken, the least used one gives way."""
    home, tag = _home(tables, i, context)
    mask = (1 << tables.bits[i]) - 1
    least_used = -1
    fewest: Integer = 4 * _FULL
    for probe in range(_PROBES):
        slot = tables.offsets[i] + ((home + probe) & mask)
        if tables.slots[slot, _TAG] == tag:
            return slot
        if tables.slots[slot, _TAG] == 0:
            tables.slots[slot, _TAG] = tag
            return slot
        total = np.int64(tables.slots[slot, :_TAG].sum())
        if total < fewest:
            least_used, fewest = slot, total
    tables.slots[least_used, _TAG] = tag
    tables.slots[least_used, :_TAG] = 0
    return least_used


@inlined
def _home(tables: ContextTables, i: int, context: np.uint64) -> tuple[Integer, np.uint16]:
    """First slot to look at within the order's table, and the tag, never 0."""
    mixed = scatter(context)
    return np.int64(mixed >> np.uint64(_TOP - tables.bits[i])), np.uint16((mixed & _TAG_MASK) | _ONE)
