"""Nucleotide letters and their codes, the one reverse complement, strands, and intervals on a genome."""

from genoseq.sequence.alphabet import (
    BASES,
    Lowercase,
    decode_bases,
    encode_bases,
    require_codes,
    reverse_complement,
)
from genoseq.sequence.intervals import Anchor, Interval, Strand
from genoseq.sequence.shuffle import dinucleotide_shuffle
from genoseq.sequence.strands import AS_GIVEN, StrandKind, StrandPolicy, Strands, strand_policy

__all__ = [
    "AS_GIVEN",
    "BASES",
    "Anchor",
    "Interval",
    "Lowercase",
    "Strand",
    "StrandKind",
    "StrandPolicy",
    "Strands",
    "decode_bases",
    "dinucleotide_shuffle",
    "encode_bases",
    "require_codes",
    "reverse_complement",
    "strand_policy",
]
