"""What the windows of recordings, or their channels, are, by a model that learnt it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.data.recordings import Preparation, Prepared, find_recordings
from genoseq.errors import CheckpointError, ConfigError, DataError
from genoseq.inference.predict import prediction_columns
from genoseq.models.signal import RecordingModel

_WANTED = ("preparation", "scaler", "sampling_rate", "classes")


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
    known = model.preprocessing
    if model.problem not in ("single_label", "multi_label"):
        raise ConfigError(f"predicting wants a model of classes; this one is of {model.problem}.")
    # Models that do not say their form were trained when there was one.
    wanted = _WANTED if model.label_form == "class" else (*_WANTED, "label_form")
    missing = [name for name in wanted if not known.get(name)]
    if missing:
        raise CheckpointError(
            f"preprocessing.json of this {type(model).__name__} has no {', '.join(missing)}: how recordings "
            "are "
            "prepared is not known. Train it with genoseq, or prepare the windows yourself in Python."
        )
    preparation = Preparation(**known["preparation"])
    scaler = ChannelScaler.from_json(known["scaler"])
    names = [str(name) for name in known["classes"]]
    for number, recording in enumerate(find_recordings(path), start=1):
        found = preparation(recording.source)
        if found.rate != known["sampling_rate"] or found.signal.shape[1] < model.sequence_length:
            raise DataError(
                f"{recording.source}: {found.signal.shape[1]:,} samples at {found.rate:g} Hz; the model "
                "reads windows "
                f"of {model.sequence_length:,} at {known['sampling_rate']:g} Hz."
            )
        values = _probabilities(model, found, scaler, batch_size)
        starts = np.arange(len(values)) * model.sequence_length / found.rate
        places: dict[str, Any] = {"recording": number, "start": starts}
        if model.per_channel:
            there = np.array(found.channels)[found.present]
            places["start"] = np.repeat(starts, len(there))
            places["channel"] = np.tile(there, len(starts))
            values = values[:, found.present].reshape(-1, len(names))
        # Of a channel one class is the likeliest, also where the model says whether one thing is there.
        problem = "single_label" if model.per_channel else str(model.problem)
        yield pd.DataFrame(places | prediction_columns(problem, names, values))


def _probabilities(
    model: RecordingModel, found: Prepared, scaler: ChannelScaler, batch_size: int
) -> np.ndarray:
    """(windows, classes) float32, or (windows, channels, classes)."""
    count = found.signal.shape[1] // model.sequence_length
    scaled = scaler.transform(found.signal.T).T.astype(np.float32)
    scaled = np.where(found.present[:, None], scaled, np.float32(0))[:, : count * model.sequence_length]
    windows = scaled.reshape(len(scaled), count, -1).swapaxes(0, 1).copy()
    observed = torch.from_numpy(found.present)[None, :, None].to(model.device)
    parts = [
        model(part.to(model.device), observed=observed.expand(len(part), -1, -1)).prediction
        for part in torch.from_numpy(windows).split(batch_size)
    ]
    return model.activated(torch.cat(parts)).cpu().numpy()
