"""Intervals on a genome: 0-based, half-open, everywhere in the library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

from genoseq.errors import IntervalError

Strand = Literal["+", "-", "."]
Anchor = Literal["center", "start", "end", "summit"]


@dataclass(frozen=True)
class Interval:
    """The bases [start, end) of a chromosome, counted from 0.

    Attributes:
        strand: "." where the two strands are not told apart.
        name: "." where it has none, as in BED.
        score: kept as it was written; "." where it has none.

    Raises:
        IntervalError: `start` is negative, the interval is empty or reversed, or the strand is unknown.
    """

    chromosome: str
    start: int
    end: int
    strand: Strand = "."
    name: str = "."
    score: str = "."

    def __post_init__(self) -> None:
        if self.start < 0:
            raise IntervalError(f"{self} begins before its chromosome: start must be 0 or more.")
        if self.start >= self.end:
            raise IntervalError(
                f"{self} holds no base: start must be less than end (0-based, half-open: 0-1 is one base)."
            )
        if self.strand not in get_args(Strand):
            raise IntervalError(f"{self}: the strand {self.strand!r} is none of '+', '-' and '.'.")

    def __str__(self) -> str:
        return f"{self.chromosome}:{self.start}-{self.end}({self.strand})"

    @property
    def width(self) -> int:
        """Number of bases."""
        return self.end - self.start

    def resize(self, width: int, anchor: Anchor = "center", summit: int | None = None) -> Interval:
        """The interval of `width` bases around the same anchor; see `resized_bounds`.

        Raises:
            IntervalError: as `resized_bounds`, or the result would begin before its chromosome.
        """
        start, end = self.resized_bounds(width, anchor, summit)
        return replace(self, start=start, end=end)

    def resized_bounds(
        self, width: int, anchor: Anchor = "center", summit: int | None = None
    ) -> tuple[int, int]:
        """Start and end after a resize; they may lie outside the chromosome, for those who pad or drop there.

        Args:
            width: number of bases wanted.
            anchor: what stays in place: the middle base, `start` or `end` (the fields, whatever the strand),
                or the summit, which comes to the middle.
            summit: for "summit": offset of the peak from `start` in bases, as in column 10 of narrowPeak.

        Raises:
            IntervalError: `width` is not positive, the anchor is unknown, or "summit" has no summit inside.
        """
        if width < 1:
            raise IntervalError(f"{self} cannot be resized to {width} bases: the width must be 1 or more.")
        if anchor == "start":
            return self.start, self.start + width
        if anchor == "end":
            return self.end - width, self.end
        start = self._middle(anchor, summit) - width // 2
        return start, start + width

    def shift(self, offset: int) -> Interval:
        """The interval moved by `offset` bases, to higher coordinates where it is positive."""
        return replace(self, start=self.start + offset, end=self.end + offset)

    def overlaps(self, other: Interval) -> bool:
        """Whether the two share a base, on whichever strands."""
        return self.chromosome == other.chromosome and self.start < other.end and other.start < self.end

    def _middle(self, anchor: Anchor, summit: int | None) -> int:
        if anchor == "center":
            return self.start + self.width // 2
        if anchor != "summit":
            raise IntervalError(f"the anchor {anchor!r} is none of {', '.join(get_args(Anchor))}.")
        if summit is None or not 0 <= summit < self.width:
            raise IntervalError(
                f"{self} has no summit at {summit}: it must be an offset from start, 0 to {self.width - 1} "
                "(narrowPeak writes -1 where no summit was called; use anchor center there)."
            )
        return self.start + summit
