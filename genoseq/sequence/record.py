"""One record for DNA, RNA and protein: nucleotide letters, with the map between base, codon and residue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from genoseq.errors import RecordError, SequenceError
from genoseq.sequence.alphabet import encode_base_sets
from genoseq.sequence.genetic_code import GeneticCode, genetic_code
from genoseq.sequence.transcripts import Transcript
from genoseq.sequence.translate import ends_in_stop, translate

Modality = Literal["dna", "rna", "protein"]


@dataclass(frozen=True)
class UnifiedSequence:
    """A sequence of any modality as DNA letters of its sense strand, 5' to 3'.

    `unify_dna`, `unify_rna`, `unify_protein`, `unify_cds`, `unify_pair` and `splice` make them. Codon i is
    residue i of the protein; a stop codon at the end has no residue.

    Attributes:
        name: what errors call it.
        letters: L upper-case letters, A C G T and ambiguity letters.
        modality: what the sequence was before: "dna", "rna" or "protein".
        coding: the part [start, end) of the letters that is read in codons, whole ones; None where nothing
            is.
        code: the genetic code.
        recoded: residues that the code does not give, by the number of their codon; see `translate`.
        partial_start, partial_end: the coding sequence goes on beyond this end; see `translate`.
        transcript: where the letters lie on a genome; None where that is not known.

    Raises:
        RecordError: the letters are no upper-case DNA, the coding part is none or cannot be translated, or
            the transcript has another length.
    """

    name: str
    letters: str
    modality: Modality
    coding: tuple[int, int] | None = None
    code: GeneticCode = field(default_factory=genetic_code)
    recoded: Mapping[int, str] = field(default_factory=dict)
    partial_start: bool = False
    partial_end: bool = False
    transcript: Transcript | None = None

    def __post_init__(self) -> None:
        _require_dna(self.name, self.letters)
        if self.coding is not None:
            _require_whole_codons(self.name, self.coding, len(self.letters))
            # Read once, at the door, so that a record that cannot be translated is none.
            _ = self.protein
        if self.transcript is not None and self.transcript.length != len(self.letters):
            raise RecordError(
                self.name,
                "length",
                f"{len(self.letters):,} letters for a transcript of {self.transcript.length:,} bases.",
            )

    @property
    def frame(self) -> int | None:
        """Bases before the first codon, modulo three, as the phase of GFF; None without a coding part."""
        return None if self.coding is None else self.coding[0] % 3

    @property
    def coding_letters(self) -> str:
        """The letters of the codons, stop and all; "" without a coding part."""
        return "" if self.coding is None else self.letters[slice(*self.coding)]

    @property
    def num_codons(self) -> int:
        """Whole codons C, the stop among them."""
        return len(self.coding_letters) // 3

    @cached_property
    def protein(self) -> str:
        """The residues, one a codon, without the stop; "" without a coding part."""
        return translate(
            self.coding_letters,
            self.code,
            recoded=self.recoded,
            partial_start=self.partial_start,
            partial_end=self.partial_end,
            name=self.name,
        )

    @property
    def has_stop(self) -> bool:
        """Whether the last codon is a stop."""
        return ends_in_stop(
            self.coding_letters, self.code, recoded=self.recoded, partial_end=self.partial_end
        )

    @property
    def codons(self) -> np.ndarray:
        """Indices of the three letters of each codon, (C, 3) int64."""
        start = 0 if self.coding is None else self.coding[0]
        return start + np.arange(3 * self.num_codons, dtype=np.int64).reshape(-1, 3)

    @property
    def codon_of_base(self) -> np.ndarray:
        """Number of the codon that each letter belongs to, (L,) int64; -1 outside of the coding part."""
        numbers = np.full(len(self.letters), -1, dtype=np.int64)
        codons = self.codons
        numbers[codons] = np.arange(len(codons))[:, None]
        return numbers

    @property
    def residue_of_base(self) -> np.ndarray:
        """Number of the residue that each letter belongs to, (L,) int64; -1 outside and in the stop codon."""
        numbers = self.codon_of_base
        numbers[numbers >= len(self.protein)] = -1
        return numbers

    @property
    def positions(self) -> np.ndarray:
        """Genomic position of each letter, (L,) int64, 0-based; falling on the strand "-".

        Raises:
            RecordError: the record does not come from a genome.
        """
        if self.transcript is None:
            raise RecordError(
                self.name,
                "no transcript",
                "it has no place on a genome; read it with an annotation (splice).",
            )
        return self.transcript.positions

    @property
    def codon_positions(self) -> np.ndarray:
        """Genomic positions of the three letters of each codon, (C, 3) int64; an intron may lie between them.

        Raises:
            RecordError: as `positions`.
        """
        return self.positions[self.codons]


def _require_dna(name: str, letters: str) -> None:
    try:
        encode_base_sets(letters)
    except SequenceError as error:
        raise RecordError(name, "unknown base", str(error)) from error
    if "U" in letters or letters != letters.upper():
        raise RecordError(
            name, "unknown base", "wanted upper-case DNA letters; unify_rna takes RNA, unify_dna either case."
        )


def _require_whole_codons(name: str, coding: tuple[int, int], length: int) -> None:
    start, end = coding
    if not 0 <= start <= end <= length:
        raise RecordError(
            name,
            "coding part",
            f"the coding part {start}-{end} (0-based, half-open) is not inside of {length:,} letters.",
        )
    if (end - start) % 3:
        raise RecordError(
            name,
            "length",
            f"the coding part {start}-{end} has {end - start:,} bases, no multiple of three. Check the frame "
            "and the ends; it must hold whole codons.",
        )
