"""One set of sensors to be told from another: windows of a table, for sequence-to-sequence regression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from genoseq.data.channel_scaler import ChannelScaler, Scaling
from genoseq.data.datamodule import ExampleDataModule, require_same
from genoseq.data.loading import ExampleKey
from genoseq.data.splits import Split
from genoseq.data.time_borders import Borders
from genoseq.data.time_grid import Timestamps
from genoseq.data.time_series import PathLike, TimeSeries, read_time_series
from genoseq.errors import ConfigError, DataError


class SensorWindows(Dataset[dict[str, Any]]):
    """Windows of inputs, and the targets at every so many samples.

    Args:
        inputs: (T, C_in) float32 scaled.
        targets: (T, C_out) float32 scaled, NaN where unknown.
        starts: (N,) the first row of each window.
        sequence_length: L.
        samples_per_prediction: the target of so many samples is that of the last of them.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        starts: np.ndarray,
        *,
        sequence_length: int,
        samples_per_prediction: int,
    ) -> None:
        self.starts = starts
        self._inputs, self._targets = inputs, targets
        self._length, self._every = sequence_length, samples_per_prediction

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, key: ExampleKey) -> dict[str, Any]:
        """`x` (L, C_in), `labels` (L // samples_per_prediction, C_out), `index` and `counted`."""
        rows = slice(int(self.starts[key.index]), int(self.starts[key.index]) + self._length)
        return {
            "x": self._inputs[rows],
            "labels": self._targets[rows][self._every - 1 :: self._every],
            "index": key.index,
            "counted": key.counted,
        }


class SensorDataModule(ExampleDataModule):
    """A table of samples, of which some columns are to be told from others.

    The splits are contiguous blocks; no window reaches from one into another.

    Args:
        path, header, time_column, time_unit, timestamps, frequency, missing: see `read_time_series`.
        inputs, targets: names of the columns.
        scaling: of each column by the training rows: `standard`, `robust` or `none`.
        borders: between train, validation and test.
        train_share: the last share of the training rows that is learnt from: the curve over sizes.
        sequence_length: L, samples of a window.
        stride: samples from one training window to the next; None for windows side by side, as those of
            validation and test are.
        samples_per_prediction: see `SensorWindows`; the model's.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: a column is both, or a number is out of its range.
        DataError: see `read_time_series`; or a part is shorter than a window.
    """

    judged_as = "regression"
    problem = "regression"

    def __init__(
        self,
        *,
        path: PathLike,
        header: bool,
        time_column: str | None,
        time_unit: str | None,
        timestamps: Timestamps,
        frequency: str | None,
        missing: str,
        inputs: Sequence[str],
        targets: Sequence[str],
        scaling: Scaling,
        borders: Borders,
        train_share: float,
        sequence_length: int,
        stride: int | None,
        samples_per_prediction: int,
        global_batch_size: int,
        micro_batch_size: int | None,
        num_workers: int,
        pin_memory: bool,
        seed: int,
    ) -> None:
        super().__init__(
            global_batch_size=global_batch_size,
            micro_batch_size=micro_batch_size,
            num_workers=num_workers,
            pin_memory=pin_memory,
            seed=seed,
        )
        self.inputs, self.targets = tuple(map(str, inputs)), tuple(map(str, targets))
        if set(self.inputs) & set(self.targets) or not self.inputs or not self.targets:
            raise ConfigError(
                f"inputs={list(inputs)}, targets={list(targets)}: name columns for each, none for both."
            )
        if min(sequence_length, samples_per_prediction, stride or 1) < 1 or not 0 < train_share <= 1:
            raise ConfigError(
                f"sequence_length={sequence_length}, stride={stride}, samples_per_prediction="
                f"{samples_per_prediction}, train_share={train_share}: give 1 or more, and a share in (0, 1]."
            )
        if sequence_length % samples_per_prediction:
            raise ConfigError(
                f"sequence_length={sequence_length} is no multiple of "
                f"samples_per_prediction={samples_per_prediction}."
            )
        self.sequence_length = sequence_length
        self.samples_per_prediction = samples_per_prediction
        self._path, self._scaling, self._borders = path, scaling, borders
        self._train_share, self._stride = train_share, stride or sequence_length
        self._reading: dict[str, Any] = {
            "header": header,
            "time_column": time_column,
            "time_unit": time_unit,
            "timestamps": timestamps,
            "frequency": frequency,
            "missing": missing,
        }

    @property
    def input_channels(self) -> int:
        """C_in."""
        return len(self.inputs)

    @property
    def num_outputs(self) -> int:
        """C_out."""
        return len(self.targets)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the outputs, in the order of their columns."""
        return self.targets

    @cached_property
    def series(self) -> TimeSeries:
        """The columns, in their own units."""
        return read_time_series(self._path, columns=[*self.inputs, *self.targets], **self._reading)

    @cached_property
    def scaler(self) -> ChannelScaler:
        """Of inputs, then targets; fitted on the training rows that are learnt from."""
        rows = self._rows("train")
        return ChannelScaler.fit(
            self.series.values[rows.start : rows.stop], self.series.names, scaling=self._scaling
        )

    def build(self, split: Split) -> SensorWindows:
        """The windows of a split.

        Raises:
            DataError: it is shorter than one.
        """
        scaled = self.scaler.transform(self.series.values).astype(np.float32)
        return SensorWindows(
            np.nan_to_num(scaled[:, : len(self.inputs)]),
            scaled[:, len(self.inputs) :],
            self._starts(split),
            sequence_length=self.sequence_length,
            samples_per_prediction=self.samples_per_prediction,
        )

    def examples(self, split: Split) -> pd.DataFrame:
        """The windows of a split: `start`, the row of the first sample."""
        return pd.DataFrame({"start": self._starts(split)})

    def leaked(self, split: Split) -> None:
        """Blocks do not overlap."""

    def describe(self) -> dict[str, Any]:
        """What a reader of the model's predictions has to know, as JSON holds it."""
        return {
            "problem": self.problem,
            "channels": list(self.inputs),
            "classes": list(self.targets),
            "scaler": self.scaler.to_json(),
            "reading": self._reading,
        }

    def take_scale(self, preprocessing: Mapping[str, Any]) -> None:
        """See `ExampleDataModule.take_scale`."""
        own = {"channels": list(self.inputs), "classes": list(self.targets)}
        require_same(own, preprocessing, ("channels", "classes"))
        self.scaler = ChannelScaler.from_json(preprocessing["scaler"])

    def _rows(self, split: Split) -> range:
        rows = self._borders.rows(self.series, split)
        if split != "train":
            return rows
        return range(rows.stop - round(self._train_share * len(rows)), rows.stop)

    def _starts(self, split: Split) -> np.ndarray:
        rows = self._rows(split)
        stride = self._stride if split == "train" else self.sequence_length
        starts = np.arange(rows.start, rows.stop - self.sequence_length + 1, stride)
        if not len(starts):
            raise DataError(
                f"the {split} part of {self._path} has {len(rows):,} rows, fewer than a window of "
                f"sequence_length={self.sequence_length}. Give a shorter one, other borders, or more of "
                "train_share."
            )
        return starts
