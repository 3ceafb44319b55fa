"""Where the coding sequence of a transcript lies on its genome, in one part or, with introns, in several."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from genoseq.errors import RecordError
from genoseq.sequence.intervals import Strand


@dataclass(frozen=True)
class Transcript:
    """The coding parts of one transcript: 0-based, half-open, as everywhere in the library.

    Attributes:
        name: what errors and records call it.
        chromosome: that of all parts.
        strand: "+" or "-"; the parts of "-" are read from the last to the first, complemented.
        parts: [start, end) of each part, the stop codon among them, in rising order whatever the strand.
        phase: bases of the first part, in the direction of reading, before the first whole codon: 0 to 2. It
            is 0 where the start is annotated.
        gene: "." where it has none.
        code: number of the genetic code that the annotation names; None where it names none.
        recoded: place and residue of codons that are not read by the code: the genomic position of the
            codon's first base, in the direction of reading, and a letter such as U for selenocysteine, or "*"
            for a stop that is completed by the poly(A) tail.
        partial_start, partial_end: the annotation says that this end of the coding sequence is not there.

    Raises:
        RecordError: no parts, parts that are empty, out of order or overlap, an unknown strand or phase.
    """

    name: str
    chromosome: str
    strand: Strand
    parts: tuple[tuple[int, int], ...]
    phase: int = 0
    gene: str = "."
    code: int | None = None
    recoded: tuple[tuple[int, str], ...] = ()
    partial_start: bool = False
    partial_end: bool = False

    def __post_init__(self) -> None:
        if self.strand not in ("+", "-"):
            raise RecordError(
                self.name, "strand", f"the strand {self.strand!r} cannot be translated; wanted '+' or '-'."
            )
        if self.phase not in (0, 1, 2):
            raise RecordError(self.name, "phase", f"the phase is {self.phase!r}; wanted 0, 1 or 2.")
        if not self.parts:
            raise RecordError(self.name, "no coding part", "it has no coding part; wanted at least one.")
        for start, end in self.parts:
            if not 0 <= start < end:
                raise RecordError(
                    self.name,
                    "empty part",
                    f"the part {self.chromosome}:{start}-{end} (0-based, half-open) holds no base or begins "
                    "before its chromosome.",
                )
        for (start, end), (next_start, next_end) in pairwise(self.parts):
            if next_start < end:
                raise RecordError(
                    self.name,
                    "overlapping exons",
                    f"the parts {self.chromosome}:{start}-{end} and {next_start}-{next_end} (0-based, "
                    "half-open) overlap or are out of order. Parts of one coding sequence share no base; one "
                    "that is read twice, as in ribosomal slippage, cannot be spliced.",
                )

    @property
    def length(self) -> int:
        """Bases of all parts."""
        return sum(end - start for start, end in self.parts)

    @property
    def positions(self) -> np.ndarray:
        """Genomic position of each base in the direction of reading, (L,) int64."""
        rising = np.concatenate([np.arange(start, end, dtype=np.int64) for start, end in self.parts])
        return rising if self.strand == "+" else rising[::-1]

    @property
    def read_parts(self) -> tuple[tuple[int, int], ...]:
        """The parts in the direction of reading."""
        return self.parts if self.strand == "+" else self.parts[::-1]

    @property
    def phases(self) -> tuple[int, ...]:
        """What the phase of each of `read_parts` must be: bases before the first codon that begins in it."""
        lengths = np.array([end - start for start, end in self.read_parts])
        return tuple(((self.phase - np.cumsum(lengths) + lengths) % 3).tolist())
