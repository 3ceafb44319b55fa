"""Genes that are whole, families of their proteins, and a split that divides none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from genoseq.data.leaks import find_leaks
from genoseq.data.splits import split_groups
from genoseq.errors import ConfigError, DataError
from genoseq.sequence import UnifiedSequence

_LETTERS = 26


def is_whole(record: UnifiedSequence) -> bool:
    """Whether a coding sequence goes from an M to its stop, each codon of it known and read by the code."""
    clear = not set(record.coding_letters) - set("ACGT") and not record.recoded
    return clear and record.has_stop and not record.partial_start and record.protein.startswith("M")


def protein_families(proteins: Sequence[str], *, k: int = 5, least_share: float = 0.05) -> np.ndarray:
    """Groups of proteins such that no two of different groups are evidently alike.

    Two proteins are alike where they share as many different k-mers as `least_share` of those of the shorter
    one, and two of them at least; a family is all that such likeness links. Proteins of 300 residues drawn at
    random share 5-mers by chance once in 35 pairs, and two of them hardly ever.

    Args:
        proteins: residues, upper case.
        k: residues of a word, 1 to 13.
        least_share: above 0, at most 1.

    Returns:
        (N,) int, the number of each protein's family.

    Raises:
        ConfigError: k or the share is out of range.
    """
    if not 1 <= k <= 13 or not 0 < least_share <= 1:
        raise ConfigError(
            f"k={k}, least_share={least_share}: give k from 1 to 13, and a share above 0, at most 1."
        )
    words = [_words(protein, k) for protein in proteins]
    sizes = np.array([len(each) for each in words])
    known, columns = np.unique(np.concatenate(words), return_inverse=True)
    rows = np.repeat(np.arange(len(words)), sizes)
    held = csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), (len(words), len(known)))
    shared = (held @ held.T).tocoo()
    shorter = np.minimum(sizes[shared.row], sizes[shared.col])
    alike = (shared.data >= 2) & (shared.data >= least_share * shorter)
    pairs = (shared.row[alike], shared.col[alike])
    links = csr_array((np.ones(alike.sum(), dtype=bool), pairs), shape=(len(words),) * 2)
    return connected_components(links, directed=False)[1]


def _words(protein: str, k: int) -> np.ndarray:
    """The different k-mers, (M,) uint64 in rising order."""
    codes = np.frombuffer(protein.encode(), dtype=np.uint8).astype(np.uint64) - np.uint64(ord("A"))
    count = max(len(codes) - k + 1, 0)
    number = np.zeros(count, dtype=np.uint64)
    for place in range(k):
        number = number * np.uint64(_LETTERS) + codes[place : place + count]
    return np.unique(number)


def split_genes(
    records: Sequence[UnifiedSequence],
    families: np.ndarray,
    *,
    test_fraction: float = 0.2,
    seed: int = 0,
    leak_k: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Genes to fit on and genes to test on, of different families, without leaks.

    Args:
        records: coding sequences.
        families: (N,) the group of each, which is not divided; see `protein_families`.
        test_fraction: share of the genes that are drawn for test.
        seed: of the draw.
        leak_k: a gene drawn for test that shares so many bases with one of train, on either strand, is in
            neither.

    Returns:
        Indices of the genes of train and of test, in rising order.

    Raises:
        DataError: there are too few families, or every test gene leaks.
    """
    part = split_groups(families, {"test": test_fraction}, seed=seed)
    train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "test")
    before, after = ([records[gene].letters for gene in genes.tolist()] for genes in (train, test))
    leaked = find_leaks(before, after, k=leak_k)
    if leaked.all():
        raise DataError(
            f"each of the {len(test):,} test genes shares {leak_k} bases with train. Give more genes."
        )
    return train, test[~leaked]
