"""How new designs are, and how different from each other: identities by alignment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from Bio.Align import PairwiseAligner
from scipy import sparse

from genoseq.errors import ConfigError
from genoseq.sequence import BASES, encode_bases, reverse_complement

_K = 8
_CANDIDATES = 5
_ROWS = 256
_N = BASES.index("N")


class Nearest(NamedTuple):
    """The known sequence that is most like one.

    Attributes:
        number: its place among the known ones, from 0.
        identity: 1 - edit distance / the longer length, on the strand that gives more.
    """

    number: int
    identity: float


def nearest_known(sequences: Sequence[str], known: Sequence[str]) -> list[Nearest]:
    """The nearest of the known sequences to each, on either strand.

    The five that share the most 8-mers with a strand of it are aligned end to end; where two sequences share
    no more than chance, so that these are not the nearest of all, identities of random sequences differ
    little anyway (about one half).

    Args:
        sequences: nucleotide letters.
        known: likewise, one at least; such as all that a scorer was trained on.

    Raises:
        ConfigError: nothing is known. SequenceError: letters that are no nucleotides.
    """
    if not len(known):
        raise ConfigError("novelty is measured against known sequences, and there are none: give some.")
    words = _presence(known).T.tocsr()
    found = []
    for start in range(0, len(sequences), _ROWS):
        part = list(sequences[start : start + _ROWS])
        turned = [reverse_complement(text) for text in part]
        shared = [(_presence(texts) @ words).toarray() for texts in (part, turned)]
        for row, strands in enumerate(zip(part, turned, strict=True)):
            pairs = [
                (text, int(index))
                for text, counts in zip(strands, shared, strict=True)
                for index in np.argsort(-counts[row], kind="stable")[:_CANDIDATES]
            ]
            identities = [identity(text, known[index]) for text, index in pairs]
            best = int(np.argmax(identities))
            found.append(Nearest(pairs[best][1], identities[best]))
    return found


def pairwise_identity(sequences: Sequence[str], *, most: int = 2000, seed: int = 0) -> np.ndarray:
    """Identities of random pairs of different rows, at most so many, on the given strand.

    Args:
        sequences: nucleotide letters, two at least.
        most: pairs.
        seed: of their choice.

    Raises:
        ConfigError: there are fewer than two sequences.
    """
    if len(sequences) < 2:
        raise ConfigError("diversity is measured between sequences: give two at least.")
    generator = np.random.default_rng(seed)
    count = len(sequences)
    all_pairs = count * (count - 1) // 2
    if all_pairs <= most:
        pairs = np.stack(np.triu_indices(count, 1), axis=1)
    else:
        first = generator.integers(count, size=most)
        pairs = np.stack((first, (first + generator.integers(1, count, size=most)) % count), axis=1)
    return np.array([identity(sequences[a], sequences[b]) for a, b in pairs])


def identity(first: str, second: str) -> float:
    """1 - edit distance / the longer length."""
    distance = -_ALIGNER.score(first.upper(), second.upper())
    return float(1 - distance / max(len(first), len(second), 1))


_ALIGNER = PairwiseAligner(mode="global", match_score=0, mismatch_score=-1, gap_score=-1)


def _presence(sequences: Sequence[str]) -> sparse.csr_array:
    """(N, 4**8) which words each sequence has."""
    rows, columns = [], []
    for row, text in enumerate(sequences):
        codes = encode_bases(text).astype(np.int64)
        if len(codes) < _K:
            continue
        windows = np.lib.stride_tricks.sliding_window_view(codes, _K)
        words = np.unique(windows[(windows < _N).all(axis=1)] @ 4 ** np.arange(_K))
        rows.append(np.full(len(words), row))
        columns.append(words)
    if not rows:
        return sparse.csr_array((len(sequences), 4**_K), dtype=np.int32)
    places = (np.concatenate(rows), np.concatenate(columns))
    return sparse.csr_array((np.ones(len(places[0]), dtype=np.int32), places), shape=(len(sequences), 4**_K))
