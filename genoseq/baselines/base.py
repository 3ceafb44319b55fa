"""What a baseline is: fitted on train alone, it returns the table that a model's own predictions have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, DataError
from genoseq.sequence import Interval

if TYPE_CHECKING:
    from genoseq.data.splits import Split

UNKNOWN = 4
"""Base code of N: never counted, never scored."""


class GenomeData(Protocol):
    """What a baseline of genomes asks of a data module."""

    def sequences(self, split: Split) -> list[tuple[Interval, np.ndarray]]:
        """Contiguous pieces of a split with their base codes, (N,) uint8."""

    def tiles(self, split: Split) -> pd.DataFrame:
        """Evaluation tiles: columns chromosome, window (where the context begins), start, end."""


class Baseline(ABC):
    """A simple model to compare with. `name` is how reports call it; it may become more exact once fitted."""

    name: str

    def name_for(self, problems: Collection[str]) -> str:
        """How a report of data of such problems calls it, before it is fitted on any."""
        return self.name

    @abstractmethod
    def require_data(self, datamodule: Any) -> None:
        """Refuse data that this is no baseline for.

        Raises:
            ConfigError: they are of another kind.
        """

    @abstractmethod
    def predict(self, datamodule: Any, split: Split = "test") -> pd.DataFrame:
        """Fit on train, choose settings on validation, predict `split`: one row a tile or an example."""


class GenomeBaseline(Baseline):
    """A baseline that gives every base of a genome its cost in bits."""

    def require_data(self, datamodule: Any) -> None:
        """Genomes in tiles."""
        if not (hasattr(datamodule, "sequences") and hasattr(datamodule, "tiles")):
            raise ConfigError(
                f"{self.name} counts the bases of genomes, and a {type(datamodule).__name__} has none. Give "
                "baselines=none."
            )

    @abstractmethod
    def fit_splits(self, datamodule: GenomeData) -> None:
        """Fit on the train split; choose settings, if there are any to choose, on validation."""

    @abstractmethod
    def probabilities(self, codes: np.ndarray) -> np.ndarray:
        """Distribution over A, C, G, T before each base is seen.

        Args:
            codes: (N,) uint8 base codes.

        Returns:
            (N, 4) float32, rows sum to one; NaN where the base is N.
        """

    def bits(self, codes: np.ndarray) -> np.ndarray:
        """Bits that each base costs given those before it: (N,) float32, NaN where the base is N."""
        return bits_of(self.probabilities(codes), codes)

    def predict(self, datamodule: GenomeData, split: Split = "test") -> pd.DataFrame:
        """Fit on train and sum the bits of `split` over the data module's tiles.

        Returns:
            One row a tile: chromosome, start, end, num_bases (A, C, G, T only), bits.

        Raises:
            DataError: a tile lies outside the sequences of its split.
        """
        self.fit_splits(datamodule)
        scored = [(interval, self.bits(codes)) for interval, codes in datamodule.sequences(split)]
        return sum_over_tiles(scored, datamodule.tiles(split))


def sum_over_tiles(scored: Sequence[tuple[Interval, np.ndarray]], tiles: pd.DataFrame) -> pd.DataFrame:
    """Sum bits per base over tiles.

    Args:
        scored: pieces of genome with their (N,) bits, NaN where a base is not scored.
        tiles: columns chromosome, start, end; each within one piece.

    Returns:
        The tiles in their order, with num_bases and bits.

    Raises:
        DataError: a tile lies outside all pieces.
    """
    sums = [
        (interval, _running(np.isfinite(bits)), _running(np.nan_to_num(bits))) for interval, bits in scored
    ]
    rows = []
    for chromosome, start, end in tiles[["chromosome", "start", "end"]].itertuples(index=False):
        interval, bases, bits = piece_of(sums, chromosome, start, end)
        first, last = start - interval.start, end - interval.start
        rows.append(
            (chromosome, start, end, int(bases[last] - bases[first]), float(bits[last] - bits[first]))
        )
    return pd.DataFrame(rows, columns=["chromosome", "start", "end", "num_bases", "bits"])


def bits_of(probabilities: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(N,) bits of the bases that came, from the (N, 4) distributions before them; NaN for N."""
    # The row of an N is NaN throughout, whichever of its columns is read.
    return -np.log2(probabilities[np.arange(codes.size), np.minimum(codes, 3)])


def join_sequences(sequences: Sequence[np.ndarray]) -> np.ndarray:
    """One uint8 vector of all sequences, an N after each, so that no context reaches over a border.

    Raises:
        DataError: there is no base A, C, G or T in any of them.
    """
    if not any((codes < UNKNOWN).any() for codes in sequences):
        raise DataError("the train split holds no base A, C, G or T to count. Give it more sequence.")
    gap = np.array([UNKNOWN], dtype=np.uint8)
    return np.concatenate([part for codes in sequences for part in (codes, gap)])


def _running(values: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(values, dtype=np.float64)])


Piece = TypeVar("Piece", bound=tuple[Any, ...])


def piece_of(pieces: Sequence[Piece], chromosome: str, start: int, end: int) -> Piece:
    """The one of some pieces, each an `Interval` and what belongs to it, that some bases lie in.

    Raises:
        DataError: they lie in none.
    """
    for piece in pieces:
        interval = piece[0]
        if interval.chromosome == chromosome and interval.start <= start and end <= interval.end:
            return piece
    raise DataError(f"the tile {chromosome}:{start}-{end} lies outside the sequences of its split")
