"""The dinucleotide shuffle keeps exactly what it promises and nothing longer."""

from __future__ import annotations

import numpy as np
import pytest

from genoseq.sequence import dinucleotide_shuffle


def counts(codes: np.ndarray, order: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(codes.astype(np.int64), order)
    return np.bincount(windows @ 5 ** np.arange(order), minlength=5**order)


@pytest.mark.parametrize("length", [1, 2, 3, 5, 17, 1000])
def test_keeps_dinucleotides_and_ends(length: int) -> None:
    generator = np.random.default_rng(length)
    for _ in range(50):
        codes = generator.integers(0, 4, length).astype(np.uint8)
        shuffled = dinucleotide_shuffle(codes, generator)
        assert shuffled[0] == codes[0]
        assert shuffled[-1] == codes[-1]
        if length > 1:
            np.testing.assert_array_equal(counts(shuffled, 2), counts(codes, 2))


def test_destroys_longer_structure() -> None:
    periodic = np.tile(np.array([0, 1, 2, 3, 1, 0, 2], dtype=np.uint8), 300)
    shuffled = dinucleotide_shuffle(periodic, np.random.default_rng(0))
    assert np.abs(counts(shuffled, 4) - counts(periodic, 4)).sum() > 1000


def test_every_arrangement_is_equally_likely() -> None:
    codes = np.array([0, 1, 0, 2, 0, 1, 0], dtype=np.uint8)  # the three loops at A: C, G, C
    generator = np.random.default_rng(1)
    seen = [tuple(dinucleotide_shuffle(codes, generator)) for _ in range(3000)]
    frequencies = {path: seen.count(path) / len(seen) for path in set(seen)}
    assert len(frequencies) == 3
    assert all(abs(frequency - 1 / 3) < 0.04 for frequency in frequencies.values())
