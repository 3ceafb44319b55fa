"""One multivariate series to forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from genoseq.data.calendar_features import calendar_features
from genoseq.data.channel_scaler import ChannelScaler, Scaling
from genoseq.data.datamodule import ExampleDataModule
from genoseq.data.forecast_windows import ForecastWindows
from genoseq.data.splits import Split
from genoseq.data.time_borders import Borders
from genoseq.data.time_grid import Timestamps
from genoseq.data.time_series import PathLike, TimeSeries, read_time_series
from genoseq.errors import ConfigError, DataError


class ForecastingDataModule(ExampleDataModule):
    """A table of one row a time and one column a channel; every step is the end of a window.

    Windows of validation and test look back into the part before. The scale is that of the training rows.

    Args:
        path, header, time_column, time_unit, columns, timestamps, frequency, missing: see
            `read_time_series`.
        units: of the channels by their names, such as `{OT: °C}`, for plots and predictions; None for none.
        calendar: marks of each time, see `calendar_features`; [] for none.
        scaling: of each channel: `standard`, `robust` or `none`.
        borders: between train, validation and test.
        sequence_length: L, steps that are seen.
        horizon: H, steps that are predicted.
        global_batch_size, micro_batch_size, num_workers, pin_memory, seed: as for every data module.

    Raises:
        ConfigError: a length below 1, or units of channels that are not there.
        DataError: see `read_time_series`; or a part is shorter than a window.
    """

    judged_as = "forecasting"
    problem = "forecasting"

    def __init__(
        self,
        *,
        path: PathLike,
        header: bool,
        time_column: str | None,
        time_unit: str | None,
        columns: Sequence[str] | None,
        units: Mapping[str, str] | None,
        timestamps: Timestamps,
        frequency: str | None,
        missing: str,
        calendar: Sequence[str],
        scaling: Scaling,
        borders: Borders,
        sequence_length: int,
        horizon: int,
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
        if sequence_length < 1 or horizon < 1:
            raise ConfigError(f"sequence_length={sequence_length}, horizon={horizon}: give at least 1.")
        self.sequence_length = sequence_length
        self.horizon = horizon
        self._path = path
        self._reading: dict[str, Any] = {
            "header": header,
            "time_column": time_column,
            "time_unit": time_unit,
            "columns": None if columns is None else list(columns),
            "timestamps": timestamps,
            "frequency": frequency,
            "missing": missing,
        }
        self._units = dict(units or {})
        self._calendar = list(calendar)
        self._scaling: Scaling = scaling
        self._borders = borders
        # Which channels were observed is worth telling where they may not have been.
        self._mask_marks = missing == "mask" or timestamps != "regular"

    @cached_property
    def series(self) -> TimeSeries:
        """The whole series, in its own units."""
        series = read_time_series(self._path, **self._reading)
        unknown = sorted(self._units.keys() - set(series.names))
        if unknown:
            raise ConfigError(f"units name {', '.join(unknown)}; the channels are {', '.join(series.names)}.")
        return series

    @cached_property
    def scaler(self) -> ChannelScaler:
        """Fitted on the training rows."""
        rows = self._rows("train")
        values = self.series.values[rows.start : rows.stop]
        return ChannelScaler.fit(values, self.series.names, scaling=self._scaling)

    @property
    def num_channels(self) -> int:
        """C."""
        return len(self.series.names)

    @property
    def num_marks(self) -> int:
        """F: features of the calendar and, where values may be missing, one a channel."""
        return len(self._calendar) + (self.num_channels if self._mask_marks else 0)

    def build(self, split: Split) -> ForecastWindows:
        """The windows of a split.

        Raises:
            DataError: there is none.
        """
        windows = ForecastWindows(
            self._scaled,
            calendar_features(self.series.time, self._calendar),
            self._predictable(split),
            sequence_length=self.sequence_length,
            horizon=self.horizon,
            mask_marks=self._mask_marks,
        )
        if not len(windows):
            raise DataError(f"no window of the {split} part has an observed value on both sides.")
        return windows

    def examples(self, split: Split) -> pd.DataFrame:
        """The windows of a split: `origin`, the time (else the row) of the first step predicted, and `block`,
        its number among blocks of as many windows as there are steps ahead: what windows of two blocks
        predict overlaps in neighbouring blocks alone."""
        starts = self.dataset(split).starts  # type: ignore[attr-defined]
        time = self.series.time
        blocks = (starts - starts[0]) // self.horizon
        return pd.DataFrame({"origin": starts if time is None else time[starts], "block": blocks})

    def leaked(self, split: Split) -> None:
        """None: parts follow each other in time, so that no target is in two of them."""

    def describe(self) -> dict[str, Any]:
        """What a reader of the model's predictions has to know, as JSON holds it."""
        return {
            "problem": self.problem,
            "channels": list(self.series.names),
            "units": {**self.series.units, **self._units},
            "scaler": self.scaler.to_json(),
            "reading": self._reading | {"frequency": self.series.frequency},
            "calendar": self._calendar,
            "mask_marks": self._mask_marks,
            "sequence_length": self.sequence_length,
            "horizon": self.horizon,
        }

    def take_scale(self, preprocessing: Mapping[str, Any]) -> None:
        """See `ExampleDataModule.take_scale`."""
        channels = preprocessing.get("channels")
        if channels != list(self.series.names) or "distribution" not in preprocessing:
            raise ConfigError(
                f"the data have the channels {', '.join(self.series.names)}; the checkpoint has {channels}: "
                "give data.columns as it was trained, and a checkpoint of a forecaster."
            )
        self.scaler = ChannelScaler.from_json(preprocessing["scaler"])

    @cached_property
    def _scaled(self) -> np.ndarray:
        return self.scaler.transform(self.series.values)

    def _rows(self, split: Split) -> range:
        return self._borders.rows(self.series, split)

    def _predictable(self, split: Split) -> range:
        """The rows that windows of a split predict."""
        rows = self._rows(split)
        if split == "train":
            rows = range(rows.start + self.sequence_length, rows.stop)
        if len(rows) < self.horizon or rows.start < self.sequence_length:
            raise DataError(
                f"the {split} part of {self._path} has rows {self._rows(split).start:,} to "
                f"{self._rows(split).stop:,} of {len(self.series):,}: no window of sequence_length="
                f"{self.sequence_length} steps before and horizon={self.horizon} behind has room. Give a "
                "shorter horizon or look-back, other borders, or a longer series."
            )
        return rows
