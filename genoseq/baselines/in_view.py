"""The counter that sees what a model sees: train, and the window that is before it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genoseq.baselines.base import GenomeData, bits_of, piece_of
from genoseq.baselines.context_mixing import ContextMixing

if TYPE_CHECKING:
    from genoseq.data.splits import Split


class CounterInView(ContextMixing):
    """An adaptive counter that forgets each window: it reads every one as it was at the end of train.

    It goes on counting along a window, context and scored bases alike, so that it has in view exactly what a
    model of that window has. `ContextMixing(adaptive=True)` remembers all windows before it too.

    Args:
        orders, inverted_repeats, repeat_lengths: as for `ContextMixing`.
    """

    def __init__(
        self, *, orders: Sequence[int], inverted_repeats: bool = True, repeat_lengths: Sequence[int] = ()
    ) -> None:
        super().__init__(
            orders=orders, inverted_repeats=inverted_repeats, repeat_lengths=repeat_lengths, adaptive=True
        )
        self.name = self.name.replace("adaptive counter", "counter with the window in view")

    def probabilities(self, codes: np.ndarray) -> np.ndarray:
        """(N, 4) float32 distributions over A, C, G, T along one window; NaN where the base is N."""
        return ContextMixing.probabilities(copy.deepcopy(self), codes)

    def predict(self, datamodule: GenomeData, split: Split = "test") -> pd.DataFrame:
        """Fit on train, then read each tile's window alone; a table as of `GenomeBaseline.predict`."""
        self.fit_splits(datamodule)
        pieces, tiles = datamodule.sequences(split), datamodule.tiles(split)
        rows = []
        for chromosome, window, start, end in tiles[["chromosome", "window", "start", "end"]].itertuples(
            index=False, name=None
        ):
            interval, codes = piece_of(pieces, chromosome, window, end)
            seen = codes[window - interval.start : end - interval.start]
            bits = bits_of(self.probabilities(seen), seen)[start - window :]
            rows.append((chromosome, start, end, int(np.isfinite(bits).sum()), float(np.nansum(bits))))
        return pd.DataFrame(rows, columns=["chromosome", "start", "end", "num_bases", "bits"])
