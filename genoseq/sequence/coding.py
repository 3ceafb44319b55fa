"""Coding regions of a sequence, and where their codons begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genoseq.errors import IntervalError
from genoseq.sequence.intervals import Strand

CODON = 3


class CodingRegion(NamedTuple):
    """The bases [start, stop) of a sequence that are read in codons.

    Attributes:
        strand: the one that is translated, "+" or "-"; the region of "-" begins at its end.
        phase: bases between the beginning of the region and its first whole codon, 0 to 2, as in GFF: those
            of a codon that an intron divides.
    """

    start: int
    stop: int
    strand: Strand = "+"
    phase: int = 0

    def turned(self, length: int) -> CodingRegion:
        """The same region in the reverse complement of its sequence of `length` bases."""
        other: Strand = "-" if self.strand == "+" else "+"
        return CodingRegion(length - self.stop, length - self.start, other, self.phase)


class Codons(NamedTuple):
    """Codons on a sequence, in rising order.

    Attributes:
        starts: (C,) int64, the first base of each, on the sequence as it is given.
        backward: (C,) bool, whether it is read on the other strand, from its last base to its first.
    """

    starts: np.ndarray
    backward: np.ndarray


def codon_starts(coding: Sequence[tuple], length: int) -> np.ndarray:
    """The `starts` of `find_codons`."""
    return find_codons(coding, length).starts


def find_codons(coding: Sequence[tuple], length: int) -> Codons:
    """Where codons are; each is three bases inside of its region.

    Where regions overlap, the bases are those of the one that begins first; a base belongs to one codon at
    most.

    Args:
        coding: regions as `CodingRegion`, or tuples of its values: `(start, stop)`, `(start, stop, "-")`...
        length: bases of the sequence.

    Raises:
        IntervalError: a region that is empty, reversed or not inside of the sequence, or has a strand or a
            phase that is none.
    """
    if not len(coding):
        return Codons(np.empty(0, dtype=np.int64), np.empty(0, dtype=bool))
    regions = sorted(CodingRegion(*given) for given in coding)
    for region in regions:
        _require_inside(region, length)
    starts, stops, phases = (
        np.array([getattr(region, name) for region in regions], dtype=np.int64)
        for name in ("start", "stop", "phase")
    )
    forward = np.array([region.strand == "+" for region in regions])
    free = np.maximum(starts, np.concatenate(([0], np.maximum.accumulate(stops)[:-1])))
    free_from = np.where(forward, np.maximum(free, starts + phases), free)
    last = np.where(forward, stops, stops - phases)
    # Codons of "+" are counted from the region's start, those of "-" from its end: in frame either way.
    anchors = np.where(forward, starts + phases, last)
    first = free_from + (anchors - free_from) % CODON
    counts = np.maximum(last - first, 0) // CODON
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return Codons(np.repeat(first, counts) + CODON * within, np.repeat(~forward, counts))


def _require_inside(region: CodingRegion, length: int) -> None:
    if not 0 <= region.start < region.stop <= length:
        raise IntervalError(
            f"{region} is no part of a sequence of {length:,} bases: wanted 0 <= start < stop <= {length}, "
            "0-based and half-open."
        )
    if region.strand not in ("+", "-") or region.phase not in range(CODON):
        raise IntervalError(f"{region}: the strand has to be '+' or '-', and the phase 0, 1 or 2.")
