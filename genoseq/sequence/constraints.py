"""What designed sequences have to hold, and whether one does."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from genoseq.errors import ConfigError, SequenceError, require_whole
from genoseq.sequence.alphabet import encode_base_sets, encode_bases, reverse_complement
from genoseq.sequence.genetic_code import CODONS, genetic_code
from genoseq.sequence.residues import require_protein

CODON = 3
_REGEX_OF_LETTER = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "[AG]", "Y": "[CT]", "S": "[CG]", "W": "[AT]",
    "K": "[GT]", "M": "[AC]", "B": "[CGT]", "D": "[AGT]", "H": "[ACT]", "V": "[ACG]", "N": "[ACGT]",
}  # fmt: skip


@dataclass(frozen=True)
class Constraints:
    """Rules for sequences of one length, all of which hold together.

    Attributes:
        length: bases.
        gc: smallest and largest share of G and C, in every window.
        gc_window: bases of a window; None is the whole sequence.
        max_homopolymer: the longest run of one base.
        forbidden: motifs in IUPAC letters that may not stand anywhere.
        both_strands: a motif may not stand on the other strand either.
        enzymes: restriction enzymes by their REBASE names, such as EcoRI, that may not cut, on either strand.
        fixed: letters, IUPAC too, that stand at a place: {10: "TATAAA"}, counted from 0.
        protein: residues that the codons from `protein_start` on have to encode; "*" may end it.
        protein_start: place of its first base, counted from 0.
        code: genetic code of the protein.

    Raises:
        ConfigError: a rule that makes no sense by itself; `Feasible` tells whether all of them go together.
        SequenceError, RecordError: letters that are no nucleotides, or no residues.
    """

    length: int
    gc: tuple[float, float] | None = None
    gc_window: int | None = None
    max_homopolymer: int | None = None
    forbidden: tuple[str, ...] = ()
    both_strands: bool = True
    enzymes: tuple[str, ...] = ()
    fixed: Mapping[int, str] = field(default_factory=dict)
    protein: str | None = None
    protein_start: int = 0
    code: int | str = 1

    def __post_init__(self) -> None:
        require_whole(
            length=self.length,
            gc_window=self.gc_window,
            max_homopolymer=self.max_homopolymer,
            protein_start=self.protein_start,
        )
        if self.length < 1:
            raise ConfigError(f"length={self.length}: a sequence has 1 base or more.")
        self._check_gc()
        if self.max_homopolymer is not None and self.max_homopolymer < 1:
            raise ConfigError(f"max_homopolymer={self.max_homopolymer}: give 1 or more, or leave it out.")
        if "" in self.forbidden:
            raise ConfigError("forbidden holds an empty motif: give letters, such as [TATAAA].")
        for motif in self.forbidden:
            _letters_of(f"forbidden {motif}", motif)
        for name in self.enzymes:
            restriction_enzyme(name)
        _ = self.letter_sets
        if self.protein is not None:
            self._check_protein(require_protein(self.protein, "constraints.protein"))

    @property
    def window(self) -> int:
        """Bases of a GC window."""
        return self.length if self.gc_window is None else self.gc_window

    @property
    def gc_counts(self) -> tuple[int, int]:
        """Fewest and most G and C in a window."""
        if self.gc is None:
            return 0, self.window
        low, high = (share * self.window for share in self.gc)
        return math.ceil(low - 1e-9), math.floor(high + 1e-9)

    @property
    def letter_sets(self) -> np.ndarray:
        """(L,) uint8: the base sets that `fixed` leaves at each place, see `encode_base_sets`.

        Raises:
            ConfigError: letters beyond the sequence, or two that contradict each other.
        """
        sets = np.full(self.length, 15, dtype=np.uint8)
        for start, letters in self.fixed.items():
            if start < 0 or start + len(letters) > self.length or not letters:
                raise ConfigError(
                    f"fixed={{{start}: {letters}}} does not lie within the {self.length:,} bases: place it "
                    f"from 0 to {self.length - len(letters)}."
                )
            part = slice(start, start + len(letters))
            sets[part] &= _letters_of(f"fixed {{{start}: {letters}}}", letters)
            if not sets[part].all():
                place = start + int(np.flatnonzero(sets[part] == 0)[0])
                raise ConfigError(f"fixed: two of its entries contradict each other at base {place}.")
        return sets

    @property
    def patterns(self) -> dict[str, tuple[str, ...]]:
        """The words that may not stand on the given strand, by what forbids them."""
        found: dict[str, tuple[str, ...]] = {}
        if self.max_homopolymer is not None and self.max_homopolymer < self.length:
            found["max_homopolymer"] = tuple(base * (self.max_homopolymer + 1) for base in "ACGT")
        for motif in self.forbidden:
            found[f"forbidden {motif}"] = _strands(motif) if self.both_strands else (motif.upper(),)
        for name in self.enzymes:
            found[f"the site of {name}"] = _strands(restriction_enzyme(name).site)
        return found

    def codons(self) -> np.ndarray:
        """(R, 4, 4, 4) bool: the codons that may stand for each residue; R is 0 without a protein."""
        if self.protein is None:
            return np.zeros((0, 4, 4, 4), dtype=bool)
        code = genetic_code(self.code)
        return np.array([code.codons_of(residue) for residue in self.protein.upper()]).reshape(-1, 4, 4, 4)

    def violations(self, sequence: str) -> list[str]:
        """What a sequence breaks, a few words each; empty where it holds everything.

        Looked up in its letters by other means than designing uses: regular expressions, Biopython's enzymes
        and a codon table.

        Raises:
            SequenceError: letters that are no nucleotides.
        """
        letters = sequence.upper()
        if len(letters) != self.length:
            return [f"{len(letters):,} bases instead of {self.length:,}"]
        if set(letters) - set("ACGT"):
            return ["letters other than A, C, G and T"]
        kinds = (self._broken_composition, self._broken_words, self._broken_places)
        return [told for kind in kinds for told in kind(letters)]

    def _broken_composition(self, letters: str) -> Iterator[str]:
        if self.gc is not None:
            strong = np.isin(encode_bases(letters), (1, 2))
            totals = np.concatenate(([0], np.cumsum(strong)))
            counts = totals[self.window :] - totals[: -self.window]
            low, high = self.gc_counts
            wrong = np.flatnonzero((counts < low) | (counts > high))
            if len(wrong):
                share = counts[wrong[0]] / self.window
                yield f"GC of {share:.3f} in {self.window} bases from {wrong[0]}"
        longest = max(len(list(run)) for _, run in groupby(letters))
        if self.max_homopolymer is not None and longest > self.max_homopolymer:
            yield f"a run of {longest}"

    def _broken_words(self, letters: str) -> Iterator[str]:
        from Bio.Seq import Seq

        for motif in self.forbidden:
            for word in _strands(motif) if self.both_strands else (motif.upper(),):
                found = re.search("".join(_REGEX_OF_LETTER[letter] for letter in word), letters)
                if found is not None:
                    yield f"{motif} at {found.start()}"
        for name in self.enzymes:
            # Biopython wants a cut within the sequence; a site at the very end may cut beyond it.
            padded = Seq("N" * _PADDING + letters + "N" * _PADDING)
            cuts = restriction_enzyme(name).search(padded)
            if cuts:
                yield f"a site of {name}"

    def _broken_places(self, letters: str) -> Iterator[str]:
        wrong = np.flatnonzero((encode_base_sets(letters) & self.letter_sets) == 0)
        if len(wrong):
            yield f"another letter than fixed at {wrong[0]}"
        code = genetic_code(self.code)
        for number, residue in enumerate((self.protein or "").upper()):
            start = self.protein_start + CODON * number
            if not code.codons_of(residue)[CODONS.index(letters[start : start + CODON])]:
                yield f"codon {number} is not for {residue}"
                return

    def _check_gc(self) -> None:
        if self.gc is None:
            if self.gc_window is not None:
                raise ConfigError(
                    f"gc_window={self.gc_window} has no meaning without gc=[LOW,HIGH]: give both."
                )
            return
        shares = all(isinstance(share, int | float) for share in self.gc)
        if not shares or len(self.gc) != 2 or not 0 <= self.gc[0] <= self.gc[1] <= 1:
            raise ConfigError(
                f"gc={list(self.gc)}: give two shares from 0 to 1, the smaller first: [0.4,0.6]."
            )
        if not 1 <= self.window <= self.length:
            raise ConfigError(
                f"gc_window={self.gc_window}: give 1 to {self.length} bases, the length of all."
            )
        low, high = self.gc_counts
        if low > high:
            raise ConfigError(
                f"gc={list(self.gc)}: no number of G and C in {self.window} bases has such a share. Widen it."
            )

    def _check_protein(self, residues: str) -> None:
        if self.protein_start < 0:
            raise ConfigError(f"protein_start={self.protein_start}: places are counted from 0.")
        end = self.protein_start + CODON * len(residues)
        if end > self.length:
            raise ConfigError(
                f"a protein of {len(residues)} residues from base {self.protein_start} ends at {end}, the "
                f"sequence has {self.length}: give length={end} or more, or another protein_start."
            )
        if "*" in residues[:-1]:
            raise ConfigError("the protein has a stop before its end: leave it out.")
        genetic_code(self.code)


_PADDING = 40


def restriction_enzyme(name: str) -> Any:
    """Biopython's class of a restriction enzyme; `site` is what it recognises, in IUPAC letters.

    Raises:
        ConfigError: there is none of this name, or its site is not known.
    """
    from Bio import Restriction
    from Bio.Restriction.Restriction_Dictionary import rest_dict

    enzyme = getattr(Restriction, name, None)
    if not isinstance(enzyme, type) or not hasattr(enzyme, "site"):
        near = [known for known in rest_dict if known.lower() == name.lower()]
        hint = f" Did you mean {near[0]}?" if near else " Names are as in REBASE: EcoRI, BsaI, NotI."
        raise ConfigError(f"{name!r} is no restriction enzyme that Biopython knows.{hint}")
    if not enzyme.site or not set(enzyme.site.upper()) <= set(_REGEX_OF_LETTER):
        raise ConfigError(f"the recognition site of {name} is not known: leave it out.")
    return enzyme


def _letters_of(setting: str, letters: str) -> np.ndarray:
    """(L,) uint8 base sets; an error says which setting has no nucleotides."""
    try:
        return encode_base_sets(letters)
    except SequenceError as error:
        raise SequenceError(f"{setting}: {error}") from error


def _strands(motif: str) -> tuple[str, ...]:
    """A motif on either strand, once where both are the same."""
    upper = motif.upper()
    return tuple(dict.fromkeys((upper, reverse_complement(upper))))
