"""The layout that KARMA was released in: the settings of its scripts, and the model's state dict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genoseq.errors import CheckpointError
from genoseq.models.karma import Karma
from genoseq.models.layouts import OfficialFiles, Tensors, translate
from genoseq.models.signal_layout import ReadSignalModel, SignalLayout

_NAMES = {
    "seq_len": "sequence_length",
    "pred_len": "horizon",
    "enc_in": "num_channels",
    "d_model": "d_model",
    "e_layers": "num_layers",
    "d_state": "d_state",
    "d_conv": "d_conv",
    "expand": "expand",
    "moving_avg": "moving_average",
    "dropout": "dropout",
}
_FIXED: dict[str, Any] = {"use_norm": 1, "embed": "timeF"}
_SILENT = frozenset({"task_name", "norm_method", "embed_dim", "freq", "use_decomp"})
# The scripts' default is spelled so, and means the same.
_NORMS = ("RevIN", "ReVIN")
# Marks of the time at a frequency.
_MARKS = {"h": 4, "t": 5, "s": 6, "d": 3, "b": 3, "w": 2, "m": 1, "a": 1}


def _recognises(config: Mapping[str, Any]) -> bool:
    return {"seq_len", "pred_len", "enc_in", "use_decomp"} <= set(config)


def _read(config: Mapping[str, Any], tensors: Tensors) -> ReadSignalModel:
    arguments = translate(config, _NAMES, fixed=_FIXED, silent=_SILENT)
    for key, known in (("norm_method", _NORMS), ("freq", _MARKS), ("use_decomp", (0, 1))):
        if config.get(key, next(iter(known))) not in known:
            raise CheckpointError(f"config.json: this genoseq has no place for {key}={config[key]!r}.")
    arguments["num_marks"] = _MARKS[config.get("freq", "h")]
    arguments["decomposition"] = "moving_average" if config.get("use_decomp") else "none"
    return ReadSignalModel(arguments | {"hold_unused": True}, tensors)


def _write(model: Karma) -> OfficialFiles:
    arguments = model.arguments
    wanted = {"hold_unused": True, "wavelet": "db4", "num_parameters": 1}
    others = {name: arguments[name] for name, value in wanted.items() if arguments[name] != value}
    if model.decomposition == "attention":
        others["decomposition"] = "attention"
    if others:
        listed = ", ".join(f"{name}={value!r}" for name, value in others.items())
        raise CheckpointError(f"the released layout of KARMA has no place for a model with {listed}.")
    frequencies = {count: name for name, count in reversed(_MARKS.items())}
    config = {theirs: arguments[ours] for theirs, ours in _NAMES.items()} | _FIXED
    config |= {
        "task_name": "long_term_forecast",
        "norm_method": "RevIN",
        "freq": frequencies[arguments["num_marks"]],
        "use_decomp": int(model.decomposition != "none"),
    }
    # Tied or not, the released files hold both.
    return OfficialFiles(config, {name: value.clone() for name, value in model.state_dict().items()})


KARMA_LAYOUT = SignalLayout(_recognises, _read, _write)
