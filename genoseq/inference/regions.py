"""Sequences of which a part is looked at, base by base, in what surrounds it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from genoseq.data.bed import read_bed
from genoseq.data.fasta import Fasta
from genoseq.data.stretch import Stretch
from genoseq.errors import ConfigError
from genoseq.inference.records import PathLike, read_records
from genoseq.sequence import Interval


@dataclass(frozen=True)
class Region:
    """Attributes:
    name: as its source has it.
    sequence: upper-case letters, on the strand of the interval.
    start, end: the part [start, end) of them that is looked at.
    interval: where this part lies; None where it is of no genome.
    """

    name: str
    sequence: str
    start: int
    end: int
    interval: Interval | None = None

    @property
    def letters(self) -> str:
        """Those of the part."""
        return self.sequence[self.start : self.end]

    def places(self, positions: np.ndarray) -> dict[str, Any]:
        """Columns of a table that say where positions, (N,) from the start of the part on, are."""
        where: dict[str, Any] = {"name": [self.name] * len(positions), "position": positions}
        if self.interval is not None:
            turned = self.interval.strand == "-"
            genomic = self.interval.end - 1 - positions if turned else self.interval.start + positions
            where |= {"chromosome": [self.interval.chromosome] * len(positions), "genome_position": genomic}
        return where


def read_regions(
    input: PathLike | None = None,
    *,
    fasta: PathLike | None = None,
    bed: PathLike | None = None,
    flank: int = 0,
    sequence_column: str = "sequence",
    name_column: str | None = None,
) -> Iterator[Region]:
    """Stream whole sequences, or the intervals of a BED in the genome around them.

    Args:
        flank: bases of the genome that are read on each side of an interval, fewer at the end of a contig.
        input, fasta, bed, sequence_column, name_column: see `read_records`.

    Raises:
        ConfigError: a flank without intervals, or as `read_records`.
        DataError, IntervalError: as `read_records`.
    """
    if flank < 0 or (flank and (bed is None or fasta is None)):
        raise ConfigError(f"flank={flank}: bases around the intervals of a genome, 0 or more: fasta= bed=.")
    if fasta is not None and bed is not None and input is None:
        genome = Fasta(fasta)
        for interval in read_bed(bed):
            yield _around(genome, interval, flank)
        return
    records = read_records(
        input, fasta=fasta, bed=bed, sequence_column=sequence_column, name_column=name_column
    )
    for name, sequence in records:
        yield Region(name, sequence[:].upper(), 0, len(sequence))


def _around(genome: Fasta, interval: Interval, flank: int) -> Region:
    genome.require_inside(interval.chromosome, interval.start, interval.end)
    low = max(interval.start - flank, 0)
    high = min(interval.end + flank, genome.lengths[interval.chromosome])
    wide = Interval(interval.chromosome, low, high, interval.strand)
    before = high - interval.end if interval.strand == "-" else interval.start - low
    name = str(interval) if interval.name == "." else interval.name
    letters = Stretch(genome, wide)[:].upper()
    return Region(name, letters, before, before + interval.width, interval)
