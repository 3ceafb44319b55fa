"""Codons that are changed by one base, silently or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError, DataError
from genoseq.sequence import CODON, CODONS, UnifiedSequence

_STOP = "*"


@dataclass(frozen=True)
class Substitution:
    """One base of a coding sequence changed.

    Attributes:
        sequence: whole codons, upper-case letters A, C, G and T.
        position: of the base, 0-based.
        alternate: what it becomes.
    """

    sequence: str
    position: int
    alternate: str

    @property
    def changed(self) -> str:
        """The sequence with the other base."""
        return self.sequence[: self.position] + self.alternate + self.sequence[self.position + 1 :]


class _Change(NamedTuple):
    """Attributes:
    number: of the codon.
    place: of the base in it.
    alternate: what it becomes.
    """

    number: int
    place: int
    alternate: str


def codon_substitutions(
    records: Sequence[UnifiedSequence],
    *,
    genes: Sequence[int] | np.ndarray | None = None,
    per_gene: int = 10,
    window: int = 85,
    seed: int = 0,
) -> pd.DataFrame:
    """Pairs of a silent and a missense change that are alike: the same base into the same, at the same place.

    Third bases and transitions are silent more often than others, so that a model that knows either would
    seem to know the code. Here both changes of a pair are A to T in the third place, say, of two codons of
    one gene: nothing but what else stands in the codon tells them apart. The first codon and the stop are not
    changed, and nothing becomes a stop.

    Args:
        records: coding sequences.
        genes: indices of those to sample; None for all.
        per_gene: pairs of a gene, fewer where it has fewer.
        window: codons that are kept on either side of the changed one.
        seed: pairs of a gene are a function of (seed, index of the gene).

    Returns:
        Two rows a pair: `gene`, `pair`, `label` (1 missense, 0 silent), `codon` and `changed_codon`,
        `residue` and `changed_residue`, `sequence`, `position` and `alternate` (see `Substitution`).

    Raises:
        ConfigError: a number below 1 (window: below 0). DataError: there is no such pair.
    """
    if per_gene < 1 or window < 0:
        raise ConfigError(f"per_gene={per_gene}, window={window}: give 1 or more, and 0 or more.")
    chosen = range(len(records)) if genes is None else [int(gene) for gene in genes]
    rows: list[tuple] = []
    for gene in chosen:
        generator = np.random.default_rng([seed, gene])
        pairs = _pairs(records[gene], generator)
        for index in generator.permutation(len(pairs))[:per_gene]:
            number = len(rows) // 2
            for label, change in enumerate(pairs[index]):
                rows.append((gene, number, label, *_described(records[gene], change, window)))
    if not rows:
        raise DataError("no two codons can be changed alike, one silently and one not. Give more genes.")
    columns = ["gene", "pair", "label", "codon", "changed_codon", "residue", "changed_residue"]
    return pd.DataFrame(rows, columns=[*columns, "sequence", "position", "alternate"])


def as_substitutions(table: pd.DataFrame) -> list[Substitution]:
    """The rows of `codon_substitutions`, as models are asked for them."""
    rows = table[["sequence", "position", "alternate"]].itertuples(index=False, name=None)
    return [Substitution(*row) for row in rows]


def _pairs(record: UnifiedSequence, generator: np.random.Generator) -> list[tuple[_Change, _Change]]:
    """Silent and missense changes that are alike, each in one pair at most."""
    alike: dict[tuple[int, str, str], tuple[list[_Change], list[_Change]]] = {}
    letters = record.coding_letters
    known = _changes(record.code.residues)
    for number in range(1, len(record.protein)):
        codon = letters[CODON * number : CODON * number + CODON]
        if number not in record.recoded:
            for place, base, label in known.get(codon, ()):
                key = (place, codon[place], base)
                alike.setdefault(key, ([], []))[label].append(_Change(number, place, base))
    pairs: list[tuple[_Change, _Change]] = []
    for _, (silent, missense) in sorted(alike.items()):
        fewer = min(len(silent), len(missense))
        orders = (generator.permutation(len(group))[:fewer] for group in (silent, missense))
        pairs += [(silent[i], missense[j]) for i, j in zip(*orders, strict=True)]
    return pairs


@lru_cache
def _changes(residues: str) -> dict[str, list[tuple[int, str, int]]]:
    """For each codon: place, new base, and 0 where that is silent, 1 where it gives another residue."""
    meaning = dict(zip(CODONS, residues, strict=True))
    found: dict[str, list[tuple[int, str, int]]] = {codon: [] for codon in CODONS}
    for codon, old in meaning.items():
        for place in range(CODON):
            for base in "ACGT":
                new = meaning[codon[:place] + base + codon[place + 1 :]]
                if base != codon[place] and _STOP not in (old, new):
                    found[codon].append((place, base, int(old != new)))
    return found


def _described(record: UnifiedSequence, change: _Change, window: int) -> tuple:
    """What `codon_substitutions` says of a change, from `codon` on."""
    letters, start = record.coding_letters, CODON * change.number
    codon = letters[start : start + CODON]
    changed = codon[: change.place] + change.alternate + codon[change.place + 1 :]
    first = max(0, start - CODON * window)
    around = letters[first : start + CODON * (window + 1)]
    residues = record.code.read(codon), record.code.read(changed)
    return (codon, changed, *residues, around, start + change.place - first, change.alternate)
