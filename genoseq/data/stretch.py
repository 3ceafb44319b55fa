"""Letters of a genome that are read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from genoseq.data.fasta import Fasta
from genoseq.sequence import Interval, reverse_complement


@dataclass(frozen=True)
class Stretch:
    """An interval of a FASTA on its strand, read as a text is: `len(stretch)`, `stretch[10:20]`.

    Args:
        fasta: where it is.
        interval: on the strand "-" letters count from its end.

    Raises:
        DataError, IntervalError: there is no such interval; on reading, as `Fasta.fetch`.
    """

    fasta: Fasta
    interval: Interval

    def __post_init__(self) -> None:
        self.fasta.require_inside(self.interval.chromosome, self.interval.start, self.interval.end)

    def __len__(self) -> int:
        return self.interval.width

    def __getitem__(self, part: slice, /) -> str:
        start, end, step = part.indices(len(self))
        assert step == 1, "letters are read in their order"
        place = self.interval
        if place.strand != "-":
            return self.fasta.fetch(place.chromosome, place.start + start, place.start + max(start, end))
        letters = self.fasta.fetch(place.chromosome, place.end - max(start, end), place.end - start)
        return reverse_complement(letters)
