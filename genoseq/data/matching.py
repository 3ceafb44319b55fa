"""Does a coding sequence belong to a protein? Pairs that do, and pairs that only a reader of the code tells.

After the task of "Find Central Dogma Again" (see Liu et al. 2025, "Life-Code"), made harder: every coding
sequence stands there as it is and recoded, in pairs of either label, and negatives are of the same length, of
the same family, or of the same composition as the protein.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from genoseq.data.families import is_whole
from genoseq.errors import ConfigError, RecordError
from genoseq.sequence import CodonUsage, UnifiedSequence, reverse_translate

Negative = Literal["length", "family", "shuffled", "exchanged"]

_LEAST_RESIDUES = 3


def matching_pairs(
    records: Sequence[UnifiedSequence],
    families: np.ndarray,
    usage: CodonUsage,
    *,
    genes: np.ndarray | None = None,
    exchanged_fraction: float = 0.1,
    seed: int = 0,
) -> pd.DataFrame:
    """Pairs of coding sequences and proteins.

    A gene has the coding sequence of its record and one that is recoded: every codon drawn anew among the
    synonymous ones, the start being ATG. Each stands beside:

    - `true`: the protein of the gene, the label 1; all others are 0:
    - `length`: that of a gene of another family that is as long, where there is one;
    - `family`: the one nearest in length of the same family, where the gene has relatives that differ;
    - `shuffled`: the protein with all residues behind the M in random order;
    - `exchanged`: the protein with some residues behind the M having changed places with each other.

    Args:
        records: whole coding sequences (`is_whole`), from which the negatives are taken too.
        families: (N,) as of `protein_families`.
        usage: of the codons that are drawn.
        genes: indices of the genes to make pairs of, all from one part of a split, which then have their
            negatives from that part; None for all.
        exchanged_fraction: share of the residues that change places, two at least.
        seed: pairs of a gene are a function of it, of the gene's index, and of what is in the part.

    Returns:
        Columns `gene` (index of the record), `family`, `recoded` (bool), `kind`, `label`, `cds` (letters, the
        stop too) and `protein` (without the stop), gene by gene.

    Raises:
        RecordError: a coding sequence that is not whole, or so short that its residues cannot change places.
        ConfigError: the fraction is not above 0 and at most 1.
    """
    if not 0 < exchanged_fraction <= 1:
        raise ConfigError(f"exchanged_fraction={exchanged_fraction}: give a share above 0, at most 1.")
    chosen = np.arange(len(records)) if genes is None else np.asarray(genes)
    for gene in chosen.tolist():
        _require_usable(records[gene])
    pool = _Pool(records, families, chosen)
    rows = []
    for gene in chosen.tolist():
        generator = np.random.default_rng([seed, gene])
        record = records[gene]
        recoded = reverse_translate(record.protein, usage, choice="sample", generator=generator)
        proteins = {"true": record.protein, "length": pool.of_length(gene, generator)}
        proteins |= {"family": pool.of_family(gene, generator)}
        proteins |= {"shuffled": _moved(record.protein, 1.0, generator)}
        proteins |= {"exchanged": _moved(record.protein, exchanged_fraction, generator)}
        for is_recoded, cds in ((False, record.coding_letters), (True, recoded + record.coding_letters[-3:])):
            rows += [
                (gene, families[gene], is_recoded, kind, int(kind == "true"), cds, protein)
                for kind, protein in proteins.items()
                if protein is not None
            ]
    return pd.DataFrame(rows, columns=["gene", "family", "recoded", "kind", "label", "cds", "protein"])


class _Pool:
    """The proteins that negatives are taken from."""

    def __init__(self, records: Sequence[UnifiedSequence], families: np.ndarray, chosen: np.ndarray) -> None:
        self._records, self._families = records, families
        self._chosen = chosen
        self._lengths = np.array([len(records[gene].protein) for gene in chosen])
        self._relatives: defaultdict[int, list[int]] = defaultdict(list)
        for gene in chosen.tolist():
            self._relatives[int(families[gene])].append(gene)

    def of_length(self, gene: int, generator: np.random.Generator) -> str | None:
        """A protein of another family, as long."""
        as_long = self._lengths == len(self._records[gene].protein)
        others = self._chosen[as_long & (self._families[self._chosen] != self._families[gene])]
        return self._records[int(generator.choice(others))].protein if len(others) else None

    def of_family(self, gene: int, generator: np.random.Generator) -> str | None:
        """Another protein of the family, as near in length as there is."""
        own = self._records[gene].protein
        proteins = [self._records[other].protein for other in self._relatives[int(self._families[gene])]]
        others = [protein for protein in proteins if protein != own]
        if not others:
            return None
        apart = np.array([abs(len(protein) - len(own)) for protein in others])
        return others[int(generator.choice(np.flatnonzero(apart == apart.min())))]


def _moved(protein: str, fraction: float, generator: np.random.Generator) -> str:
    """The protein with a share of its residues behind the first in an order that is not the old one."""
    letters = np.array(list(protein))
    count = max(2, round(fraction * (len(letters) - 1)))
    while True:
        places = 1 + generator.permutation(len(letters) - 1)[:count]
        moved = letters.copy()
        moved[places] = letters[generator.permutation(places)]
        if (moved != letters).any():
            return "".join(moved)


def _require_usable(record: UnifiedSequence) -> None:
    if not is_whole(record) or len(record.protein) < _LEAST_RESIDUES or len(set(record.protein[1:])) < 2:
        raise RecordError(
            record.name,
            "no whole gene",
            "a pair is made of a coding sequence from its ATG (or other start) to its stop, of A, C, G, T, "
            f"with {_LEAST_RESIDUES} residues or more that are not all alike. Leave it out (is_whole).",
        )
