"""Times of rows, and the regular grid that they are on or are brought to."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from genoseq.errors import ConfigError, DataError, require_choice

Timestamps = Literal["regular", "gaps", "binned"]


def read_stamps(column: pd.Series, *, unit: str | None, source: str) -> pd.DatetimeIndex:
    """The times of a column.

    Raises:
        DataError: one is missing, no time, or there more than once; or they are numbers of an unknown unit.
    """
    if pd.api.types.is_numeric_dtype(column) and unit is None:
        raise DataError(
            f"{source}: the times in {column.name!r} are numbers. Give time_unit=s, ms, us, ns or D, or "
            "time_column=null where rows follow each other regularly."
        )
    try:
        with warnings.catch_warnings():
            # Dates in no single format are read one by one.
            warnings.filterwarnings("ignore", ".*Could not infer format.*")
            stamps = pd.DatetimeIndex(pd.to_datetime(column, unit=unit))  # type: ignore[arg-type]
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{source}: the column {column.name!r} does not hold times: {error}") from error
    gone = np.flatnonzero(stamps.isna())
    if len(gone):
        raise DataError(f"{source}, row {gone[0]} (counted from 0): {column.name!r} has no time. Remove it.")
    doubled = np.flatnonzero(stamps.duplicated())
    if len(doubled):
        raise DataError(
            f"{source}: the time {stamps[doubled[0]]} is there twice, the second time in row {doubled[0]} "
            f"(counted from 0); so are {len(doubled) - 1:,} others. Keep one row a time (where clocks were "
            "put back, write times in UTC)."
        )
    return stamps


def on_grid(
    stamps: pd.DatetimeIndex,
    values: np.ndarray,
    *,
    timestamps: Timestamps,
    frequency: str | None,
    source: str,
) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Rows in the order of time, on a regular grid.

    Args:
        stamps: (T,) different times, in any order.
        values: (T, C).
        timestamps: what they are declared to be: `regular`; on a grid with `gaps`, which become rows of NaN;
            or anywhere, and then `binned`: the mean of what lies in each step, NaN where nothing does.
        frequency: the step, as pandas writes it (`15min`, `1h`, `MS`); None for the one that regular times
            have, or that is the most frequent between gaps.
        source: what messages call the file.

    Returns:
        The grid with its `freq` (T',), and (T', C).

    Raises:
        DataError: the times are not what they were declared to be.
        ConfigError: there is no such frequency or choice, or bins without one.
    """
    require_choice("timestamps", timestamps, get_args(Timestamps))
    order = np.argsort(stamps.to_numpy(), kind="stable")
    stamps, values = stamps[order], values[order]
    step = _step(stamps, timestamps, frequency, source)
    if timestamps == "binned":
        return _binned(stamps, values, step)
    grid = pd.date_range(stamps[0], stamps[-1], freq=step)
    off = np.flatnonzero(~stamps.isin(grid))
    if len(off):
        raise DataError(
            f"{source}: the time {stamps[off[0]]} is not on the grid that begins at {stamps[0]} with steps "
            f"of {step.freqstr}. Give another frequency, or timestamps=binned with the step that you want."
        )
    if len(grid) == len(stamps):
        return grid, values
    if timestamps == "regular":
        after = int(np.flatnonzero(~grid.isin(stamps))[0])
        raise DataError(
            f"{source}: {len(grid) - len(stamps):,} of {len(grid):,} times are missing, the first of them "
            f"{grid[after]}. Say timestamps=gaps to have the gaps masked, or fill them."
        )
    filled = np.full((len(grid), values.shape[1]), np.nan)
    filled[grid.get_indexer(stamps)] = values
    return grid, filled


def _step(
    stamps: pd.DatetimeIndex, timestamps: str, frequency: str | None, source: str
) -> pd.tseries.offsets.BaseOffset:
    if frequency is not None:
        try:
            return to_offset(frequency)
        except ValueError as error:
            raise ConfigError(
                f"frequency={frequency}: {error}. Give a step as pandas writes it, such as 15min, 1h, 1D, MS."
            ) from error
    if timestamps == "binned":
        raise ConfigError("timestamps=binned wants a frequency: the width of the bins, such as 15min or 1h.")
    if len(stamps) < 2:
        raise DataError(f"{source} has one time alone. Give a longer series.")
    found = pd.DatetimeIndex(stamps, freq="infer").freq if len(stamps) > 2 else None
    if found is not None:
        return found
    steps = pd.Series(stamps[1:] - stamps[:-1])
    usual = steps.mode().iloc[0]
    if timestamps == "regular" and (steps != usual).any():
        first = int(np.flatnonzero(steps != usual)[0])
        raise DataError(
            f"{source}: the times are not regular: mostly {usual} apart, {steps.iloc[first]} after "
            f"{stamps[first]}. Say timestamps=gaps where rows are missing on a grid, or timestamps=binned "
            "frequency=STEP where times lie anywhere."
        )
    return to_offset(usual)


def _binned(
    stamps: pd.DatetimeIndex, values: np.ndarray, step: pd.tseries.offsets.BaseOffset
) -> tuple[pd.DatetimeIndex, np.ndarray]:
    means = pd.DataFrame(values, index=stamps).resample(step).mean()
    assert isinstance(means.index, pd.DatetimeIndex)
    return means.index, means.to_numpy()
