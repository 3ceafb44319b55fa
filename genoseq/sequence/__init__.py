"""Nucleotide letters and their codes, the one reverse complement, strands, intervals, and the central dogma.

DNA, RNA and protein are made records of one kind (`UnifiedSequence`) by `unify_dna`, `unify_rna`,
`unify_protein`, `unify_cds`, `unify_pair` and `splice`, one record a call; `keep` makes many of them, with
bad ones an error or counted.
"""

from genoseq.sequence.alphabet import (
    BASES,
    Lowercase,
    decode_bases,
    encode_base_sets,
    encode_bases,
    require_codes,
    reverse_complement,
)
from genoseq.sequence.codec import Decoded, decode_bytes, encode_bytes
from genoseq.sequence.coding import CODON, CodingRegion, Codons, codon_starts, find_codons
from genoseq.sequence.codon_usage import CodonUsage, codon_usage, count_codons
from genoseq.sequence.constraints import Constraints
from genoseq.sequence.frames import OpenFrame, longest_open_frame
from genoseq.sequence.genetic_code import CODONS, GeneticCode, genetic_code
from genoseq.sequence.intervals import Anchor, Interval, Strand
from genoseq.sequence.keep import Kept, OnError, keep
from genoseq.sequence.letters import Letters
from genoseq.sequence.record import Modality, UnifiedSequence
from genoseq.sequence.residues import (
    AMBIGUOUS,
    RESIDUE_LETTERS,
    RESIDUES,
    STOP,
    UNKNOWN,
    encode_residues,
    require_protein,
)
from genoseq.sequence.reverse_translate import expected_bases, expected_codons, reverse_translate
from genoseq.sequence.shuffle import dinucleotide_shuffle
from genoseq.sequence.splice import splice
from genoseq.sequence.strands import AS_GIVEN, StrandKind, StrandPolicy, Strands, strand_policy
from genoseq.sequence.transcribe import reverse_transcribe, transcribe
from genoseq.sequence.transcripts import Transcript
from genoseq.sequence.translate import translate
from genoseq.sequence.unify import unify_cds, unify_dna, unify_pair, unify_protein, unify_rna
from genoseq.sequence.variants import AlleleKind, AlleleWindow, Variant, allele_kind, allele_window

__all__ = [
    "AMBIGUOUS",
    "AS_GIVEN",
    "BASES",
    "CODON",
    "CODONS",
    "AlleleKind",
    "AlleleWindow",
    "Anchor",
    "CodingRegion",
    "Constraints",
    "Decoded",
    "CodonUsage",
    "Codons",
    "GeneticCode",
    "Interval",
    "Kept",
    "Letters",
    "Lowercase",
    "Modality",
    "OnError",
    "OpenFrame",
    "RESIDUES",
    "RESIDUE_LETTERS",
    "STOP",
    "Strand",
    "StrandKind",
    "StrandPolicy",
    "Strands",
    "Transcript",
    "UNKNOWN",
    "UnifiedSequence",
    "Variant",
    "allele_kind",
    "allele_window",
    "codon_starts",
    "codon_usage",
    "count_codons",
    "decode_bases",
    "decode_bytes",
    "dinucleotide_shuffle",
    "encode_base_sets",
    "encode_bases",
    "encode_bytes",
    "encode_residues",
    "expected_bases",
    "expected_codons",
    "find_codons",
    "genetic_code",
    "keep",
    "longest_open_frame",
    "require_codes",
    "require_protein",
    "reverse_complement",
    "reverse_transcribe",
    "reverse_translate",
    "splice",
    "strand_policy",
    "transcribe",
    "translate",
    "unify_cds",
    "unify_dna",
    "unify_pair",
    "unify_protein",
    "unify_rna",
]
