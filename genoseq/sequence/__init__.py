"""Nucleotide letters and their codes, the one reverse complement, strands, and intervals on a genome."""

from genoseq.sequence.alphabet import (
    BASES,
    Lowercase,
    decode_bases,
    encode_bases,
    require_codes,
    reverse_complement,
)
from genoseq.sequence.coding import CODON, CodingRegion, codon_starts
from genoseq.sequence.intervals import Anchor, Interval, Strand
from genoseq.sequence.letters import Letters
from genoseq.sequence.shuffle import dinucleotide_shuffle
from genoseq.sequence.strands import AS_GIVEN, StrandKind, StrandPolicy, Strands, strand_policy

__all__ = [
    "AS_GIVEN",
    "BASES",
    "CODON",
    "Anchor",
    "CodingRegion",
    "Interval",
    "Letters",
    "Lowercase",
    "Strand",
    "StrandKind",
    "StrandPolicy",
    "Strands",
    "codon_starts",
    "decode_bases",
    "dinucleotide_shuffle",
    "encode_bases",
    "require_codes",
    "reverse_complement",
    "strand_policy",
]
