"""How operators that work in chunks of positions go through a sequence that no chunk need divide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Span(NamedTuple):
    """A block: `chunks` chunks of `size` positions from `start` on."""

    start: int
    chunks: int
    size: int

    @property
    def positions(self) -> slice:
        """Of the whole block."""
        return slice(self.start, self.start + self.chunks * self.size)


def spans(length: int, *, size: int, chunks: int) -> Iterator[Span]:
    """Full blocks of `chunks` chunks, then the chunks that are left, then the positions that are left."""
    start = 0
    for positions in (size, length % size):
        while positions and length - start >= positions:
            span = Span(start, min(chunks, (length - start) // positions), positions)
            start = span.positions.stop
            yield span
