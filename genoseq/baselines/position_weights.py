"""A position weight matrix: what stands at each place of a site, each place by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genoseq.baselines.base import UNKNOWN
from genoseq.baselines.classes import ClassBaseline, Labelled, softmax
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases


class PositionWeightMatrix(ClassBaseline):
    """Log-odds of the bases, or of each with the one before it, at each place of sequences of one length.

    Each class is a Markov chain of its own at every place, of order 0 (a weight matrix) or 1 (a weight array
    model, as splice-site finders use them); a sequence has the class under which it is more likely. The share
    of each class in train is the prior.

    Args:
        order: 0 or 1.
        pseudocounts: of each base at a place, to choose from on validation.

    Source: Staden 1984, Nucleic Acids Res. 12:505 (order 0); Zhang and Marr 1993, CABIOS 9:499 (order 1).

    Raises:
        ConfigError: another order, or pseudocounts that are not positive.
    """

    def __init__(self, *, order: int = 0, pseudocounts: Sequence[float] = (0.5, 2.0, 8.0)) -> None:
        if order not in (0, 1):
            raise ConfigError(f"order={order}: give 0 for a weight matrix or 1 for a weight array model.")
        if not pseudocounts or min(pseudocounts) <= 0:
            raise ConfigError(
                f"pseudocounts must be positive numbers, one at least; given {list(pseudocounts)}"
            )
        self.order = order
        self.pseudocounts = tuple(pseudocounts)
        self.name = "weight array model (order 1)" if order else "position weight matrix"

    def classify(
        self, train: Labelled, validation: Labelled, sequences: Sequence[str], *, classes: int, strand: str
    ) -> np.ndarray:
        """(N, classes) probabilities; the pseudocount is chosen on validation.

        Raises:
            ConfigError: the sequences are of several lengths.
        """
        length = len(train.sequences[0])
        words, unseen, asked = (
            self._words(texts, length) for texts in (train.sequences, validation.sequences, sequences)
        )
        prior = np.log([max((train.labels == one).mean(), 1e-12) for one in range(classes)])
        best, probabilities = -1.0, np.empty(0)
        for pseudocount in self.pseudocounts:
            weights = [self._weights(words[train.labels == one], pseudocount) for one in range(classes)]
            chosen = _log_odds(unseen, weights, prior).argmax(axis=1)
            if (accuracy := float((chosen == validation.labels).mean())) > best:
                best, probabilities = accuracy, softmax(_log_odds(asked, weights, prior))
        return probabilities

    def _words(self, sequences: Sequence[str], length: int) -> np.ndarray:
        """(N, L) numbers of the words that end at each place: 0 to 4 ** (order + 1) - 1, -1 with an N."""
        if any(len(sequence) != length for sequence in sequences):
            raise ConfigError(
                f"{self.name} is for sequences of one length, as of sites in the middle; these have several. "
                "Give baselines=none or baselines=classification."
            )
        codes = np.stack([encode_bases(sequence) for sequence in sequences]).astype(np.int64)
        if not self.order:
            return np.where(codes < UNKNOWN, codes, -1)
        # Before the first base stands A in every sequence: one more constant.
        before = np.pad(codes[:, :-1], ((0, 0), (1, 0)))
        return np.where((codes < UNKNOWN) & (before < UNKNOWN), 4 * before + codes, -1)

    def _weights(self, words: np.ndarray, pseudocount: float) -> np.ndarray:
        """(L, 4 ** (order + 1)) natural log-probabilities of the last base of each word."""
        size = 4 ** (self.order + 1)
        counts = np.stack([np.bincount(place[place >= 0], minlength=size) for place in words.T])
        smooth = (counts + pseudocount).reshape(len(counts), -1, 4)
        return np.log(smooth / smooth.sum(axis=2, keepdims=True)).reshape(len(counts), size)


def _log_odds(words: np.ndarray, weights: Sequence[np.ndarray], prior: np.ndarray) -> np.ndarray:
    """(N, C) log-likelihoods; words with an N count for nothing."""
    places = np.arange(words.shape[1])
    each = [np.where(words >= 0, table[places, words], 0.0).sum(axis=1) for table in weights]
    return np.stack(each, axis=1) + prior
