"""Do scores of a model tell missense changes from silent ones (`genoseq.data.codon_substitutions`)?

A change has a score: how much more likely the model finds the sequence with it
(`genoseq.inference.change_scores`). A model that knows the code finds missense changes less likely.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from Bio.Align import substitution_matrices
from scipy import stats

from genoseq.sequence import CODONS, CodonUsage
from genoseq.statistics import Estimate, auroc, group_bootstrap


def evaluate_substitutions(
    table: pd.DataFrame, changes: np.ndarray, groups: np.ndarray, *, resamples: int = 500
) -> dict[str, Estimate]:
    """How far the change of a score tells what a substitution does, with intervals over groups of genes.

    Args:
        table: as of `codon_substitutions`.
        changes: (N,) of its rows, the lower the less likely.
        groups: (N,) such as the families of their genes.
        resamples: of the bootstrap.

    Returns:
        `auroc` of missense against silent changes; `pairs`: the share of pairs in which the missense change
        is the lower one, ties counting half; `blosum`: Spearman's correlation with BLOSUM62 among missense
        changes, NaN where all are equal.
    """
    labels = table["label"].to_numpy()
    missense = labels == 1
    # Rows of a pair stand together, the silent one first.
    gap = changes[~missense] - changes[missense]
    lower = (np.sign(gap) + 1) / 2
    blosum = blosum_changes(table)

    def rank_correlation(rows: np.ndarray) -> float:
        first, second = changes[missense][rows], blosum[missense][rows]
        constant = np.ptp(first) == 0 or np.ptp(second) == 0
        return float("nan") if constant else float(stats.spearmanr(first, second).statistic)

    return {
        "auroc": group_bootstrap(
            lambda rows: auroc(labels[rows], -changes[rows]), groups, resamples=resamples, unit="family"
        ),
        "pairs": group_bootstrap(
            lambda rows: float(lower[rows].mean()), groups[missense], resamples=resamples, unit="family"
        ),
        "blosum": group_bootstrap(rank_correlation, groups[missense], resamples=resamples, unit="family"),
    }


def blosum_changes(table: pd.DataFrame) -> np.ndarray:
    """(N,) what a change costs in BLOSUM62: 0 where it is silent. It translates, and so tells all of those.

    Source: Henikoff and Henikoff 1992, Proc. Natl. Acad. Sci. 89:10915; the matrix is Biopython's.
    """
    matrix = substitution_matrices.load("BLOSUM62")
    pairs = zip(table["residue"], table["changed_residue"], strict=True)
    return np.array([matrix[old][new] - matrix[old][old] for old, new in pairs])


def codon_frequency_changes(table: pd.DataFrame, usage: CodonUsage) -> np.ndarray:
    """(N,) log-ratio of the frequencies of the new and the old codon, which knows no protein.

    Args:
        table: as of `codon_substitutions`.
        usage: codons of train, each counted one more than it was.
    """
    counts = np.log(usage.residues + 1.0)
    number = {codon: index for index, codon in enumerate(CODONS)}
    new, old = (table[column].map(number).to_numpy() for column in ("changed_codon", "codon"))
    return counts[new] - counts[old]
