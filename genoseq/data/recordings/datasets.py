"""Windows of prepared recordings as examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.loading import ExampleKey
from genoseq.data.recordings.cache import CachedRecording


class RecordingWindows(Dataset[dict[str, Any]]):
    """Windows, read from the memory maps of their recordings.

    Args:
        recordings: prepared.
        owner: (N,) number of each window's recording in `recordings`.
        starts: (N,) its first sample.
        size: T, samples of a window.
        labels: (N,) numbers of classes; (N, K) 0 or 1 of each class; (N, C) numbers of the classes of each
            channel, -100 where it was not measured; None for windows without.
        scaler: of the channels.
    """

    def __init__(
        self,
        recordings: Sequence[CachedRecording],
        owner: np.ndarray,
        starts: np.ndarray,
        *,
        size: int,
        labels: np.ndarray | None,
        scaler: ChannelScaler,
    ) -> None:
        self.owner = owner
        self.starts = starts
        self.labels = labels
        self._recordings = list(recordings)
        self._size = size
        self._shift = scaler.shift.astype(np.float32)[:, None]
        self._scale = scaler.scale.astype(np.float32)[:, None]
        self._maps: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.starts)

    def __getstate__(self) -> dict[str, Any]:
        # A memory map is pickled with its content; each worker opens its own.
        return {**self.__dict__, "_maps": {}}

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        """`x` (C, T) float32 scaled, zeros where a channel was not measured; `observed` (C, 1) bool; `labels`
        where there are any; `index` and `counted`."""
        number, start = int(self.owner[key.index]), int(self.starts[key.index])
        if number not in self._maps:
            self._maps[number] = self._recordings[number].samples()
        observed = self._recordings[number].present[:, None]
        scaled = (self._maps[number][:, start : start + self._size] - self._shift) / self._scale
        example = {
            "x": np.where(observed, scaled, np.float32(0)),
            "observed": observed,
            "index": key.index,
            "counted": key.counted,
        }
        return example if self.labels is None else example | {"labels": self.labels[key.index]}


def fit_scaler(
    recordings: Sequence[CachedRecording], names: Sequence[str], *, samples: int = 2**18
) -> ChannelScaler:
    """Median and interquartile range of each channel, over samples taken evenly from all recordings.

    Args:
        recordings: those of the training part.
        names: of the channels.
        samples: how many are looked at in all, about.

    Raises:
        DataError: a channel is in no recording, or constant in all.
    """
    total = sum(recording.num_samples for recording in recordings)
    step = max(1, total // samples)
    parts = []
    for recording in recordings:
        values = recording.samples()[:, ::step].astype(np.float64)
        values[~recording.present] = np.nan
        parts.append(values.T)
    return ChannelScaler.fit(np.concatenate(parts), names, scaling="robust")
