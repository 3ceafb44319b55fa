"""`genoseq stream`: predictions of a signal as its samples come."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pandas as pd
from omegaconf import DictConfig

from genoseq.cli.progress import counted
from genoseq.data.sample_streams import STANDARD_INPUT, open_samples
from genoseq.errors import ConfigError
from genoseq.inference.devices import pick_device
from genoseq.inference.outputs import STANDARD_OUTPUT, open_table
from genoseq.inference.stream import stream
from genoseq.models import SignalRegressor, load_signal_model
from genoseq.paths import locate

log = logging.getLogger(__name__)

_PIECE = 4096


def run(config: DictConfig) -> None:
    """Write `out` as `configs/stream.yaml` describes it."""
    model = load_signal_model(locate(config.checkpoint), device=str(pick_device(config.device)))
    if not isinstance(model, SignalRegressor):
        raise ConfigError(
            f"checkpoint={config.checkpoint} is a {type(model).__name__}: a stream wants a model that gives "
            "a sequence for a sequence (task=signal_regression)."
        )
    channels = list(config.channels or model.preprocessing.get("channels") or [])
    if len(channels) != model.input_channels:
        raise ConfigError(
            f"channels={channels or None}: the model reads {model.input_channels}; name each, in its order."
        )
    pieces = open_samples(
        str(config.input),
        [str(name) for name in channels],
        samples=config.samples or (1 if config.input == STANDARD_INPUT else _PIECE),
        sampling_rate=model.preprocessing.get("sampling_rate"),
        header=config.header,
    )
    predictions = stream(model, pieces, max_length=config.max_length)
    if config.out == STANDARD_OUTPUT:
        _print(predictions)
        return
    with open_table(config.out, formats=(".csv", ".tsv", ".parquet")) as table:
        for rows in counted(predictions, what="pieces"):
            table.write(rows)
    log.info("predictions in %s", config.out)


def _print(predictions: Iterator[pd.DataFrame]) -> None:
    """Lines on standard output, each as soon as it is known."""
    header = True
    for rows in predictions:
        rows.to_csv(sys.stdout, index=False, header=header)
        sys.stdout.flush()
        header = False
