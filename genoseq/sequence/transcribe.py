"""DNA to RNA and back: transcription and reverse transcription."""

from __future__ import annotations

from typing import Literal

from genoseq.errors import SequenceError, require_choice
from genoseq.sequence.alphabet import encode_base_sets, reverse_complement

DnaStrand = Literal["sense", "template"]

_TO_RNA = str.maketrans("Tt", "Uu")
_TO_DNA = str.maketrans("Uu", "Tt")


def transcribe(dna: str, *, strand: DnaStrand = "sense") -> str:
    """The RNA of a DNA, 5' to 3', case and ambiguity letters kept.

    Args:
        dna: letters of one strand, 5' to 3'.
        strand: which strand they are. "sense" is the coding strand, as genes are written: T becomes U.
            "template" is the one that the polymerase reads: the RNA is its reverse complement.

    Raises:
        SequenceError: letters that are no nucleotides, or U.
    """
    require_choice("strand", strand, ("sense", "template"))
    _refuse(dna, "uU", "U in DNA: this is RNA already. Give DNA letters")
    return (dna if strand == "sense" else reverse_complement(dna)).translate(_TO_RNA)


def reverse_transcribe(rna: str, *, strand: DnaStrand = "sense") -> str:
    """The complementary DNA (cDNA) of an RNA, 5' to 3', case and ambiguity letters kept.

    Args:
        rna: letters, 5' to 3'. RNA that is written with T, as in many databases, is taken too; not a mixture.
        strand: which strand of the double-stranded cDNA. "sense" has the letters of the RNA, T for U: what
            cDNA libraries and databases list, and what can be translated. "template" is the first strand,
            which the reverse transcriptase itself makes: the reverse complement of the RNA.

    Raises:
        SequenceError: letters that are no nucleotides, or both U and T.
    """
    require_choice("strand", strand, ("sense", "template"))
    if set("uU") & set(rna):
        _refuse(rna, "tT", "T beside U: this is neither RNA nor DNA. Write all of them as U")
    else:
        encode_base_sets(rna)
    sense = rna.translate(_TO_DNA)
    return sense if strand == "sense" else reverse_complement(sense)


def _refuse(letters: str, unwanted: str, why: str) -> None:
    encode_base_sets(letters)
    for letter in unwanted:
        if letter in letters:
            raise SequenceError(f"{letter!r} at position {letters.index(letter)} (counted from 0) is {why}.")
