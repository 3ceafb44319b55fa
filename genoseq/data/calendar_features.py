"""What the calendar says of a time, as numbers between -0.5 and 0.5."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from genoseq.errors import ConfigError

# Attribute of pandas' index, its least value, and the span to its largest.
_FEATURES = {
    "minute": ("minute", 0, 59),
    "hour": ("hour", 0, 23),
    "weekday": ("day_of_week", 0, 6),
    "day": ("day", 1, 30),
    "year_day": ("day_of_year", 1, 365),
    "month": ("month", 1, 11),
}


def calendar_features(time: pd.DatetimeIndex | None, names: Sequence[str]) -> np.ndarray:
    """(T, F) float32, in the order of `names`: minute, hour, weekday, day, year_day, month.

    Raises:
        ConfigError: there is no such feature, or there is no time.
    """
    unknown = [name for name in names if name not in _FEATURES]
    if unknown:
        raise ConfigError(f"calendar={list(names)}: choose among {', '.join(_FEATURES)}.")
    if time is None:
        if names:
            raise ConfigError(f"calendar={list(names)}: the series has no time_column. Give calendar=[].")
        return np.empty((0, 0), dtype=np.float32)
    columns = [
        (np.asarray(getattr(time, attribute)) - least) / span - 0.5
        for attribute, least, span in (_FEATURES[name] for name in names)
    ]
    return np.stack(columns, axis=1).astype(np.float32) if columns else np.empty((len(time), 0), np.float32)
