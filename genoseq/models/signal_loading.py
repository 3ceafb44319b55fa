"""Doors for those who want a model of signals, and no other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from genoseq.errors import ConfigError
from genoseq.models.construct import changed, construct
from genoseq.models.hub import load
from genoseq.models.signal import SignalModel


def load_signal_model(path: str | os.PathLike[str], **settings: Any) -> SignalModel:
    """What `genoseq.load` gives with the same settings, where it is a model of signals.

    Raises:
        CheckpointError: as `load`.
        ConfigError: it is a model of tokens.
    """
    model = load(path, **settings)
    if not isinstance(model, SignalModel):
        raise ConfigError(
            f"{path} is a model of sequences: it reads letters, and no signals. Give a model of signals."
        )
    return model


def load_encoder(*, checkpoint: str | os.PathLike[str], arguments: Mapping[str, Any]) -> SignalModel:
    """A model for another task, with the weights of a checkpoint wherever they are not those of its head.

    Args:
        checkpoint: whatever `genoseq.load` takes.
        arguments: of the constructor, instead of those of the checkpoint: what is predicted, and how.

    Returns:
        The model, in training mode; its head has first values, its `preprocessing` is the checkpoint's.

    Raises:
        CheckpointError: the arguments change the shapes of the encoder, or as `load`.
        ConfigError: there is no such argument, or the checkpoint is no model of signals.
    """
    pretrained = load_signal_model(checkpoint)
    kind = type(pretrained)
    model: SignalModel = construct(kind, **changed(kind, pretrained.arguments, arguments))
    model.take_encoder(pretrained)
    model.preprocessing = dict(pretrained.preprocessing)
    return model.train()
