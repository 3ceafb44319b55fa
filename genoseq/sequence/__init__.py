"""Nucleotide letters and their codes, the one reverse complement, and intervals on a genome."""

from genoseq.sequence.alphabet import (
    BASES,
    Lowercase,
    decode_bases,
    encode_bases,
    require_codes,
    reverse_complement,
)
from genoseq.sequence.intervals import Anchor, Interval, Strand
from genoseq.sequence.letters import Letters
from genoseq.sequence.shuffle import dinucleotide_shuffle

__all__ = [
    "BASES",
    "Anchor",
    "Interval",
    "Letters",
    "Lowercase",
    "Strand",
    "decode_bases",
    "dinucleotide_shuffle",
    "encode_bases",
    "require_codes",
    "reverse_complement",
]
