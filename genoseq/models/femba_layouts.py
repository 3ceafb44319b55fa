"""The layout that FEMBA was released in: the arguments of its class, and its state dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.errors import CheckpointError
from genoseq.models.femba import Femba
from genoseq.models.layouts import OfficialFiles, Tensors, translate
from genoseq.models.signal_layout import ReadSignalModel, SignalLayout
from genoseq.models.strict import unique_state

_NAMES = {
    "seq_length": "sequence_length",
    "num_channels": "num_channels",
    "embed_dim": "embed_dim",
    "num_blocks": "num_layers",
    "exp": "expand",
    "patch_size": "patch_size",
    "stride": "stride",
    "kernel_dec": "decoder_kernel",
}
# It is read and used for nothing there.
_SILENT = frozenset({"kernel_1", "num_classes", "classification_type"})
# Defaults of the released class, where they are not ours.
_DEFAULTS: dict[str, Any] = {"embed_dim": 79, "num_layers": 1}


def _recognises(config: Mapping[str, Any]) -> bool:
    return {"seq_length", "num_channels", "patch_size"} <= set(config)


def _read(config: Mapping[str, Any], tensors: Tensors) -> ReadSignalModel:
    arguments = _DEFAULTS | translate(config, _NAMES, fixed={}, silent=_SILENT)
    classes = config.get("num_classes", 0)
    head = config.get("classification_type", "bc") if classes else "reconstruction"
    if head == "mc" and classes != arguments["num_channels"]:
        # One output a channel, whatever the number says: it only must not be 0.
        classes = arguments["num_channels"]
    arguments |= {"head": head, "num_classes": 0 if head == "mc" else classes}
    return ReadSignalModel(arguments, tensors)


def _write(model: Femba) -> OfficialFiles:
    if not isinstance(model, Femba):
        raise CheckpointError(f"the layout of FEMBA has no place for a {type(model).__name__}.")
    config = {theirs: model.arguments[ours] for theirs, ours in _NAMES.items()}
    config["num_classes"] = model.num_outputs
    config["classification_type"] = "bc" if model.head == "reconstruction" else model.head
    return OfficialFiles(config, unique_state(model))


FEMBA_LAYOUT = SignalLayout(_recognises, _read, _write)
