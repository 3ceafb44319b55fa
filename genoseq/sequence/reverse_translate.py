"""Protein to coding sequence."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from genoseq.errors import ConfigError, require_choice
from genoseq.sequence.codon_usage import CodonUsage
from genoseq.sequence.genetic_code import CODONS
from genoseq.sequence.residues import AMBIGUOUS, UNKNOWN, require_protein

Choice = Literal["most_frequent", "sample"]

_BASE_OF_CODON = np.array(
    [[["ACGT".index(base) == letter for letter in range(4)] for base in codon] for codon in CODONS]
)


def reverse_translate(
    protein: str,
    usage: CodonUsage,
    *,
    choice: Choice = "most_frequent",
    generator: np.random.Generator | None = None,
    name: str = "the protein",
) -> str:
    """A coding sequence of a protein, one of the many.

    Args:
        protein: R residues in either case; "*" may stand at the end, for the stop. B, Z, J and X become the
            ambiguous codon that reads as they do (RAY, SAR, MTH and NNN in the standard code), or NNN where
            there is none. U becomes TGA and O TAG.
        usage: codon usage of the organism.
        choice: "most_frequent" takes the most frequent codon, the first of equals in the order of `CODONS`;
            "sample" draws each codon by its frequency, independently.
        generator: source of all randomness; wanted for "sample".
        name: what errors call the protein.

    Returns:
        3 R letters.

    Raises:
        RecordError: letters that are no residues, a stop before the end, or a residue whose codons were never
            counted; the message says where.
        ConfigError: an unknown choice, or "sample" without a generator.
    """
    require_choice("choice", choice, get_args(Choice))
    if choice == "sample" and generator is None:
        raise ConfigError(
            "choice='sample' draws codons: give a generator, such as numpy.random.default_rng(0)."
        )
    letters, numbers, table = _looked_up(protein, usage, name)
    if choice == "most_frequent" or generator is None:
        codons = table.argmax(axis=1)[numbers]
    else:
        # Counting the boundaries at or below a draw: never a codon of probability 0, even by rounding.
        boundaries = np.cumsum(table, axis=1)
        boundaries /= boundaries[:, -1:]
        codons = (boundaries[numbers] <= generator.random(len(numbers))[:, None]).sum(axis=1)
    words = np.array(CODONS)[codons]
    for residue in set(letters) & {*AMBIGUOUS, UNKNOWN}:
        words[np.array(list(letters)) == residue] = usage.code.ambiguous_codon(residue)
    return "".join(words)


def expected_codons(protein: str, usage: CodonUsage, *, name: str = "the protein") -> np.ndarray:
    """Probability of each codon at each residue, (R, 64) float64; rows sum to 1, columns as `CODONS`.

    Arguments and errors as `reverse_translate`; B, Z, J and X are mixtures over their residues.
    """
    _, numbers, table = _looked_up(protein, usage, name)
    return table[numbers]


def expected_bases(protein: str, usage: CodonUsage, *, name: str = "the protein") -> np.ndarray:
    """Probability of each base at each place of the coding sequence, (3 R, 4) float64; columns A, C, G, T.

    Arguments and errors as `expected_codons`, whose margins these are.
    """
    _, numbers, table = _looked_up(protein, usage, name)
    return np.einsum("rc,cpb->rpb", table, _BASE_OF_CODON)[numbers].reshape(-1, 4)


def _looked_up(protein: str, usage: CodonUsage, name: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Upper-case residues, the row of each (R,), and rows of codon probabilities (number of kinds, 64)."""
    letters = require_protein(protein, name)
    kinds = sorted(set(letters))
    rows = [usage.given_residue(residue, name=name) for residue in kinds]
    number = {residue: row for row, residue in enumerate(kinds)}
    numbers = np.array([number[residue] for residue in letters], dtype=np.int64)
    return letters, numbers, np.array(rows).reshape(-1, 64)
