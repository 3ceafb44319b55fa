"""Context-mixing counter: what counting and copying alone know of a base, as DNA compressors do it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genoseq.baselines import context_tables, repeats
from genoseq.baselines.base import UNKNOWN, GenomeBaseline, GenomeData, join_sequences
from genoseq.baselines.context_tables import (
    LONGEST_CONTEXT,
    ContextTables,
    count_base,
    make_tables,
    push_forward,
    push_reverse,
    read_counts,
)
from genoseq.baselines.mixing import LAST_BASES, Mixer, learn, make_mixer, mix
from genoseq.baselines.repeats import (
    Repeats,
    find_repeats,
    follow_repeats,
    forget_copies,
    make_repeats,
    read_repeats,
)
from genoseq.compiled import compiled
from genoseq.errors import ConfigError

_COUNT_WEIGHT = 0.15
_COPY_WEIGHT = 0.3
_COPY_STATES = 3


class _Counter(NamedTuple):
    """All that changes while the counter learns."""

    tables: ContextTables
    repeats: Repeats
    mixer: Mixer


class ContextMixing(GenomeBaseline):
    """Counts of many orders on both strands, mixed by weights that depend on how much each order has seen.

    The train sequence is read once, each base predicted before it is counted, so the weights learn from what
    counts say of sequence that is new to them.

    Args:
        orders: context lengths, 1 to 31.
        inverted_repeats: count the reverse complement of all that is read as well.
        repeat_lengths: lengths of match that start a copy model on either strand, 4 to 31; none: counting
            alone.
        adaptive: keep counting and learning along the sequences that are scored, as a compressor does. They
            are then one stream: each call goes on from where the last one ended. Otherwise everything is
            frozen at the end of train.

    Raises:
        ConfigError: no orders, or lengths outside their range.

    Source: Pratas, Hosseini and Pinho, GeCo2 (2020) for counts and inverted repeats; Cao et al., A simple
        statistical algorithm for biological sequence compression (2007) for copies; Mahoney, Adaptive
        weighing of context models for lossless data compression (2005) for the mixing.
    """

    def __init__(
        self,
        *,
        orders: Sequence[int] = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 16, 18, 20),
        inverted_repeats: bool = True,
        repeat_lengths: Sequence[int] = (),
        adaptive: bool = False,
    ) -> None:
        self.orders = _checked_lengths("orders", orders, 1)
        if not self.orders:
            raise ConfigError("orders is empty: give at least one context length, such as orders=[2,11,16]")
        self.inverted_repeats = inverted_repeats
        self.repeat_lengths = _checked_lengths("repeat_lengths", repeat_lengths, 4)
        self.adaptive = adaptive
        self.name = f"{'adaptive' if adaptive else 'frozen'} counter"
        if self.repeat_lengths:
            self.name += " with copies"
        self._counter: _Counter | None = None
        self._read = np.zeros(0, dtype=np.uint8)

    def fit_splits(self, datamodule: GenomeData) -> None:
        """Read the train split."""
        self.fit([codes for _, codes in datamodule.sequences("train")])

    def fit(self, train: Sequence[np.ndarray]) -> ContextMixing:
        """Read `train`, (N,) uint8 base codes each, forgetting all that was read before."""
        self._read = join_sequences(train)
        self._counter = self._empty_counter(self._read.size)
        _scan(self._counter, self._read, 0, self.inverted_repeats, True)
        return self

    def probabilities(self, codes: np.ndarray) -> np.ndarray:
        """(N, 4) float32 distribution over A, C, G, T before each base; NaN where the base is N."""
        assert self._counter is not None, "fit comes before probabilities"
        sequence = np.concatenate([self._read, codes, np.array([UNKNOWN], dtype=np.uint8)])
        start = self._read.size
        rows = _scan(self._counter, sequence, start, self.inverted_repeats, self.adaptive)[: codes.size]
        if self.adaptive:
            self._read = sequence
        return rows

    def _empty_counter(self, num_bases: int) -> _Counter:
        copies = 2 * len(self.repeat_lengths)
        first_weights = np.array([_COUNT_WEIGHT] * len(self.orders) + [_COPY_WEIGHT] * copies)
        return _Counter(
            tables=make_tables(self.orders, num_bases),
            repeats=make_repeats(self.repeat_lengths),
            mixer=make_mixer(
                first_weights,
                confidences=max(context_tables.CONFIDENCES, repeats.CONFIDENCES),
                selections=_COPY_STATES * (len(self.orders) + 1),
            ),
        )


def _checked_lengths(name: str, lengths: Sequence[int], least: int) -> tuple[int, ...]:
    if any(not least <= length <= LONGEST_CONTEXT for length in lengths):
        raise ConfigError(f"{name} must lie in {least} to {LONGEST_CONTEXT}; given {list(lengths)}")
    return tuple(sorted(set(lengths)))


@compiled
def _scan(counter: _Counter, codes: np.ndarray, start: int, both_strands: bool, learning: bool) -> np.ndarray:
    """(N - start, 4) float32 distributions from `start` on; what lies before is there to be copied."""
    orders = counter.tables.orders.size
    inputs = orders + counter.repeats.pointer.size
    features, confidences = np.zeros((inputs, 4)), np.zeros(inputs, dtype=np.int64)
    count_features, copy_features = features[:orders], features[orders:]
    count_confidences, copy_confidences = confidences[:orders], confidences[orders:]
    probabilities = np.zeros(4)
    rows = np.full((codes.size - start, 4), np.nan, dtype=np.float32)
    forward, reverse, known = np.uint64(0), np.uint64(0), 0
    forget_copies(counter.repeats)
    for position in range(start, codes.size):
        base = np.int64(codes[position])
        if base == UNKNOWN:
            known = 0
            forget_copies(counter.repeats)
            continue
        longest = read_counts(counter.tables, forward, known, count_features, count_confidences)
        copied = read_repeats(counter.repeats, codes, copy_features, copy_confidences)
        selection = _COPY_STATES * longest + copied
        last_bases = np.int64(forward & np.uint64(15)) if known >= 2 else LAST_BASES - 1
        mix(counter.mixer, features, confidences, selection, last_bases, probabilities)
        rows[position - start, :] = probabilities
        if learning:
            learn(counter.mixer, features, confidences, selection, last_bases, probabilities, base)
            count_base(counter.tables, forward, reverse, known, base, both_strands)
        follow_repeats(counter.repeats, base, learning)
        forward, reverse, known = push_forward(forward, base), push_reverse(reverse, base), known + 1
        find_repeats(counter.repeats, codes, position, forward, reverse, known, learning)
    return rows
