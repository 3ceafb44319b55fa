"""Rows of one split that stand, whole or in part, in another: shared k-mers and overlapping intervals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from genoseq.errors import ConfigError
from genoseq.sequence import BASES, Interval, encode_bases, reverse_complement

LeakPolicy = Literal["error", "report", "drop"]

_N = BASES.index("N")
_LONGEST = 32
_CHUNK = 1 << 22


def find_leaks(
    train: Sequence[str], test: Sequence[str], *, k: int = 32, both_strands: bool = True
) -> np.ndarray:
    """Which test sequences share a k-mer with a training sequence.

    K-mers with an N are none. A test sequence that has no k-mer, because it is shorter, leaks where the same
    whole sequence is in train. Memory goes with the size of `test`.

    Args:
        train, test: nucleotide letters, in any case.
        k: 1 to 32.
        both_strands: a k-mer and its reverse complement are the same.

    Returns:
        (len(test),) bool.

    Raises:
        ConfigError: k is out of range. SequenceError: a letter is no nucleotide.
    """
    words, rows = _concatenated(test, k, both_strands)
    known, word_of_place = np.unique(words, return_inverse=True)
    seen = np.zeros(len(known), dtype=bool)
    for found, _ in _words(train, k, both_strands):
        found = np.sort(found)
        place = np.searchsorted(found, known)
        seen |= np.append(found, found[-1:])[place] == known if len(found) else False
    leaked = np.zeros(len(test), dtype=bool)
    leaked[rows[seen[word_of_place]]] = True
    without = np.setdiff1d(np.arange(len(test)), rows)
    if len(without):
        whole = {_canonical(sequence, both_strands) for sequence in train}
        leaked[without] = [_canonical(test[row], both_strands) in whole for row in without]
    return leaked


@dataclass(frozen=True)
class LeakReport:
    """How many test sequences stand in train, whole or in part.

    Attributes:
        rows: test sequences.
        exact: those that are a training sequence, letter by letter.
        reverse_complement: those whose other strand is one, and which are none themselves.
        kmer: those that share `k` bases with one, on either strand; the others are among them, where they are
            long enough.
        k: of those bases.
        repeated: test sequences that stand in test more than once, on either strand.
    """

    rows: int
    exact: int
    reverse_complement: int
    kmer: int
    k: int
    repeated: int


def leak_report(train: Sequence[str], test: Sequence[str], *, k: int = 32) -> LeakReport:
    """Count what of test stands in train.

    Args:
        train, test: nucleotide letters, in any case.
        k: 1 to 32.

    Raises:
        ConfigError: k is out of range. SequenceError: a letter is no nucleotide.
    """
    known = {_canonical(sequence, both_strands=False) for sequence in train}
    given = [_canonical(sequence, both_strands=False) for sequence in test]
    exact = [sequence in known for sequence in given]
    turned = [not same and reverse_complement(s) in known for s, same in zip(given, exact, strict=True)]
    either = pd.Series([_canonical(sequence, both_strands=True) for sequence in test], dtype=object)
    return LeakReport(
        rows=len(given),
        exact=sum(exact),
        reverse_complement=sum(turned),
        kmer=int(find_leaks(train, test, k=k).sum()),
        k=k,
        repeated=int(either.duplicated(keep=False).sum()),
    )


def kmer_groups(sequences: Sequence[str], *, k: int = 32, both_strands: bool = True) -> np.ndarray:
    """Groups of sequences such that no two groups share a k-mer, nor a whole sequence.

    Args:
        sequences, k, both_strands: as for `find_leaks`.

    Returns:
        (N,) int, the number of each sequence's group.

    Raises:
        ConfigError, SequenceError: as `find_leaks`.
    """
    words, rows = _concatenated(sequences, k, both_strands)
    whole, _ = pd.factorize(
        np.array([_canonical(sequence, both_strands) for sequence in sequences], dtype=object)
    )
    pairs = np.concatenate((_neighbours(words, rows), _neighbours(whole, np.arange(len(sequences)))), axis=1)
    links = coo_array((np.ones(pairs.shape[1], dtype=bool), tuple(pairs)), shape=(len(sequences),) * 2)
    return connected_components(links, directed=False)[1]


def overlapping(train: Sequence[Interval], test: Sequence[Interval]) -> np.ndarray:
    """Which test intervals share a base with a training interval, on whichever strands, (len(test),) bool."""
    found = np.zeros(len(test), dtype=bool)
    for chromosome in {interval.chromosome for interval in test}:
        theirs = sorted((i.start, i.end) for i in train if i.chromosome == chromosome)
        if not theirs:
            continue
        starts, ends = np.array(theirs).T
        furthest = np.maximum.accumulate(ends)
        rows = [row for row, interval in enumerate(test) if interval.chromosome == chromosome]
        # Of those that begin before the interval ends, one has to end after it begins.
        before = np.searchsorted(starts, [test[row].end for row in rows])
        begins = np.array([test[row].start for row in rows])
        found[rows] = (before > 0) & (furthest[before - 1] > begins)
    return found


def _neighbours(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(2, M): pairs of rows that link all rows of equal keys into a chain."""
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    return np.stack((rows[order[same]], rows[order[same + 1]]))


def _concatenated(sequences: Sequence[str], k: int, both_strands: bool) -> tuple[np.ndarray, np.ndarray]:
    parts = list(_words(sequences, k, both_strands))
    if not parts:
        return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
    words, rows = zip(*parts, strict=True)
    return np.concatenate(words), np.concatenate(rows)


def _words(sequences: Sequence[str], k: int, both_strands: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """K-mers as (M,) uint64 and the rows they are from, (M,) int64, some rows at a time."""
    if not 1 <= k <= _LONGEST:
        raise ConfigError(f"a k-mer of k={k} bases cannot be compared: give k from 1 to {_LONGEST}.")
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    part = np.cumsum(lengths) // _CHUNK
    for number in np.unique(part):
        rows = np.flatnonzero(part == number)
        # An N between two sequences: no k-mer goes from one into the other.
        codes = encode_bases("N".join(sequences[row] for row in rows.tolist()))
        row_of_base = np.repeat(rows, lengths[rows] + 1)[: len(codes)]
        if len(codes) < k:
            continue
        words = _packed(codes, k, both_strands)
        unknown = np.concatenate(([0], np.cumsum(codes == _N)))
        whole = unknown[k:] == unknown[:-k]
        yield words[whole], row_of_base[: len(words)][whole]


def _packed(codes: np.ndarray, k: int, both_strands: bool) -> np.ndarray:
    """Words of k bases at each place, 2 bits a base, (L - k + 1,) uint64; those with an N mean nothing."""
    base = codes.astype(np.uint64) & np.uint64(3)
    power = (1, base, np.uint64(3) - base)
    total = None
    # As fast exponentiation: words of 1, 2, 4, ... bases, joined as the bits of k say.
    for bit in range(k.bit_length()):
        if k >> bit & 1:
            total = power if total is None else _join(total, power)
        power = _join(power, power)
    assert total is not None
    _, forward, backward = total
    return np.minimum(forward, backward) if both_strands else forward


def _join(
    first: tuple[int, np.ndarray, np.ndarray], second: tuple[int, np.ndarray, np.ndarray]
) -> tuple[int, np.ndarray, np.ndarray]:
    """Words of m + n bases from those of m bases and those of n after them.

    Each is the number of bases, the words, and the words of the other strand.
    """
    m, forward, backward = first
    n, next_forward, next_backward = second
    count = max(min(len(forward), len(next_forward) - m), 0)
    after = slice(m, m + count)
    return (
        m + n,
        forward[:count] << np.uint64(2 * n) | next_forward[after],
        next_backward[after] << np.uint64(2 * m) | backward[:count],
    )


def _canonical(sequence: str, both_strands: bool) -> str:
    upper = sequence.upper().replace("U", "T")
    return min(upper, reverse_complement(upper)) if both_strands else upper
