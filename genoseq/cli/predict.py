"""`genoseq predict`: of sequences, their bases, windows of recordings, whole series, or what comes next."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import pandas as pd
from omegaconf import DictConfig

from genoseq.cli.models import (
    note_reading,
    open_models,
    open_records,
    require_input_alone,
    require_left_out,
)
from genoseq.cli.progress import counted
from genoseq.errors import ConfigError
from genoseq.inference import Record, bits_per_base, forecast, predict, score_bases
from genoseq.inference.outputs import open_table
from genoseq.inference.recordings import classify
from genoseq.inference.series import predict_series, reads_series
from genoseq.models.base import SequenceModel
from genoseq.models.heads import LanguageModelHead
from genoseq.models.signal import Forecaster, RecordingModel, SignalModel

log = logging.getLogger(__name__)

_OF_LANGUAGE_MODELS = {"summary": False}


def run(config: DictConfig) -> None:
    """Write `out` as `configs/predict.yaml` describes it."""
    with open_table(config.out, formats=(".parquet", ".tsv", ".csv")) as table:
        model = open_models(config)
        if isinstance(model, RecordingModel):
            of_series = reads_series(model)
            what = "series" if of_series else "recordings"
            require_input_alone(config, _OF_LANGUAGE_MODELS, what)
            tables = (predict_series if of_series else classify)(
                model, config.input, batch_size=config.batch_size
            )
            for rows in counted(tables, what="batches" if of_series else what):
                table.write(rows)
            log.info("predictions in %s", config.out)
            return
        if isinstance(model, SignalModel):
            table.write(_forecast(config, model))
            log.info("forecast in %s", config.out)
            return
        records = open_records(config)
        if isinstance(model.head, LanguageModelHead):
            note_reading(table, model, config)
            predictions = _score(config, model, records)
        else:
            _require_no_reading(config, model)
            predictions = predict(model, counted(records, what="sequences"), batch_size=config.batch_size)
        for rows in predictions:
            table.write(rows)
    log.info("predictions in %s", config.out)


def _forecast(config: DictConfig, model: SignalModel) -> pd.DataFrame:
    if not isinstance(model, Forecaster):
        raise ConfigError(f"{type(model).__name__} gives a sequence for a sequence: use genoseq stream.")
    require_input_alone(config, _OF_LANGUAGE_MODELS, "forecasts")
    return forecast(model, config.input)


def _score(config: DictConfig, model: SequenceModel, records: Iterable[Record]) -> Iterator[pd.DataFrame]:
    in_chunks = config.chunk_length is not None
    tables = score_bases(
        model,
        records if in_chunks else counted(records, what="sequences"),
        batch_size=config.batch_size,
        chunk_length=config.chunk_length,
        context=config.context,
    )
    if in_chunks:
        tables = counted(tables, what="chunks")
    return bits_per_base(tables) if config.summary else tables


def _require_no_reading(config: DictConfig, model: SequenceModel) -> None:
    why = f"for causal language models, and this checkpoint has a {type(model.head).__name__}"
    require_left_out(config, {**_OF_LANGUAGE_MODELS, "chunk_length": None, "context": None}, why)
