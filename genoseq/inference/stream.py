"""Predictions of a signal as its samples come, in memory that does not grow, equal to one whole pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.errors import ConfigError
from genoseq.inference.targets import output_names
from genoseq.models.signal import SignalRegressor


def stream(
    model: SignalRegressor, pieces: Iterable[np.ndarray], *, max_length: int | None = None
) -> Iterator[pd.DataFrame]:
    """Predictions as they become known.

    Args:
        model: causal, with a state that it carries on; its `preprocessing` may name a `scaler` of its inputs
            and then its outputs, and `classes`, the names of the outputs.
        pieces: (n, C_in) samples, in the units of the data; NaN is taken for the mean.
        max_length: room for so many samples, of a model whose state grows; None for one whose does not.

    Yields:
        A table a piece that completes a prediction: `sample`, the number of the last sample that it was made
        from, and a column each output, in the units of the data.

    Raises:
        ConfigError: the model does not stream, or its state grows and no end was given.
        SequenceError: the pieces have another number of channels, or go beyond `max_length`.
    """
    if not model.streams:
        raise ConfigError(
            f"this {type(model).__name__} is not causal, or carries no state: it reads whole sequences. Use "
            "one that streams, such as a HiSS of causal layers."
        )
    if not model.fixed_memory and max_length is None:
        raise ConfigError(
            f"the state of this {type(model).__name__} grows with every sample. Say how many there will be, "
            "max_length=, or use recurrent layers."
        )
    into, out_of = _scales(model)
    names = output_names(model.preprocessing, model.num_outputs)
    columns = ["prediction"] if len(names) == 1 else [f"prediction_{name}" for name in names]
    state = model.init_state(1, max_length=max_length or 2**40)
    known = 0
    for piece in pieces:
        predictions = _next(model, into(piece), state)
        if not len(predictions):
            continue
        numbers = np.arange(known + 1, known + 1 + len(predictions)) * model.samples_per_prediction - 1
        known += len(predictions)
        values = out_of(predictions)
        yield pd.DataFrame({"sample": numbers} | {name: values[:, row] for row, name in enumerate(columns)})


@torch.inference_mode()
def _next(model: SignalRegressor, samples: np.ndarray, state: Any) -> np.ndarray:
    x = torch.from_numpy(samples.astype(np.float32)).unsqueeze(0).to(model.device)
    return model.forward_chunk(x, state)[0].float().cpu().numpy()


def _scales(model: SignalRegressor) -> tuple[Any, Any]:
    """Functions that scale inputs, and give outputs their units."""
    known = model.preprocessing.get("scaler")
    if known is None:
        return np.nan_to_num, np.asarray
    scaler = ChannelScaler.from_json(known)
    inputs = model.input_channels
    first = ChannelScaler(scaler.shift[:inputs], scaler.scale[:inputs])
    last = ChannelScaler(scaler.shift[inputs:], scaler.scale[inputs:])
    if len(last.shift) != model.num_outputs:
        raise ConfigError(
            f"the model's scaler is of {len(scaler.shift)} columns; a stream wants {inputs} inputs and "
            f"{model.num_outputs} outputs."
        )
    return (lambda piece: np.nan_to_num(first.transform(piece))), last.inverse
