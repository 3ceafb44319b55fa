"""Where train, validation and test of one long series begin and end."""

from __future__ import annotations

from abc import ABC, abstractmethod

import pandas as pd

from genoseq.data.splits import Split
from genoseq.data.time_series import TimeSeries
from genoseq.errors import ConfigError, DataError


class Borders(ABC):
    """A way to cut a series into three contiguous parts, in the order of time.

    The look-back of a part's first windows reaches into the part before: what is predicted never does.
    """

    @abstractmethod
    def rows(self, series: TimeSeries, split: Split) -> range:
        """The rows that windows of a split may predict; those of training may also be all they see.

        Raises:
            DataError: the series is too short, or has no time where the borders want one.
        """


class MonthBorders(Borders):
    """So many months of 30 days each, from the first row on; what is left over is not used.

    Twelve, four and four are those of the ETT data sets.

    Args:
        train, validation, test: months.

    Raises:
        ConfigError: one of them is not positive.

    Source: Zhou et al. 2021, "Informer", section 5.1, and its released code.
    """

    def __init__(self, *, train: int = 12, validation: int = 4, test: int = 4) -> None:
        if min(train, validation, test) < 1:
            raise ConfigError(
                f"train={train}, validation={validation}, test={test}: give a month or more each."
            )
        self._ends = {"train": train, "validation": train + validation, "test": train + validation + test}
        self._begins = {"train": 0, "validation": train, "test": train + validation}

    def rows(self, series: TimeSeries, split: Split) -> range:
        month = self._rows_of_a_month(series)
        wanted = self._ends["test"] * month
        if wanted > len(series):
            raise DataError(
                f"{self._ends['test']} months of 30 days are {wanted:,} rows of {series.frequency}, and the "
                f"series has {len(series):,}: give fewer months, or data/borders=fractions."
            )
        return range(self._begins[split] * month, self._ends[split] * month)

    def _rows_of_a_month(self, series: TimeSeries) -> int:
        step = None if series.time is None else pd.Timedelta(series.time[1] - series.time[0])
        if step is None or pd.Timedelta("30D") % step:
            raise DataError(
                f"steps of {series.frequency} do not make months of 30 days: give data/borders=fractions."
            )
        return pd.Timedelta("30D") // step


class FractionBorders(Borders):
    """Fractions of the rows; train and test are rounded down, and validation takes the rest.

    Args:
        train, validation, test: they add up to 1.

    Raises:
        ConfigError: they do not, or one is not positive.
    """

    def __init__(self, *, train: float = 0.7, validation: float = 0.1, test: float = 0.2) -> None:
        fractions = (train, validation, test)
        if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
            raise ConfigError(
                f"train={train}, validation={validation}, test={test} are no positive fractions that add up "
                "to 1, as 0.7, 0.1, 0.2 do."
            )
        self._train, self._test = train, test

    def rows(self, series: TimeSeries, split: Split) -> range:
        total = len(series)
        # Rounded before it is cut: .7 of 1000 is 699.99... in floating point.
        train, test = (int(round(part * total, 6)) for part in (self._train, self._test))
        bounds = {"train": (0, train), "validation": (train, total - test), "test": (total - test, total)}
        return range(*bounds[split])
