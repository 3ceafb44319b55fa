"""Labelled series as examples."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.loading import ExampleKey
from genoseq.data.ts_files import SeriesExample


class LabelledSeries(Dataset[dict[str, Any]]):
    """Series of one width of time, padded behind.

    Args:
        examples: the series.
        labels: (N,) numbers of classes, or numbers.
        sequence_length: T.
        scaler: of the channels; None for tokens.
        vocabulary: number of tokens, which become channels of zeros and a one; None for values.
    """

    def __init__(
        self,
        examples: list[SeriesExample],
        labels: np.ndarray,
        *,
        sequence_length: int,
        scaler: ChannelScaler | None,
        vocabulary: int | None,
    ) -> None:
        self._examples = examples
        self._labels = labels
        self._length = sequence_length
        self._scaler = scaler
        self._vocabulary = vocabulary

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        """`x` (C, T) float32, zeros where nothing was observed; `observed` (C, T) bool; `labels`; `index` and
        `counted`."""
        values = self._examples[key.index].values
        if self._vocabulary is not None:
            values = np.eye(self._vocabulary, dtype=np.float32)[values[:, 0].astype(np.int64)]
        if self._scaler is not None:
            values = self._scaler.transform(values)
        x = np.full((values.shape[1], self._length), np.nan, dtype=np.float32)
        x[:, : len(values)] = values.T
        observed = ~np.isnan(x)
        return {
            "x": np.nan_to_num(x),
            "observed": observed,
            "labels": self._labels[key.index],
            "index": key.index,
            "counted": key.counted,
        }
