"""A position weight matrix: what stands at each place of a site, each place by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genoseq.baselines.base import UNKNOWN, Baseline
from genoseq.baselines.kmer import LabelledData
from genoseq.errors import ConfigError
from genoseq.sequence import encode_bases

if TYPE_CHECKING:
    from genoseq.data.datamodule import Split


class PositionWeightMatrix(Baseline):
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

    def require_data(self, datamodule: Any) -> None:
        """One class a sequence; that they are of one length is known once they are read."""
        if getattr(datamodule, "problem", None) != "single_label" or datamodule.level != "sequence":
            raise ConfigError(
                f"{self.name} tells classes of sequences, and a {type(datamodule).__name__} has none. Give "
                "baselines=none."
            )

    def predict(self, datamodule: LabelledData, split: Split = "test") -> pd.DataFrame:
        """Fit on train, choose the pseudocount on validation, predict `split`.

        Returns:
            One row an example, as `KmerLogisticRegression.predict`.

        Raises:
            ConfigError: the data have no class a sequence, or sequences of several lengths.
        """
        self.require_data(datamodule)
        train, validation, wanted = (datamodule.examples(part) for part in ("train", "validation", split))
        classes = [str(name) for name in datamodule.classes or ()]
        labels = train["label"].astype(str).to_numpy()
        words, unseen, asked = (self._words(table, train) for table in (train, validation, wanted))
        truth = validation["label"].astype(str).to_numpy()
        best, probabilities = -1.0, np.empty(0)
        for pseudocount in self.pseudocounts:
            weights = [self._weights(words[labels == name], pseudocount) for name in classes]
            prior = np.log([max((labels == name).mean(), 1e-12) for name in classes])
            chosen = np.array(classes)[_log_odds(unseen, weights, prior).argmax(axis=1)]
            if (accuracy := float((chosen == truth).mean())) > best:
                best, probabilities = accuracy, _softmax(_log_odds(asked, weights, prior))
        columns: dict[str, Any] = {"index": np.arange(len(wanted)), "label": wanted["label"].astype(str)}
        columns["prediction"] = np.array(classes)[probabilities.argmax(axis=1)]
        columns |= {f"probability_{name}": probabilities[:, i] for i, name in enumerate(classes)}
        columns |= {column: wanted[column].to_numpy() for column in ("name", "group") if column in wanted}
        leaked = datamodule.leaked(split)
        return pd.DataFrame(columns if leaked is None else columns | {"leaked": leaked})

    def _words(self, table: pd.DataFrame, train: pd.DataFrame) -> np.ndarray:
        """(N, L) numbers of the words that end at each place: 0 to 4 ** (order + 1) - 1, -1 with an N."""
        length = len(train["sequence"].iloc[0])
        if (table["sequence"].str.len() != length).any():
            raise ConfigError(
                f"{self.name} is for sequences of one length, as of sites in the middle; these have several. "
                "Give baselines=none or baselines=classification."
            )
        codes = np.stack([encode_bases(sequence) for sequence in table["sequence"]]).astype(np.int64)
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


def _softmax(values: np.ndarray) -> np.ndarray:
    shifted = np.exp(values - values.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
