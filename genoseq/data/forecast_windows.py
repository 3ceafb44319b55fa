"""Windows of a series: what was seen, and what comes next."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from genoseq.data.loading import ExampleKey


class ForecastWindows(Dataset[dict[str, Any]]):
    """All windows whose target lies in some rows, one a step.

    A window without an observed value on either side says nothing, and is left out.

    Args:
        values: (T, C) scaled; NaN where nothing was observed.
        marks: (T, F) what is known of each time.
        rows: those that may be predicted.
        sequence_length: L, rows that are seen.
        horizon: H, rows that are predicted.
        mask_marks: give which of the channels were observed as C further marks.

    Attributes:
        starts: (N,) the first row that each window predicts.
    """

    def __init__(
        self,
        values: np.ndarray,
        marks: np.ndarray,
        rows: range,
        *,
        sequence_length: int,
        horizon: int,
        mask_marks: bool,
    ) -> None:
        self.sequence_length = sequence_length
        self.horizon = horizon
        self.observed = ~np.isnan(values)
        self.inputs = carried_forward(values)
        self.targets = np.nan_to_num(values).astype(np.float32)
        self.marks = with_mask_marks(marks, self.observed) if mask_marks else marks
        starts = np.arange(rows.start, rows.stop - horizon + 1)
        seen = np.concatenate([[0], np.cumsum(self.observed.any(axis=1))])
        behind = seen[starts] - seen[starts - sequence_length]
        ahead = seen[starts + horizon] - seen[starts]
        self.starts = starts[(behind > 0) & (ahead > 0)]

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        """`x_enc` (L, C) and `target` (H, C) float32, `target_observed` (H, C) bool, `x_mark_enc` (L, F),
        where there are marks, `index` and `counted`."""
        start = int(self.starts[key.index])
        past, future = slice(start - self.sequence_length, start), slice(start, start + self.horizon)
        example = {
            "x_enc": self.inputs[past],
            "target": self.targets[future],
            "target_observed": self.observed[future],
            "index": key.index,
            "counted": key.counted,
        }
        return example | ({"x_mark_enc": self.marks[past]} if self.marks.shape[1] else {})


def carried_forward(values: np.ndarray) -> np.ndarray:
    """(T, C) float32: what was not observed is what was last, before the first observation 0, the mean."""
    return pd.DataFrame(values).ffill().fillna(0.0).to_numpy(dtype=np.float32, copy=True)


def with_mask_marks(marks: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(T, F + C) float32: also .5 where a channel was observed and -.5 where it was not."""
    return np.concatenate([marks.reshape(len(observed), -1), observed - np.float32(0.5)], axis=1)
