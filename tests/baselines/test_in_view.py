"""The counter with the window in view: what is in a window counts, what was in the one before does not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from genoseq.baselines import ContextMixing, CounterInView
from genoseq.sequence import Interval

ORDERS = (1, 2, 4, 8, 11, 12)


class Windows:
    """Its test part is one stretch three times; the second is scored behind more or less of the first."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.train = generator.integers(0, 4, 4000).astype(np.uint8)
        unit = generator.integers(0, 4, 400).astype(np.uint8)
        unit[7] = 4
        self.test = np.tile(unit, 3)

    def sequences(self, split: str) -> list[tuple[Interval, np.ndarray]]:
        codes, start = (self.train, 0) if split == "train" else (self.test, 4000)
        return [(Interval("c", start, start + len(codes)), codes)]

    def tiles(self, split: str) -> pd.DataFrame:
        rows = [("c", 4000, 4400, 4800), ("c", 4400, 4400, 4800), ("c", 4300, 4400, 4800)]
        return pd.DataFrame(rows, columns=["chromosome", "window", "start", "end"])


def test_each_window_is_read_as_after_train() -> None:
    data = Windows()
    rows = CounterInView(orders=ORDERS).predict(data)
    with_first, alone, with_a_part = rows["bits"] / rows["num_bases"]
    assert list(rows["num_bases"]) == [399, 399, 399]
    # Every window was fresh to the counter, though the one before it held the same bases.
    assert alone > 1.9
    assert with_first < 1.2 < with_a_part < alone

    plain = ContextMixing(orders=ORDERS, adaptive=True)
    plain.fit_splits(data)
    np.testing.assert_allclose(with_first * 399, np.nansum(plain.bits(data.test[:800])[400:]), rtol=1e-6)


def test_the_name_says_what_is_seen() -> None:
    assert CounterInView(orders=ORDERS).name == "counter with the window in view"
    named = CounterInView(orders=ORDERS, repeat_lengths=(12,)).name
    assert named == "counter with the window in view with copies"
