"""How often each codon stands for its residue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from genoseq.errors import ConfigError, RecordError
from genoseq.sequence.alphabet import BASES, encode_bases
from genoseq.sequence.genetic_code import CODONS, GeneticCode, genetic_code
from genoseq.sequence.record import UnifiedSequence
from genoseq.sequence.residues import RECODED, STOP, UNKNOWN

_PLACES = np.array([16, 4, 1])


@dataclass(frozen=True, eq=False)
class CodonUsage:
    """Counts or frequencies of codons, in the order of `genoseq.sequence.CODONS`; `count_codons` makes them.

    Attributes:
        code: the genetic code that says which codons are synonymous.
        residues: (64,) float64, of codons that stand for residues; 0 where none may.
        stops: (64,) float64, of codons that end a protein; 0 where none may.
    """

    code: GeneticCode
    residues: np.ndarray
    stops: np.ndarray

    def given_residue(self, residue: str, *, name: str = "the protein") -> np.ndarray:
        """Probability of each codon, given the residue, (64,) float64 of sum 1.

        B, Z, J and X are mixtures of their residues, as frequent as these are. U is TGA and O is TAG.

        Raises:
            SequenceError: there is no such residue.
            RecordError: none of its codons was ever counted.
        """
        possible = self.code.codons_of(residue)
        if residue in RECODED:
            return possible.astype(np.float64)
        counts = np.where(possible, self.stops if residue == STOP else self.residues, 0.0)
        if not counts.any():
            raise RecordError(
                name,
                "unseen residue",
                f"no codon of {residue!r} is in the usage table. Count more sequences, or with "
                "pseudocount=1.",
            )
        return counts / counts.sum()


def count_codons(
    records: Iterable[UnifiedSequence], code: int | str | GeneticCode = 1, *, pseudocount: float = 0.0
) -> CodonUsage:
    """Codon usage of coding sequences.

    Ambiguous and recoded codons are not counted, nor is a start codon that is read as M against its letters.

    Args:
        records: of this genetic code; those without a coding part count nothing.
        code: NCBI's number or name.
        pseudocount: what every codon begins with; 1 and no records is the uniform usage.

    Raises:
        RecordError: a record of another code.
        ConfigError: there is no such code, or the pseudocount is negative.
    """
    code = genetic_code(code)
    if not 0 <= pseudocount < np.inf:
        raise ConfigError(f"pseudocount={pseudocount}: wanted 0 or more.")
    totals = np.full((2, 64), pseudocount)
    for record in records:
        if record.code is not code:
            raise RecordError(
                record.name,
                "genetic code",
                f"it is of {record.code!r}; count it apart from those of {code!r}.",
            )
        totals += _counts(record)
    return _usage(code, *totals)


def codon_usage(table: Mapping[str, float], code: int | str | GeneticCode = 1) -> CodonUsage:
    """Codon usage from a table of counts or frequencies by codon, such as {"ATG": 22.1, "AUC": 20.8, ...}.

    Raises:
        ConfigError: a key is no codon of A C G T or U or stands twice, a value is negative or not finite, or
            there is no such code.
    """
    totals = np.zeros(64)
    seen: set[str] = set()
    for key, value in table.items():
        codon = key.upper().replace("U", "T")
        if codon not in CODONS or codon in seen or not 0 <= value < np.inf:
            raise ConfigError(
                f"{key!r}: {value!r} is no row of a codon table. Wanted each codon once, three letters of A "
                "C G T, with a count or frequency of 0 or more."
            )
        seen.add(codon)
        totals[CODONS.index(codon)] = value
    return _usage(genetic_code(code), totals, totals)


def _usage(code: GeneticCode, residues: np.ndarray, stops: np.ndarray) -> CodonUsage:
    return CodonUsage(
        code, np.where(code.codons_of(UNKNOWN), residues, 0.0), np.where(code.stops, stops, 0.0)
    )


def _counts(record: UnifiedSequence) -> np.ndarray:
    """(2, 64): codons that are residues, and codons that are stops."""
    letters, protein = record.coding_letters, record.protein
    codons = encode_bases(letters).reshape(-1, 3)
    as_coded = np.frombuffer(record.code.read(letters).encode(), dtype=np.uint8)[: len(protein)]
    certain = codons.max(axis=1) < BASES.index("N")
    counted = certain[: len(protein)] & (as_coded == np.frombuffer(protein.encode(), dtype=np.uint8))
    numbers = codons @ _PLACES
    recoded = np.array([codon for codon in record.recoded if codon < len(protein)], dtype=np.int64)
    counted[recoded] = False
    stops = numbers[len(protein) :][certain[len(protein) :]]
    return np.stack(
        [np.bincount(numbers[: len(protein)][counted], minlength=64), np.bincount(stops, minlength=64)]
    )
