"""Genetic codes: from codons, ambiguous letters and all, to residues."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product

import numpy as np
from Bio.Data import CodonTable

from genoseq.errors import ConfigError, SequenceError
from genoseq.sequence.alphabet import encode_base_sets
from genoseq.sequence.residues import AMBIGUOUS, RECODED, RESIDUES, STOP, UNKNOWN

CODONS = tuple("".join(bases) for bases in product("ACGT", repeat=3))
_MEANINGS = RESIDUES + STOP
_LETTER_OF_SET = "-ACMGRSVTWYHKDBN"
_SIZES = np.array([number.bit_count() for number in range(16)])


@dataclass(frozen=True, eq=False)
class GeneticCode:
    """One of NCBI's genetic codes; `genetic_code` gives it.

    A codon is a number from 0 to 63: 16 a + 4 b + c of the base codes of its letters, as in `CODONS`. Those
        of
    ambiguous letters are looked up by their base sets (`genoseq.sequence.encode_base_sets`).

    Attributes:
        number: NCBI's, the `transl_table` of annotations.
        name: NCBI's.
        residues: 64 letters, the residue of each codon, "*" where it is a stop and nothing else.
        stops: (64,) bool: codons that end a protein. In codes 27, 28 and 31 some of these are residues
            anywhere but at the end.
        starts: (64,) bool: codons that begin a protein, as methionine.
    """

    number: int
    name: str
    residues: str
    stops: np.ndarray
    starts: np.ndarray
    _residue_of_sets: np.ndarray = field(repr=False)
    _stop_of_sets: np.ndarray = field(repr=False)
    _start_of_sets: np.ndarray = field(repr=False)

    def read(self, letters: str) -> str:
        """Each codon as it stands, stops as "*"; `genoseq.sequence.translate` reads proteins.

        Args:
            letters: 3 C letters in either case, U or T. An ambiguous codon is the residue that all of its
                bases agree on, else B (D or N), Z (E or Q), J (I or L), else X.

        Returns:
            C residues.

        Raises:
            SequenceError: letters that are no nucleotides, or no whole number of codons.
        """
        return self._residue_of_sets[_codon_sets(letters)].tobytes().decode("ascii")

    def is_start(self, codon: str) -> bool:
        """Whether the codon, or each of those that it may be, can begin a protein."""
        return bool(self._start_of_sets[_codon_sets(codon)].all())

    def is_stop(self, codon: str) -> bool:
        """Whether the codon, or each of those that it may be, can end a protein."""
        return bool(self._stop_of_sets[_codon_sets(codon)].all())

    def codons_of(self, residue: str) -> np.ndarray:
        """(64,) bool: the codons that may stand for a residue.

        Those of B, Z and J are the codons of either residue, those of X all but the stops, those of "*" the
        stops, those of U and O the one that is recoded.

        Raises:
            SequenceError: there is no such residue.
        """
        if residue == STOP:
            return self.stops.copy()
        if residue in RECODED:
            return np.array([codon == RECODED[residue] for codon in CODONS])
        if residue == UNKNOWN:
            return np.array([letter != STOP for letter in self.residues])
        wanted = AMBIGUOUS.get(residue, residue)
        if len(residue) != 1 or not set(wanted) <= set(RESIDUES):
            raise SequenceError(
                f"{residue!r} is no residue: wanted one of {RESIDUES}UOBZJX, or * for a stop."
            )
        return np.array([letter in wanted for letter in self.residues])

    def ambiguous_codon(self, residue: str) -> str:
        """The widest codon of ambiguity letters that reads as the residue, RAY for B; NNN where none does."""
        reads = self._residue_of_sets == ord(residue)
        widths = np.where(reads, _SIZES[:, None, None] * _SIZES[:, None] * _SIZES, 0)
        if not widths.any():
            return "NNN"
        return "".join(_LETTER_OF_SET[int(base)] for base in np.unravel_index(widths.argmax(), widths.shape))

    def __repr__(self) -> str:
        return f"genetic_code({self.number})"

    def __reduce__(self) -> tuple[object, tuple[int]]:
        # One object a code, in every process.
        return genetic_code, (self.number,)


def genetic_code(code: int | str | GeneticCode = 1) -> GeneticCode:
    """A genetic code by NCBI's number or name: 1 "Standard", 2 "Vertebrate Mitochondrial", 11 "Bacterial".

    Raises:
        ConfigError: there is no such code; the message lists those there are.
    """
    if isinstance(code, GeneticCode):
        return code
    tables = CodonTable.unambiguous_dna_by_id
    number = int(code) if str(code).isdecimal() else _number_of(str(code))
    if number not in tables:
        known = ", ".join(f"{number} {tables[number].names[0]}" for number in sorted(tables))
        raise ConfigError(f"there is no genetic code {code!r}. Those of NCBI are {known}.")
    return _made(number)


def _number_of(name: str) -> int | None:
    table = CodonTable.unambiguous_dna_by_name.get(name)
    return None if table is None else table.id


@lru_cache
def _made(number: int) -> GeneticCode:
    table = CodonTable.unambiguous_dna_by_id[number]
    residues = "".join(table.forward_table.get(codon, STOP) for codon in CODONS)
    stops = np.array([codon in table.stop_codons for codon in CODONS])
    starts = np.array([codon in table.start_codons for codon in CODONS])
    for array in (stops, starts):
        array.flags.writeable = False
    return GeneticCode(
        number=number,
        name=table.names[0],
        residues=residues,
        stops=stops,
        starts=starts,
        _residue_of_sets=_residue_of_sets(residues),
        _stop_of_sets=~_possible(~stops[:, None])[..., 0],
        _start_of_sets=~_possible(~starts[:, None])[..., 0],
    )


def _possible(what: np.ndarray) -> np.ndarray:
    """Which of K properties some codon of three base sets has: (64, K) bool to (16, 16, 16, K) bool."""
    holds = (np.arange(16)[:, None] >> np.arange(4)) & 1
    counts = np.einsum(
        "xa,yb,zc,abck->xyzk", holds, holds, holds, what.reshape(4, 4, 4, -1).astype(int), optimize=True
    )
    return counts > 0


def _residue_of_sets(residues: str) -> np.ndarray:
    """(16, 16, 16) uint8: the letter of three base sets."""
    possible = _possible(np.array([[letter == residue for residue in _MEANINGS] for letter in residues]))
    table = np.full(possible.shape[:3], ord(UNKNOWN), dtype=np.uint8)
    meanings = {residue: residue for residue in _MEANINGS} | AMBIGUOUS
    for letter, meaning in meanings.items():
        exactly = np.array([residue in meaning for residue in _MEANINGS])
        table[(possible == exactly).all(axis=-1)] = ord(letter)
    return table


def _codon_sets(letters: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sets = encode_base_sets(letters)
    if len(sets) % 3:
        raise SequenceError(
            f"{len(sets):,} letters are no whole number of codons. Cut them to a multiple of three."
        )
    return sets[0::3], sets[1::3], sets[2::3]
