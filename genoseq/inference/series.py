"""What whole series are, by a model that learnt it, and vectors of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.labelled_series import LabelledSeries
from genoseq.data.loading import ExampleKey
from genoseq.data.ts_files import read_ts
from genoseq.errors import DataError
from genoseq.inference.signal_vectors import vectors_of
from genoseq.models.signal import RecordingModel, SignalOutput


def reads_series(model: RecordingModel) -> bool:
    """Whether a model learnt from labelled series, by its `preprocessing`."""
    return "vocabulary" in model.preprocessing


@torch.inference_mode()
def predict_series(model: RecordingModel, path: str, *, batch_size: int = 32) -> Iterator[pd.DataFrame]:
    """Predictions of the series of a `.ts` file, with labels or without.

    Args:
        model: its `preprocessing` says how values are scaled and what classes are called.
        path: of the file.
        batch_size: series at a time.

    Yields:
        Tables of `series`, the number from 0 in the file; `prediction`; and a `probability_<class>` each,
        where classes are predicted.

    Raises:
        DataError: the file is broken, or a series is longer than the model reads or has other channels.
    """
    for rows, output in _outputs(model, path, batch_size):
        columns = _columns(output.prediction.float(), model.preprocessing["classes"])
        yield pd.DataFrame({"series": rows} | columns)


@torch.inference_mode()
def embed_series(model: RecordingModel, path: str, *, batch_size: int = 32) -> Iterator[pd.DataFrame]:
    """A vector of each of the series of a `.ts` file, with labels or without.

    Args:
        model: its `preprocessing` says how values are scaled.
        path: of the file.
        batch_size: series at a time.

    Yields:
        Tables of `series`, the number from 0 in the file, and `embedding`; see `SignalOutput.embedding`.

    Raises:
        DataError: as `predict_series`.
    """
    for rows, output in _outputs(model, path, batch_size):
        yield pd.DataFrame({"series": rows, "embedding": vectors_of(model, output)})


def _outputs(model: RecordingModel, path: str, batch_size: int) -> Iterator[tuple[np.ndarray, SignalOutput]]:
    """Numbers of series, and the outputs of them."""
    known = model.preprocessing
    file = read_ts(path)
    vocabulary = known["vocabulary"]
    channels = vocabulary or file.num_channels
    longest = max(len(example.values) for example in file.examples)
    if channels != model.num_channels or longest > model.sequence_length:
        raise DataError(
            f"{path}: series of {channels} channels and at most {longest:,} steps; the model reads "
            f"{model.num_channels} channels and at most {model.sequence_length:,} steps."
        )
    dataset = LabelledSeries(
        file.examples,
        np.zeros(len(file.examples)),
        sequence_length=model.sequence_length,
        scaler=None if known["scaler"] is None else ChannelScaler.from_json(known["scaler"]),
        vocabulary=vocabulary,
    )
    for rows in np.array_split(np.arange(len(dataset)), -(-len(dataset) // batch_size)):
        items = [dataset[ExampleKey(0, int(row))] for row in rows]
        x, observed = (
            torch.from_numpy(np.stack([item[name] for item in items])).to(model.device)
            for name in ("x", "observed")
        )
        yield rows, model(x, observed=observed)


def _columns(values: torch.Tensor, classes: list[str] | None) -> dict[str, np.ndarray]:
    if classes is None:
        return {"prediction": values[:, 0].cpu().numpy()}
    chances = values.softmax(-1).cpu().numpy()
    named = {f"probability_{name}": chances[:, row] for row, name in enumerate(classes)}
    return {"prediction": np.array(classes)[chances.argmax(axis=1)]} | named
