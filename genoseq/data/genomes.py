"""Genomes to draw windows from."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from genoseq.data.fasta import Fasta
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import Interval, Lowercase


class Genomes:
    """One or more genomes under one set of chromosome names.

    Args:
        fastas: one FASTA a genome. Chromosomes of several are named `genome:chromosome`, the genome by its
            file (`hg38` of `hg38.fa.gz`).
        weights: how often each genome is drawn; None is by its size.
        lowercase: "base" reads soft-masked letters as bases, "mask" as N.

    Attributes:
        count: how many genomes there are.
        lengths: bases of each chromosome.

    Raises:
        ConfigError: the weights do not fit. DataError: as `Fasta`, or two files have one name.
    """

    def __init__(
        self,
        fastas: Sequence[str | os.PathLike[str]],
        *,
        weights: Sequence[float] | None = None,
        lowercase: Lowercase = "base",
    ) -> None:
        if not fastas:
            raise ConfigError("fasta is an empty list: give at least one FASTA.")
        if weights is not None and (len(weights) != len(fastas) or min(weights) < 0 or sum(weights) <= 0):
            raise ConfigError(
                f"weights={list(weights)} must be one number of 0 or more for each of {len(fastas)} FASTA "
                "files, and not all 0."
            )
        self._lowercase = lowercase
        self._places: dict[str, tuple[Fasta, str]] = {}
        self._genome: dict[str, int] = {}
        self._weights = weights
        self.count = len(fastas)
        for number, path in enumerate(fastas):
            fasta = Fasta(path)
            for name in fasta.names:
                qualified = name if len(fastas) == 1 else f"{_stem(fasta)}:{name}"
                if qualified in self._places:
                    raise DataError(f"two FASTA files have the name {_stem(fasta)!r}: rename {fasta.path}.")
                self._places[qualified] = (fasta, name)
                self._genome[qualified] = number
        self.lengths = {name: fasta.lengths[own] for name, (fasta, own) in self._places.items()}

    def chromosomes(self, number: int) -> dict[str, str]:
        """What the chromosomes of one genome are called here, by their names in its FASTA."""
        return {own: name for name, (_, own) in self._places.items() if self._genome[name] == number}

    def codes(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """Base codes of [start, end), (end - start,) uint8, a new array."""
        fasta, name = self._places[chromosome]
        return fasta.codes(name, start, end, lowercase=self._lowercase)

    def draw_weights(self, regions: Sequence[Interval], room: np.ndarray) -> np.ndarray:
        """Probability of each region, (R,): by genome weight, and in a genome by `room`, (R,)."""
        genome = np.array([self._genome[region.chromosome] for region in regions])
        if self._weights is None:
            return room / room.sum()
        room_of_genome = np.bincount(genome, weights=room, minlength=len(self._weights))
        shares = np.where(room_of_genome > 0, self._weights, 0.0)
        if not shares.sum():
            raise DataError("no genome of a weight above 0 has room for a window in this split.")
        return room * (shares / shares.sum() / np.maximum(room_of_genome, 1))[genome]


def _stem(fasta: Fasta) -> str:
    return fasta.path.name.removesuffix(".gz").removesuffix(".bgz").rpartition(".")[0]
