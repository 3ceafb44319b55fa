"""What the windows of recordings, or their channels, are, by a model that learnt it, and vectors of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.recordings import Preparation, Prepared, Recording, find_recordings
from genoseq.errors import CheckpointError, ConfigError, DataError
from genoseq.inference.predictions import prediction_columns
from genoseq.inference.signal_vectors import vectors_of
from genoseq.models.signal import RecordingModel, SignalOutput

_WANTED = ("preparation", "scaler", "sampling_rate")


@torch.inference_mode()
def classify(model: RecordingModel, path: str, *, batch_size: int = 32) -> Iterator[pd.DataFrame]:
    """Predictions of the windows of recordings, side by side.

    Args:
        model: its `preprocessing` says how recordings are prepared and scaled, and how classes are called.
        path: a folder of recordings, or one.
        batch_size: windows at a time.

    Yields:
        A table a recording: `recording`, its number from 1 in the order of `genoseq inspect`; `start` in
        seconds; `prediction`, and a `probability_<class>` each; of a model of several classes a
        `prediction_<class>` each, whether it is there; of one of channels a row each `channel` that was
        measured.

    Raises:
        ConfigError: the model reconstructs, or predicts numbers.
        CheckpointError: it does not say how it is to be used.
        DataError: a recording cannot be prepared as in training, or is shorter than a window.
    """
    if model.problem not in ("single_label", "multi_label"):
        raise ConfigError(f"predicting wants a model of classes; this one is of {model.problem}.")
    # Models that do not say their form were trained when there was one.
    form = () if model.label_form == "class" else ("label_form",)
    names = [str(name) for name in _known(model, (*_WANTED, "classes", *form))["classes"]]
    # Of a channel one class is the likeliest, also where the model says whether one thing is there.
    problem = "single_label" if model.per_channel else str(model.problem)
    for places, found, outputs in _windows(model, find_recordings(path), batch_size):
        logits = torch.cat([output.prediction for output in outputs])
        values = model.activated(logits).cpu().numpy()
        if model.per_channel:
            places, values = _of_channels(places, found, values)
        columns = pd.DataFrame(prediction_columns(problem, names, values))
        yield pd.concat([places, columns], axis=1)


def _of_channels(
    places: pd.DataFrame, found: Prepared, values: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """A row for each channel of each window that was measured, of `values` (windows, channels, classes)."""
    there = np.array(found.channels)[found.present]
    rows = places.loc[places.index.repeat(len(there))].reset_index(drop=True)
    rows["channel"] = np.tile(there, len(places))
    return rows, values[:, found.present].reshape(len(rows), -1)


@torch.inference_mode()
def embed_recordings(
    model: RecordingModel, path: str, *, table: str | None = None, batch_size: int = 32
) -> Iterator[pd.DataFrame]:
    """A vector of each of the windows of recordings, side by side.

    Args:
        model: its `preprocessing` says how recordings are prepared and scaled. It may also be one that
            reconstructs.
        path: a folder of recordings, or one.
        table: names the recordings to take, in its order; see `find_recordings`.
        batch_size: windows at a time.

    Yields:
        A table a recording: `recording`, its number from 1; `start` in seconds; `embedding`, see
        `SignalOutput.embedding`.

    Raises:
        CheckpointError: the model does not say how it is to be used.
        DataError: a recording cannot be prepared as in training, or is shorter than a window.
    """
    for places, _, outputs in _windows(model, find_recordings(path, table=table), batch_size):
        vectors = [vector for output in outputs for vector in vectors_of(model, output)]
        yield pd.concat([places, pd.Series(vectors, name="embedding")], axis=1)


def _known(model: RecordingModel, wanted: Sequence[str]) -> dict[str, Any]:
    """The model's `preprocessing`, which says all that is wanted."""
    missing = [name for name in wanted if not model.preprocessing.get(name)]
    if missing:
        raise CheckpointError(
            f"preprocessing.json of this {type(model).__name__} has no {', '.join(missing)}: how recordings "
            "are prepared is not known. Train it with genoseq, or prepare the windows yourself in Python."
        )
    return model.preprocessing


def _windows(
    model: RecordingModel, recordings: Sequence[Recording], batch_size: int
) -> Iterator[tuple[pd.DataFrame, Prepared, Iterator[SignalOutput]]]:
    """For each recording `recording` and `start` of its windows, itself as prepared, and the outputs of
    the windows, batch by batch."""
    known = _known(model, _WANTED)
    preparation = Preparation(**known["preparation"])
    scaler = ChannelScaler.from_json(known["scaler"])
    for number, recording in enumerate(recordings, start=1):
        found = preparation(recording.source)
        if found.rate != known["sampling_rate"] or found.signal.shape[1] < model.sequence_length:
            raise DataError(
                f"{recording.source}: {found.signal.shape[1]:,} samples at {found.rate:g} Hz; the model "
                f"reads windows of {model.sequence_length:,} at {known['sampling_rate']:g} Hz."
            )
        windows = _side_by_side(found, scaler, model.sequence_length)
        starts = np.arange(len(windows)) * model.sequence_length / found.rate
        places = pd.DataFrame({"recording": number, "start": starts})
        yield places, found, _outputs(model, windows, found.present, batch_size)


def _side_by_side(found: Prepared, scaler: ChannelScaler, size: int) -> np.ndarray:
    """(windows, C, T) float32, scaled, zeros where a channel was not measured."""
    count = found.signal.shape[1] // size
    scaled = scaler.transform(found.signal.T).T.astype(np.float32)
    scaled = np.where(found.present[:, None], scaled, np.float32(0))[:, : count * size]
    return scaled.reshape(len(scaled), count, -1).swapaxes(0, 1).copy()


def _outputs(
    model: RecordingModel, windows: np.ndarray, present: np.ndarray, batch_size: int
) -> Iterator[SignalOutput]:
    observed = torch.from_numpy(present)[None, :, None].to(model.device)
    for part in torch.from_numpy(windows).split(batch_size):
        yield model(part.to(model.device), observed=observed.expand(len(part), -1, -1))
