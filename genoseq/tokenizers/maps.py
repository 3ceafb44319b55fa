"""From the tokens of one tokenizer to those of another, through the bases that they stand for."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def mean_map(to: np.ndarray, of: np.ndarray, length: int) -> sparse.csr_array:
    """What takes a value a token to the mean over the bases of each of another tokenizer's tokens.

    A base has the value of its token; of words that overlap, the mean of those that have it.

    Args:
        to: (L, 2) int64 offsets of the tokens that get values, as `Tokenizer.offsets` gives them.
        of: (M, 2) those of the tokens that have them.
        length: bases of the sequence.

    Returns:
        (L, M), of which each row adds up to 1; the row of a token that has no base in common with the others
        is empty.
    """
    shares = _bases_of(of, length).T.tocsr()
    shared = _bases_of(to, length) @ _rows_of_one(shares)
    return _rows_of_one(sparse.csr_array(shared))


def _bases_of(offsets: np.ndarray, length: int) -> sparse.csr_array:
    """(L, length) ones where a token has a base."""
    widths = offsets[:, 1] - offsets[:, 0]
    ends = np.concatenate(([0], np.cumsum(widths)))
    bases = np.arange(ends[-1]) + np.repeat(offsets[:, 0] - ends[:-1], widths)
    return sparse.csr_array((np.ones(len(bases)), bases, ends), shape=(len(offsets), length))


def _rows_of_one(table: sparse.csr_array) -> sparse.csr_array:
    """Each row divided by its sum."""
    totals = np.repeat(table.sum(axis=1), np.diff(table.indptr))
    return sparse.csr_array((table.data / totals, table.indices, table.indptr), shape=table.shape)
