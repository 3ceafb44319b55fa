"""Reading frames that stay open: what a sequence would be read as if it were a gene without introns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from genoseq.sequence.alphabet import encode_bases, reverse_complement
from genoseq.sequence.genetic_code import GeneticCode, genetic_code
from genoseq.sequence.intervals import Strand

_CODON = 3


class OpenFrame(NamedTuple):
    """A stretch of codons from one that begins proteins to the next stop.

    Attributes:
        start, stop: bases [start, stop) of the sequence as it was given, the stop codon included.
        strand: the one that is read.
        ends: whether there is a stop codon; False where the sequence ends before one.
    """

    start: int
    stop: int
    strand: Strand
    ends: bool

    @property
    def num_codons(self) -> int:
        """How many codons there are, a stop codon aside."""
        return (self.stop - self.start) // _CODON - self.ends


def longest_open_frame(sequence: str, code: int | str | GeneticCode = 1) -> OpenFrame | None:
    """The longest open reading frame of all six; of those as long, the first, and "+" before "-".

    Args:
        sequence: letters in either case, with U or T. A codon with an ambiguous base neither begins nor ends
            a frame.
        code: NCBI's number or name.

    Returns:
        None where no codon begins one.

    Raises:
        SequenceError: a character that is no nucleotide letter.
        ConfigError: there is no such code.
    """
    code = genetic_code(code)
    length = len(sequence)
    best: OpenFrame | None = None
    strands: dict[Strand, str] = {"+": sequence, "-": reverse_complement(sequence)}
    for strand, letters in strands.items():
        bases = encode_bases(letters)
        for phase in range(_CODON):
            found = _longest(bases[phase:], code)
            if found is None:
                continue
            first, last, ends = found
            start, stop = phase + _CODON * first, phase + _CODON * last
            if strand == "-":
                start, stop = length - stop, length - start
            frame = OpenFrame(start, stop, strand, ends)
            if best is None or _rank(frame) < _rank(best):
                best = frame
    return best


def _rank(frame: OpenFrame) -> tuple[int, str, int]:
    return frame.start - frame.stop, frame.strand, frame.start


def _longest(bases: np.ndarray, code: GeneticCode) -> tuple[int, int, bool] | None:
    """First codon, end of codons, and whether the last is a stop, of the longest frame at this phase."""
    codons = bases[: len(bases) // _CODON * _CODON].reshape(-1, _CODON).astype(np.int64)
    known = (codons < 4).all(1)
    number = np.where(known, codons @ (16, 4, 1), 0)
    starts = np.flatnonzero(known & code.starts[number])
    stops = np.flatnonzero(known & code.stops[number])
    begins = np.concatenate([[0], stops + 1])
    ends = np.concatenate([stops + 1, [len(codons)]])
    firsts = np.append(starts, len(codons))[np.searchsorted(starts, begins)]
    lengths = ends - firsts
    longest = int(lengths.argmax())
    if lengths[longest] <= 0:
        return None
    return int(firsts[longest]), int(ends[longest]), longest < len(stops)
