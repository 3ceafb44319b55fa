"""The steps beyond the end of a series, and vectors of its windows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

from genoseq.data.calendar_features import calendar_features
from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.forecast_windows import carried_forward, with_mask_marks
from genoseq.data.time_series import PathLike, TimeSeries, read_time_series
from genoseq.errors import CheckpointError, DataError
from genoseq.inference.signal_vectors import vectors_of
from genoseq.models.signal import Forecaster, SignalOutput
from genoseq.nn.forecast_distributions import Quantiles, make_distribution, numbers_of

_WANTED = ("channels", "scaler", "reading", "calendar", "mask_marks", "distribution")


@torch.inference_mode()
def forecast(model: Forecaster, path: PathLike) -> pd.DataFrame:
    """What comes after a series, in its own units.

    Args:
        model: its `preprocessing` says how the file is to be read and scaled.
        path: a table as in training; its last rows are what the model sees.

    Returns:
        One row a time and channel: `time` (without times the number of the row), `channel`, `prediction`; and
        where the model gives more than values, `low` and `high` of the central interval, or `quantile_<p>`.

    Raises:
        CheckpointError: the model does not say how it is to be used.
        DataError: the file cannot be read as in training, or is shorter than the look-back.
    """
    series = _read(model, path)
    known = model.preprocessing
    last = np.array([len(series) - model.sequence_length])
    numbers = numbers_of(next(_outputs(model, series, last, batch_size=1)))
    distribution = make_distribution(**known["distribution"])
    columns = {"prediction": distribution.point(numbers)}
    interval = distribution.interval(numbers)
    if isinstance(distribution, Quantiles):
        each = distribution.values(numbers).unbind(-1)
        columns |= {
            f"quantile_{level:g}": values for level, values in zip(distribution.quantiles, each, strict=True)
        }
    elif interval is not None:
        columns |= {"low": interval[0], "high": interval[1]}
    return _table(series, model.horizon, known, columns)


@torch.inference_mode()
def embed_windows(model: Forecaster, path: PathLike, *, batch_size: int = 32) -> Iterator[pd.DataFrame]:
    """A vector of each of the windows of a series, side by side and as long as the model looks back.

    Args:
        model: its `preprocessing` says how the file is to be read and scaled.
        path: a table as in training.
        batch_size: windows at a time.

    Yields:
        Tables of `time`, that of the first row of a window (without times its number), and `embedding`, see
        `SignalOutput.embedding`.

    Raises:
        CheckpointError, DataError: as `forecast`.
        ConfigError: the model has no hidden states.
    """
    series = _read(model, path)
    starts = np.arange(len(series) // model.sequence_length) * model.sequence_length
    times = starts if series.time is None else series.time[starts]
    done = 0
    for output in _outputs(model, series, starts, batch_size):
        vectors = vectors_of(model, output)
        yield pd.DataFrame({"time": times[done : done + len(vectors)], "embedding": vectors})
        done += len(vectors)


def _read(model: Forecaster, path: PathLike) -> TimeSeries:
    known = model.preprocessing
    missing = [name for name in _WANTED if name not in known]
    if missing:
        raise CheckpointError(
            f"preprocessing.json of this {type(model).__name__} has no {', '.join(missing)}: how a series "
            "is to be read and scaled is not known. Train it with genoseq, or scale the input yourself in "
            "Python."
        )
    series = read_time_series(path, **{**known["reading"], "columns": known["channels"]})
    if len(series) < model.sequence_length:
        raise DataError(
            f"{path} has {len(series):,} rows, and the model looks back {model.sequence_length:,}: give a "
            "longer series."
        )
    return series


def _outputs(
    model: Forecaster, series: TimeSeries, starts: np.ndarray, batch_size: int
) -> Iterator[SignalOutput]:
    """Of the windows that begin at some rows."""
    known = model.preprocessing
    scaled = ChannelScaler.from_json(known["scaler"]).transform(series.values)
    marks = calendar_features(series.time, known["calendar"])
    if known["mask_marks"]:
        marks = with_mask_marks(marks, series.observed)
    values = carried_forward(scaled)
    for first in np.array_split(starts, -(-len(starts) // batch_size)):
        rows = first[:, None] + np.arange(model.sequence_length)
        past, told = (torch.from_numpy(part[rows]).to(model.device) for part in (values, marks))
        yield model(past, told if marks.shape[1] else None)


def _table(
    series: TimeSeries, horizon: int, known: dict[str, Any], columns: dict[str, torch.Tensor]
) -> pd.DataFrame:
    scaler = ChannelScaler.from_json(known["scaler"])
    values = {
        name: scaler.inverse(value[0].double().cpu().numpy()).ravel() for name, value in columns.items()
    }
    places = {
        "time": np.repeat(series.times_beyond(horizon), len(series.names)),
        "channel": np.tile(np.array(series.names, dtype=object), horizon),
    }
    return pd.DataFrame(places | values)
