"""`genoseq embed`: a vector for each sequence."""

from __future__ import annotations

import logging
from typing import get_args

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from genoseq.cli.models import note_reading, open_model, open_records
from genoseq.cli.progress import counted
from genoseq.data.tables import read_table, require_columns
from genoseq.errors import ConfigError, require_choice
from genoseq.inference import embed
from genoseq.inference.outputs import atomic_file, open_table, require_folder
from genoseq.report.plots.embeddings import Projection, embedding_map

log = logging.getLogger(__name__)


def run(config: DictConfig) -> None:
    """Write `out`, and `plot`, as `configs/embed.yaml` describes them."""
    drawing = None if config.plot is None else _Drawing(config)
    with open_table(config.out, formats=(".parquet", ".npz")) as table:
        records = counted(open_records(config), what="sequences")
        model = open_model(config)
        batches = embed(
            model,
            records,
            layer=config.layer,
            pooling=config.pooling,
            strands=config.strands,
            batch_size=config.batch_size,
            chunk_length=config.chunk_length,
            context=config.context,
            window=config.window,
        )
        note_reading(table, model, config)
        for rows in batches:
            table.write(rows)
            if drawing is not None:
                drawing.add(rows)
    log.info("embeddings in %s", config.out)
    if drawing is not None:
        drawing.draw()
        log.info("plot in %s", config.plot)


class _Drawing:
    """A plot of all vectors, which wait in memory for it.

    Raises:
        ConfigError: the plot is no PNG, or what would colour it is not there. DataError: no such folder.
    """

    def __init__(self, config: DictConfig) -> None:
        self._path = require_folder(config.plot)
        if self._path.suffix.lower() != ".png":
            raise ConfigError(f"plot={config.plot}: the name has to end in .png.")
        require_choice("projection", config.projection, get_args(Projection))
        self._projection: Projection = config.projection
        self._labels = None if config.colour_column is None else _column(config)
        self._names: list[str] = []
        self._vectors: list[np.ndarray] = []

    def add(self, rows: pd.DataFrame) -> None:
        """Take rows of the table."""
        self._names += rows["name"].tolist()
        self._vectors += rows["embedding"].tolist()

    def draw(self) -> None:
        """Write it. Windows of a few sequences are coloured by what they are of."""
        labels = self._labels
        if labels is None and len(set(self._names)) < len(self._names):
            labels = pd.Series(self._names, name="sequence")
        with atomic_file(self._path) as path:
            plot = embedding_map(np.stack(self._vectors), labels, projection=self._projection, name=path.stem)
            plot.save_png(path.parent).replace(path)


def _column(config: DictConfig) -> pd.Series:
    """What colours the rows: a column of the table that is read."""
    if config.input is None or config.window is not None:
        raise ConfigError(
            f"colour_column={config.colour_column} is a column of a table: give input=TABLE, and no window=."
        )
    table = read_table(config.input)
    require_columns(table, [config.colour_column], config.input)
    return table[config.colour_column]
