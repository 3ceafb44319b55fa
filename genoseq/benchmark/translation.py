"""How many residues of held-out genes a model translates right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from genoseq.sequence import CODONS, UnifiedSequence
from genoseq.sequence.residues import RESIDUES, UNKNOWN
from genoseq.statistics import Estimate, group_bootstrap

Translate = Callable[[Sequence[UnifiedSequence]], Sequence[str]]
"""The protein of each record, a residue a codon."""


def translation_accuracy(
    records: Sequence[UnifiedSequence],
    translate: Translate,
    *,
    groups: np.ndarray | None = None,
    resamples: int = 500,
) -> dict[str, Estimate]:
    """Shares of residues that a model gives right, with intervals over groups of genes.

    Args:
        records: coding sequences that were not in training.
        translate: gives the residues of each record; a protein that is cut off is wrong where it is missing.
        groups: (N,) such as families; None: each gene is one.
        resamples: of the bootstrap.

    Returns:
        `accuracy` of all residues, `balanced` (the mean over the 20 residues of the share of each that is
        right), and `exact`: the share of proteins without a mistake.
    """
    counts, right = np.zeros((2, len(records), len(RESIDUES)))
    exact = np.zeros(len(records))
    for row, (record, given) in enumerate(zip(records, translate(records), strict=True)):
        length = len(record.protein)
        for true, said in zip(record.protein, given[:length].ljust(length, UNKNOWN), strict=True):
            column = RESIDUES.find(true)
            if column >= 0:
                counts[row, column] += 1
                right[row, column] += true == said
        exact[row] = right[row].sum() == counts[row].sum()

    def balanced(rows: np.ndarray) -> float:
        there = counts[rows].sum(axis=0)
        return float((right[rows].sum(axis=0)[there > 0] / there[there > 0]).mean())

    of_rows: dict[str, Callable[[np.ndarray], float]] = {
        "accuracy": lambda rows: float(right[rows].sum() / counts[rows].sum()),
        "balanced": balanced,
        "exact": lambda rows: float(exact[rows].mean()),
    }
    units = np.arange(len(records)) if groups is None else groups
    return {
        name: group_bootstrap(statistic, units, resamples=resamples, unit="family")
        for name, statistic in of_rows.items()
    }


def most_frequent_residue(train: Sequence[UnifiedSequence]) -> Translate:
    """The one residue that is the most frequent in train, for every codon."""
    letter = Counter("".join(record.protein for record in train)).most_common(1)[0][0]
    return lambda records: [letter * len(record.protein) for record in records]


def codon_majority(train: Sequence[UnifiedSequence]) -> Translate:
    """For each codon the residue that it most often is in train: the code, learnt by counting."""
    seen: dict[str, Counter[str]] = {codon: Counter() for codon in CODONS}
    for record in train:
        codons = _codons(record)[: len(record.protein)]  # a stop has no residue
        for codon, residue in zip(codons, record.protein, strict=True):
            if codon in seen:
                seen[codon][residue] += 1
    table = {codon: found.most_common(1)[0][0] for codon, found in seen.items() if found}
    return lambda records: [
        "".join(table.get(codon, UNKNOWN) for codon in _codons(record))[: len(record.protein)]
        for record in records
    ]


def _codons(record: UnifiedSequence) -> list[str]:
    letters = record.coding_letters
    return [letters[start : start + 3] for start in range(0, len(letters), 3)]
