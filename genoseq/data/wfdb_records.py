"""WFDB records, as PhysioNet has them: a header, signals, and annotations beside them.

The library is `pip install 'genoseq[signals]'`, and imported where such a record is read.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from genoseq.data.time_series import PathLike, TimeSeries
from genoseq.errors import ConfigError, DataError
from genoseq.paths import require_file


@dataclass(frozen=True)
class WfdbRecord:
    """Attributes:
    series: the signals in physical units, NaN where the record has no value.
    sampling_rate: Hz.
    annotations: `sample` (from 0) and `symbol` of each; None where the record has none.
    """

    series: TimeSeries
    sampling_rate: float
    annotations: pd.DataFrame | None


def read_wfdb(path: PathLike, *, annotator: str | None = None) -> WfdbRecord:
    """A record by its header.

    Args:
        path: the `.hea` file.
        annotator: the ending of the annotations to read as well, such as `atr`; None for none.

    Raises:
        ConfigError: wfdb is not installed.
        DataError: a file is missing, truncated or no such thing; signals have different rates; or an
            annotation lies beyond the end.
    """
    header = require_file(path, "WFDB header")
    if header.suffix != ".hea":
        raise DataError(f"{header}: give the record's header, a .hea file.")
    wfdb = library()
    name = str(header.with_suffix(""))
    try:
        record = wfdb.rdrecord(name)
    except Exception as error:  # whatever a broken file makes the library raise
        raise DataError(f"{header} cannot be read as a WFDB record: {error}") from error
    values = np.asarray(record.p_signal, dtype=np.float64)
    if values.shape != (record.sig_len, record.n_sig):
        raise DataError(
            f"{header} says {record.sig_len:,} samples of {record.n_sig} signals; {values.shape} are there."
        )
    units = dict(zip(record.sig_name, record.units, strict=True))
    series = TimeSeries(values, tuple(record.sig_name), None, units)
    found = None if annotator is None else _annotations(wfdb, header, annotator, len(series))
    return WfdbRecord(series, float(record.fs), found)


def _annotations(wfdb: Any, header: Path, annotator: str, length: int) -> pd.DataFrame:
    file = require_file(header.with_suffix(f".{annotator}"), "WFDB annotations")
    try:
        with _quietly():
            found = wfdb.rdann(str(header.with_suffix("")), annotator)
    except Exception as error:  # whatever a broken file makes the library raise
        raise DataError(f"{file} cannot be read as WFDB annotations: {error}") from error
    beyond = np.flatnonzero((found.sample < 0) | (found.sample >= length))
    if len(beyond):
        raise DataError(
            f"{file}: the annotation {found.symbol[beyond[0]]!r} is at sample {found.sample[beyond[0]]:,}, "
            f"and the record ends at {length:,}. Take the annotations of this very record."
        )
    return pd.DataFrame({"sample": found.sample, "symbol": found.symbol})


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what pandas says of how wfdb asks it, which nobody here can mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*inplace keyword.*")
        yield


def library() -> Any:
    """The library that reads them.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with _quietly():
            return import_module("wfdb")
    except ImportError as error:
        raise ConfigError("WFDB records want `pip install 'genoseq[signals]'`.") from error
