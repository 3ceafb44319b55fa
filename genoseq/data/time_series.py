"""Multivariate time series from CSV or Parquet, on a regular grid of time."""

from __future__ import annotations

import csv
import logging
import os
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from genoseq.data.tables import require_columns
from genoseq.data.time_grid import Timestamps, on_grid, read_stamps
from genoseq.errors import DataError, require_choice
from genoseq.paths import require_file

_log = logging.getLogger(__name__)

PathLike = str | os.PathLike[str]
MISSING = ("error", "mask")

_SEPARATORS = {".csv": ",", ".txt": ",", ".tsv": "\t"}
_BROKEN = (OSError, EOFError, ValueError, zlib.error, csv.Error, pyarrow.ArrowException)


@dataclass(frozen=True)
class TimeSeries:
    """Channels over time.

    Attributes:
        values: (T, C) float64 in the units of the file; NaN where nothing was observed.
        names: of the channels.
        time: (T,) the time of each row, on the grid of its `freq`; None where the file has no time.
        units: of channels by their names, where the file tells them.
    """

    values: np.ndarray
    names: tuple[str, ...]
    time: pd.DatetimeIndex | None
    units: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def observed(self) -> np.ndarray:
        """(T, C) bool."""
        return ~np.isnan(self.values)

    @property
    def frequency(self) -> str | None:
        """Of the grid, as pandas writes it; None where the file has no time."""
        return None if self.time is None else self.time.freqstr

    def times_beyond(self, count: int) -> pd.DatetimeIndex | pd.RangeIndex:
        """The times of the next `count` rows; without time their numbers."""
        if self.time is None:
            return pd.RangeIndex(len(self), len(self) + count)
        return pd.date_range(self.time[-1], periods=count + 1, freq=self.time.freq)[1:]


def read_time_series(
    path: PathLike,
    *,
    header: bool = True,
    time_column: str | None = "date",
    time_unit: str | None = None,
    columns: Sequence[str] | None = None,
    timestamps: Timestamps = "regular",
    frequency: str | None = None,
    missing: str = "error",
) -> TimeSeries:
    """A time series: one row a time, one column a channel.

    Args:
        path: .csv or .txt (commas) or .tsv, any of them also .gz; .parquet; or .hea, the header of a WFDB
            record, which has no column of times.
        header: a text file's first line holds the names; without, they are channel_0, channel_1 ...
        time_column: name of the column of times; None for rows that follow each other regularly.
        time_unit: of times that are numbers: s, ms, us, ns or D since 1970; None for dates.
        columns: names of the channels; None for all columns but that of times.
        timestamps, frequency: see `on_grid`.
        missing: what becomes of empty fields: `error`, or `mask`, which leaves NaN.

    Raises:
        DataError: the file cannot be read; a column does not exist or holds something that is no number; a
            time is missing, no time, or there twice; steps are irregular and nobody declared it; a field is
            empty and nobody declared it; a channel holds no number at all.
        ConfigError: no such choice.
    """
    require_choice("missing", missing, MISSING)
    located = require_file(path, "time series")
    units: Mapping[str, str] = {}
    if located.suffix == ".hea":
        # That module knows of series, and this one of it only where there is such a file.
        from genoseq.data.wfdb_records import read_wfdb

        recorded = read_wfdb(located).series
        table, units = pd.DataFrame(recorded.values, columns=list(recorded.names)), recorded.units
    else:
        table = _read(located, header=header)
    if table.empty:
        raise DataError(f"{located} holds no row. Give a file with one row a time.")
    table.columns = pd.Index([str(name) for name in table.columns])
    doubled = table.columns[table.columns.duplicated()]
    if len(doubled):
        raise DataError(f"{located} has the column {doubled[0]!r} more than once: name each once.")
    stamps = None
    if time_column is not None:
        require_columns(table, [time_column], located)
        stamps = read_stamps(table[time_column], unit=time_unit, source=str(located))
    others = [name for name in table.columns if name != time_column]
    names = others if columns is None else [str(name) for name in columns]
    require_columns(table, names, located)
    if not names:
        raise DataError(f"{located}: no channel is named. Give columns, or null for all.")
    values = np.stack([_numbers(table[name], located) for name in names], axis=1)
    time = None
    if stamps is not None:
        time, values = on_grid(
            stamps, values, timestamps=timestamps, frequency=frequency, source=str(located)
        )
    _require_observed(values, names, located, missing, declared=timestamps != "regular")
    return TimeSeries(values, tuple(names), time, {name: units[name] for name in names if name in units})


def _read(path: Path, *, header: bool) -> pd.DataFrame:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        if kind in _SEPARATORS:
            table = pd.read_csv(path, sep=_SEPARATORS[kind], header=0 if header else None)
            return table if header else table.rename(columns=lambda number: f"channel_{number}")
    except _BROKEN as error:
        raise DataError(f"{path} cannot be read as a time series: {error}") from error
    raise DataError(f"{path}: give .csv, .txt, .tsv (also .gz) or .parquet.")


def _numbers(column: pd.Series, source: Path) -> np.ndarray:
    if pd.api.types.is_datetime64_any_dtype(column):
        raise DataError(f"{source}: the column {column.name!r} holds times: name it as time_column.")
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.flatnonzero(numbers.isna() & column.notna())
    if len(wrong):
        raise DataError(
            f"{source}, row {wrong[0]} (counted from 0): {column.iloc[wrong[0]]!r} in the column "
            f"{column.name!r} is no number. Name the channels in columns, the times in time_column, or say "
            "header=false where the first line is data."
        )
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise DataError(
            f"{source}, row {infinite[0]} (counted from 0): {column.name!r} is infinite. Leave the field "
            "empty, and say missing=mask."
        )
    return values


def _require_observed(
    values: np.ndarray, names: Sequence[str], source: Path, missing: str, *, declared: bool
) -> None:
    absent = np.isnan(values)
    empty = [name for name, gone in zip(names, absent.all(axis=0), strict=True) if gone]
    if empty:
        raise DataError(
            f"{source}: the channel {', '.join(empty)} holds no number at all. Leave it out of columns."
        )
    # On a grid a row may be empty as a whole: that is a gap, which `timestamps` has declared.
    gap = absent.all(axis=1, keepdims=True) & declared
    holes = np.argwhere(absent & ~gap)
    if missing == "error" and len(holes):
        row, channel = holes[0]
        raise DataError(
            f"{source}, row {row} (counted from 0): {names[channel]!r} is empty, as {len(holes):,} fields "
            "are. Say missing=mask to have models told what was observed, or fill them."
        )
    if absent.any():
        _log.info("%s: %.1f %% of the fields are missing, and masked", source, 100 * absent.mean())
