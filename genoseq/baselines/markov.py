"""Static Markov model: how well a base is known from the few before it, by counting alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genoseq.baselines.base import UNKNOWN, GenomeBaseline, GenomeData, bits_of, join_sequences
from genoseq.errors import ConfigError
from genoseq.sequence import reverse_complement

_PRIOR_STRENGTH = 16.0
_LARGEST_ORDER = 12


class StaticMarkov(GenomeBaseline):
    """Interpolated Markov model with counts of both strands; its order is chosen on validation.

    Each order's distribution is the lower order's, worth 16 observations, plus its own counts: contexts that
    were seen often speak for themselves, rare ones fall back.

    Args:
        max_order: highest order to try, 0 to 12.

    Raises:
        ConfigError: max_order is outside 0 to 12 (order 12 takes a gigabyte).

    Source: MacKay and Peto, A hierarchical Dirichlet language model (1995).
    """

    def __init__(self, *, max_order: int = 12) -> None:
        if not 0 <= max_order <= _LARGEST_ORDER:
            raise ConfigError(f"max_order must lie in 0 to {_LARGEST_ORDER}; given {max_order}")
        self.max_order = max_order
        self.order = 0
        self.name = "static Markov"
        self._probabilities = np.full((1, 4), 0.25, dtype=np.float32)

    def fit_splits(self, datamodule: GenomeData) -> None:
        """Count the train split and choose the order on validation."""
        train, validation = (
            [codes for _, codes in datamodule.sequences(split)] for split in ("train", "validation")
        )
        self.fit(train, validation)

    def fit(self, train: Sequence[np.ndarray], validation: Sequence[np.ndarray]) -> StaticMarkov:
        """Count `train`, raise the order while `validation` gets cheaper, keep the best.

        Args:
            train: (N,) uint8 base codes each; N is skipped.
            validation: likewise; sequence that is not in train.
        """
        forward, unseen = join_sequences(train), join_sequences(validation)
        strands = (forward, reverse_complement(forward))
        probabilities = np.full((1, 4), 0.25, dtype=np.float32)
        best = np.inf
        for order in range(self.max_order + 1):
            probabilities = interpolate(probabilities, strands, order)
            cost = float(np.nanmean(bits_of(look_up(probabilities, unseen, order), unseen)))
            if cost >= best:
                break
            best, self.order, self._probabilities = cost, order, probabilities
        self.name = f"static Markov (order {self.order})"
        return self

    def probabilities(self, codes: np.ndarray) -> np.ndarray:
        """(N, 4) float32 distribution over A, C, G, T before each base; NaN where the base is N.

        Uniform where the context is cut short by an end or an N.
        """
        return look_up(self._probabilities, codes, self.order)


def interpolate(lower: np.ndarray, strands: Sequence[np.ndarray], order: int) -> np.ndarray:
    """(4**order, 4) distributions from those of one order less, (4**(order - 1), 4), and the counts."""
    counts = np.zeros(4 ** (order + 1), dtype=np.float32)
    for codes in strands:
        context = _contexts(codes, order)
        known = (context >= 0) & (codes < UNKNOWN)
        counts += np.bincount(context[known] * 4 + codes[known], minlength=counts.size).astype(np.float32)
    table = counts.reshape(-1, 4)
    # The oldest base is the highest digit, so the shorter context of row r is row r modulo the lower table.
    table += _PRIOR_STRENGTH * np.tile(lower, (table.shape[0] // lower.shape[0], 1))
    table /= table.sum(axis=1, keepdims=True)
    return table


def _contexts(codes: np.ndarray, order: int) -> np.ndarray:
    """(N,) int64 number of the `order` bases before each position; -1 where they are not all known."""
    numbers = np.zeros(codes.size, dtype=np.int64)
    known = np.arange(codes.size) >= order
    for back in range(order, 0, -1):
        earlier = codes[: codes.size - back].astype(np.int64)
        numbers[back:] = numbers[back:] * 4 + (earlier & 3)
        known[back:] &= earlier < UNKNOWN
    return np.where(known, numbers, -1)


def look_up(table: np.ndarray, codes: np.ndarray, order: int) -> np.ndarray:
    """(N, 4) distribution before each base, of a table of `interpolate`; NaN where the base is N."""
    context = _contexts(codes, order)
    rows = table[np.maximum(context, 0)]
    rows[context < 0] = 0.25
    rows[codes == UNKNOWN] = np.nan
    return rows
