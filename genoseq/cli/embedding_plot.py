"""The map that `genoseq embed` draws of all vectors, and what colours its dots."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from genoseq.data.tables import read_table, require_columns
from genoseq.data.ts_files import read_ts
from genoseq.errors import ConfigError, require_choice
from genoseq.inference.outputs import atomic_file, require_folder
from genoseq.inference.series import reads_series
from genoseq.models.base import SequenceModel
from genoseq.models.signal import Forecaster, RecordingModel, SignalModel
from genoseq.report.plots.embeddings import Projection, embedding_map

# From all rows, without their vectors, to a label each, or None.
_Colouring = Callable[[pd.DataFrame], pd.Series | None]


def plot_path(config: DictConfig) -> Path | None:
    """Where a plot goes, if there is to be one; looked at before a model is opened.

    Raises:
        ConfigError: it is no PNG, or there is no such projection. DataError: no such folder.
    """
    if config.plot is None:
        return None
    path = require_folder(config.plot)
    if path.suffix.lower() != ".png":
        raise ConfigError(f"plot={config.plot}: the name has to end in .png.")
    require_choice("projection", config.projection, get_args(Projection))
    return path


class EmbeddingPlot:
    """A plot of all vectors, which wait in memory for it.

    Raises:
        ConfigError: what would colour it is not there.
    """

    def __init__(self, path: Path, config: DictConfig, model: SequenceModel | SignalModel) -> None:
        self._path = path
        self._projection: Projection = config.projection
        self._colouring = _colouring(config, model)
        self._rows: list[pd.DataFrame] = []
        self._vectors: list[np.ndarray] = []

    def add(self, rows: pd.DataFrame) -> None:
        """Take rows of the table."""
        self._rows.append(rows.drop(columns="embedding"))
        self._vectors += rows["embedding"].tolist()

    def draw(self) -> None:
        """Write it."""
        labels = self._colouring(pd.concat(self._rows, ignore_index=True))
        with atomic_file(self._path) as path:
            plot = embedding_map(np.stack(self._vectors), labels, projection=self._projection, name=path.stem)
            plot.save_png(path.parent).replace(path)


def _colouring(config: DictConfig, model: SequenceModel | SignalModel) -> _Colouring:
    if isinstance(model, Forecaster):
        return _by_place
    if not isinstance(model, RecordingModel):
        return _of_sequences(config)
    return _by_class(config.input) if reads_series(model) else _of_recordings(config)


def _by_place(rows: pd.DataFrame) -> pd.Series:
    """Windows of one table by their order."""
    return pd.Series(np.arange(len(rows), dtype=float), name="window")


def _by_class(path: str) -> _Colouring:
    """Series by what the file says that they are, classes or numbers, if anything."""

    def labels(_: pd.DataFrame) -> pd.Series | None:
        file = read_ts(path)
        found = pd.Series([example.label for example in file.examples], name="label")
        if not found.any():
            return None
        return found.astype(float) if file.numeric else found

    return labels


def _of_recordings(config: DictConfig) -> _Colouring:
    """By a column of the table that names the recordings, else by the recording, of one alone by time."""
    if config.colour_column is None:
        return lambda rows: (
            rows["recording"] if rows["recording"].nunique() > 1 else rows["start"].rename("start (s)")
        )
    if config.table is None:
        raise ConfigError(
            f"colour_column={config.colour_column} is a column of the table that names the recordings: "
            "give table=TABLE, with the columns path and this one."
        )
    column = _column(config.table, config.colour_column)
    return lambda rows: column.iloc[rows["recording"] - 1]


def _of_sequences(config: DictConfig) -> _Colouring:
    """By a column of the table that is read, else windows of a few sequences by what they are of."""
    if config.colour_column is None:
        return lambda rows: rows["name"].rename("sequence") if rows["name"].duplicated().any() else None
    if config.input is None or config.window is not None:
        raise ConfigError(
            f"colour_column={config.colour_column} is a column of a table: give input=TABLE, and no window=."
        )
    column = _column(config.input, config.colour_column)
    return lambda _: column


def _column(path: str, name: str) -> pd.Series:
    table = read_table(path)
    require_columns(table, [name], path)
    return table[name]
