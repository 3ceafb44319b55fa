"""What the hub asks of the layout in which the authors of a model of signals released it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genoseq.models.layouts import OfficialFiles, Tensors
from genoseq.nn.materialize import Values


@dataclass(frozen=True)
class ReadSignalModel:
    """A checkpoint in our words.

    Attributes:
        arguments: of the model's constructor.
        tensors: by the names of our modules; what the checkpoint has beyond them stays, to be reported.
        preprocessing: see `SignalModel`.
    """

    arguments: dict[str, Any]
    tensors: Values
    preprocessing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SignalLayout:
    """How the authors of a model released it: config.json and model.safetensors.

    Attributes:
        recognises: whether a config.json is of this layout.
        read: config and tensors to our words. Raises CheckpointError for what the model has no place for.
        write: a model to what the files shall hold. Raises CheckpointError where there is no place for it.
    """

    recognises: Callable[[Mapping[str, Any]], bool]
    read: Callable[[Mapping[str, Any], Tensors], ReadSignalModel]
    write: Callable[[Any], OfficialFiles]
