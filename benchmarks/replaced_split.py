"""Labelled data with other rows in one split: what a baseline is fitted on, or what it is asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from genoseq.data import LabelledDataModule
from genoseq.data.splits import Split


@dataclass(frozen=True)
class ReplacedSplit:
    """What a baseline reads of labelled data.

    Attributes:
        real: sequences of one label each.
        replaced: the split that is not the real one's.
        rows: what stands there, with columns `sequence` and `label`.
    """

    real: LabelledDataModule
    replaced: Split
    rows: pd.DataFrame
    problem: str = "single_label"
    level: str = "sequence"

    @property
    def classes(self) -> Sequence[str] | None:
        return self.real.classes

    def examples(self, split: Split) -> pd.DataFrame:
        return self.rows if split == self.replaced else self.real.examples(split)

    def leaked(self, split: Split) -> np.ndarray | None:
        """Not known of other rows."""
        return None if split == self.replaced else self.real.leaked(split)
