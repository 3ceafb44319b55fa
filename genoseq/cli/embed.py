"""`genoseq embed`: a vector for each sequence, window of a recording or a table, or whole series."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pandas as pd
from omegaconf import DictConfig

from genoseq.cli.embedding_plot import EmbeddingPlot, plot_path
from genoseq.cli.models import (
    note_reading,
    open_any_model,
    open_records,
    require_input_alone,
    require_left_out,
)
from genoseq.cli.progress import counted
from genoseq.errors import ConfigError
from genoseq.inference import embed
from genoseq.inference.forecasts import embed_windows
from genoseq.inference.outputs import open_table
from genoseq.inference.recordings import embed_recordings
from genoseq.inference.series import embed_series, reads_series
from genoseq.models.base import SequenceModel
from genoseq.models.signal import Forecaster, RecordingModel, SignalModel

log = logging.getLogger(__name__)

_OF_SEQUENCES = {"layer": -1, "pooling": "mean", "strands": "none", "window": None}


def run(config: DictConfig) -> None:
    """Write `out`, and `plot`, as `configs/embed.yaml` describes them."""
    path = plot_path(config)
    with open_table(config.out, formats=(".parquet", ".npz")) as table:
        model = open_any_model(config)
        if isinstance(model, SignalModel):
            tables = _of_signals(config, model)
        else:
            tables = _of_sequences(config, model)
            note_reading(table, model, config)
        drawing = None if path is None else EmbeddingPlot(path, config, model)
        for rows in tables:
            table.write(rows)
            if drawing is not None:
                drawing.add(rows)
    log.info("embeddings in %s", config.out)
    if drawing is not None:
        drawing.draw()
        log.info("plot in %s", config.plot)


def _of_sequences(config: DictConfig, model: SequenceModel) -> Iterator[pd.DataFrame]:
    require_left_out(config, {"table": None}, "for recordings, not for sequences")
    return embed(
        model,
        counted(open_records(config), what="sequences"),
        layer=config.layer,
        pooling=config.pooling,
        strands=config.strands,
        batch_size=config.batch_size,
        chunk_length=config.chunk_length,
        context=config.context,
        window=config.window,
    )


def _of_signals(config: DictConfig, model: SignalModel) -> Iterator[pd.DataFrame]:
    if isinstance(model, RecordingModel) and not reads_series(model):
        require_input_alone(config, _OF_SEQUENCES, "recordings")
        tables = embed_recordings(model, config.input, table=config.table, batch_size=config.batch_size)
        return counted(tables, what="recordings")
    if not isinstance(model, RecordingModel | Forecaster):
        raise ConfigError(
            f"{type(model).__name__} gives a sequence for a sequence of any length, which has no windows to "
            "make vectors of: use genoseq stream."
        )
    what = "forecasters" if isinstance(model, Forecaster) else "series"
    require_input_alone(config, _OF_SEQUENCES, what)
    require_left_out(config, {"table": None, "colour_column": None}, f"for recordings, not for {what}")
    if isinstance(model, Forecaster):
        tables = embed_windows(model, config.input, batch_size=config.batch_size)
    else:
        tables = embed_series(model, config.input, batch_size=config.batch_size)
    return counted(tables, what="batches")
