"""Planted repeats: what is copied, from where, and that the rest of a window stays."""

from __future__ import annotations

import numpy as np
import pytest

from genoseq.data.planted_repeats import plant_repeats
from genoseq.sequence import BASES, reverse_complement

N = BASES.index("N")


def random_window(length: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, N, length).astype(np.uint8)


def repeated_words(codes: np.ndarray, *, width: int = 12) -> int:
    """Words that an earlier part of the window has on either strand."""
    seen: set[bytes] = set()
    found = 0
    for start in range(len(codes) - width + 1):
        word = codes[start : start + width]
        found += word.tobytes() in seen
        seen |= {word.tobytes(), reverse_complement(word).tobytes()}
    return found


def test_windows_get_repeats_that_they_did_not_have() -> None:
    window = random_window(1024)
    assert repeated_words(window) == 0
    made = [plant_repeats(window, np.random.default_rng(seed)) for seed in range(40)]
    assert sum(repeated_words(codes) > 0 for codes in made) > 20
    changed = [np.mean(codes != window) for codes in made]
    assert 0.02 < np.mean(changed) < 0.4
    assert len({codes.tobytes() for codes in made}) == len(made)


def test_the_window_itself_stays_and_the_seed_decides() -> None:
    window = random_window(300)
    before = window.copy()
    first, again = (plant_repeats(window, np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(window, before)
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint8


@pytest.mark.parametrize("length", [0, 1, 47, 48, 49, 50, 63, 97])
def test_lengths_where_a_copy_just_fits(length: int) -> None:
    window = random_window(length)
    for seed in range(200):
        planted = plant_repeats(window, np.random.default_rng(seed))
        assert planted.shape == window.shape
        assert length >= 48 or (planted == window).all()


def test_unknown_bases_are_copied_as_they_are() -> None:
    window = np.full(200, N, dtype=np.uint8)
    assert (plant_repeats(window, np.random.default_rng(0)) == N).all()
