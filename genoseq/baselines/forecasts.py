"""Forecasts that nothing is fitted for: the last value, and the last season."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genoseq.baselines.base import Baseline
from genoseq.errors import ConfigError

if TYPE_CHECKING:
    from genoseq.data.splits import Split

_WINDOWS_AT_ONCE = 256


class ForecastBaseline(Baseline):
    """A forecast from the window alone."""

    def require_data(self, datamodule: Any) -> None:
        """Series to forecast."""
        if getattr(datamodule, "judged_as", None) != "forecasting":
            raise ConfigError(
                f"{self.name} forecasts series, and a {type(datamodule).__name__} has none. Give "
                "baselines=none, or data=time_series."
            )

    @abstractmethod
    def forecast(self, past: np.ndarray, horizon: int) -> np.ndarray:
        """(N, L, C) to (N, H, C)."""

    def predict(self, datamodule: Any, split: Split = "test") -> pd.DataFrame:
        """One row a window, as a model's (`genoseq_tasks.Forecasting`): sums over observed values."""
        windows = datamodule.dataset(split)
        length, horizon = windows.sequence_length, windows.horizon
        parts = []
        for first in range(0, len(windows), _WINDOWS_AT_ONCE):
            starts = windows.starts[first : first + _WINDOWS_AT_ONCE, None]
            ahead = starts + np.arange(horizon)
            forecast = self.forecast(windows.inputs[starts + np.arange(-length, 0)], horizon)
            observed = windows.observed[ahead]
            error = np.where(observed, forecast - windows.targets[ahead], 0.0)
            absolute = np.abs(error).sum(axis=(1, 2))
            sums = {
                "squared_error": (error**2).sum(axis=(1, 2)),
                "absolute_error": absolute,
                "crps": absolute,
                "covered": np.nan,
                "num_values": observed.sum(axis=(1, 2)),
            }
            parts.append(pd.DataFrame(sums))
        table = pd.concat(parts, ignore_index=True)
        return pd.concat([table, datamodule.examples(split)], axis=1)


class Persistence(ForecastBaseline):
    """Everything stays as it was last."""

    name = "persistence"

    def forecast(self, past: np.ndarray, horizon: int) -> np.ndarray:
        return np.repeat(past[:, -1:], horizon, axis=1)


class SeasonalNaive(ForecastBaseline):
    """Every season is as the last one was.

    Args:
        season: steps of it.

    Raises:
        ConfigError: it has no step.
    """

    def __init__(self, *, season: int) -> None:
        if season < 1:
            raise ConfigError(f"season={season}: give a step or more, such as 24 for days of hours.")
        self.season = season
        self.name = f"seasonal naive, {season} steps"

    def require_data(self, datamodule: Any) -> None:
        """Series to forecast, from windows that hold a season."""
        super().require_data(datamodule)
        if datamodule.sequence_length < self.season:
            raise ConfigError(
                f"a season of {self.season} steps is longer than sequence_length="
                f"{datamodule.sequence_length}: give a shorter season, or a longer look-back."
            )

    def forecast(self, past: np.ndarray, horizon: int) -> np.ndarray:
        return past[:, past.shape[1] - self.season + np.arange(horizon) % self.season]
