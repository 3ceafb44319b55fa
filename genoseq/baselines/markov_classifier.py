"""Which class's Markov chain would have written a sequence?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genoseq.baselines.base import UNKNOWN, bits_of, join_sequences
from genoseq.baselines.classes import ClassBaseline, Labelled, calibrated
from genoseq.baselines.markov import interpolate, look_up
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases, reverse_complement

_LARGEST_ORDER = 10


class MarkovClassifier(ClassBaseline):
    """An interpolated Markov model for each class, and Bayes' rule.

    The order, and whether counts are of both strands, are chosen on validation; sequences are then as likely
    as their bases, each given those before it.

    Args:
        max_order: highest order to try, 0 to 10.

    Raises:
        ConfigError: max_order is outside of that.

    Source: Salzberg et al. 1998, Nucleic Acids Res. 26:544, with the interpolation of `StaticMarkov`.
    """

    name = "interpolated Markov, by class"

    def __init__(self, *, max_order: int = 8) -> None:
        if not 0 <= max_order <= _LARGEST_ORDER:
            raise ConfigError(f"max_order must lie in 0 to {_LARGEST_ORDER}; given {max_order}")
        self.max_order = max_order

    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) probabilities."""
        of_class = [
            [encode_bases(train.sequences[row]) for row in np.flatnonzero(train.labels == one)]
            for one in range(classes)
        ]
        # A class that train does not hold is as likely as a sequence of random bases.
        joined = [join_sequences(part) if part else np.array([UNKNOWN], dtype=np.uint8) for part in of_class]
        prior = np.log([max(len(part) / len(train.labels), 1e-12) for part in of_class])
        unseen, asked = _Joined(validation.sequences), _Joined(sequences)
        best, chosen = -1.0, (np.empty(0), np.empty(0))
        for both_strands in (False, True):
            strands = [(one, reverse_complement(one)) if both_strands else (one,) for one in joined]
            tables = [np.full((1, 4), 0.25, dtype=np.float32) for _ in joined]
            for order in range(self.max_order + 1):
                tables = [interpolate(t, s, order) for t, s in zip(tables, strands, strict=True)]
                scores = prior + unseen.log_likelihoods(tables, order)
                accuracy = float((scores.argmax(axis=1) == validation.labels).mean())
                if accuracy > best:
                    best = accuracy
                    chosen = (prior + asked.log_likelihoods(tables, order), scores)
        return calibrated(*chosen, validation.labels)


class _Joined:
    """Many sequences as one vector, an N after each, so that all are looked up at once."""

    def __init__(self, sequences: Sequence[str]) -> None:
        codes = [encode_bases(sequence) for sequence in sequences]
        gap = np.array([UNKNOWN], dtype=np.uint8)
        self._codes = np.concatenate([part for one in codes for part in (one, gap)])
        self._starts = np.cumsum([0, *(one.size + 1 for one in codes[:-1])])

    def log_likelihoods(self, tables: Sequence[np.ndarray], order: int) -> np.ndarray:
        """(N, C) natural logarithms, of the bases whose whole context is known."""
        columns = []
        for table in tables:
            bits = np.nan_to_num(bits_of(look_up(table, self._codes, order), self._codes))
            columns.append(-np.log(2) * np.add.reduceat(bits.astype(np.float64), self._starts))
        return np.stack(columns, axis=1)
