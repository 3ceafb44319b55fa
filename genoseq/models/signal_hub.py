"""Which models of signals there are, and how each is made from a folder; `hub` opens the folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from genoseq.errors import CheckpointError
from genoseq.models.channel_forecaster import ChannelForecaster
from genoseq.models.construct import changed, construct
from genoseq.models.dlinear import DLinear
from genoseq.models.femba import Femba
from genoseq.models.femba_layouts import FEMBA_LAYOUT
from genoseq.models.hiss import FlatRegressor, HiSS
from genoseq.models.karma import Karma
from genoseq.models.karma_layouts import KARMA_LAYOUT
from genoseq.models.layouts import OfficialFiles, Tensors
from genoseq.models.patchtst import PatchTST
from genoseq.models.series_classifier import SeriesClassifier
from genoseq.models.signal import SignalModel
from genoseq.models.signal_layout import ReadSignalModel, SignalLayout
from genoseq.models.strict import load_strictly


@dataclass(frozen=True)
class SignalFamily:
    """What the hub knows of one kind of model.

    Attributes:
        model: its class.
        layout: the official one, if it was released.
        derivable: whether a name of the state dict is a buffer that the constructor makes from its arguments.
    """

    model: type[SignalModel]
    layout: SignalLayout | None = None
    derivable: re.Pattern[str] | None = None


# One row a model type.
SIGNAL_FAMILIES: dict[str, SignalFamily] = {
    "channel_forecaster": SignalFamily(
        ChannelForecaster, derivable=re.compile(r"\.(pos_emb\.[zt]|modulation\.deltas)$")
    ),
    "dlinear": SignalFamily(DLinear),
    "femba": SignalFamily(Femba, FEMBA_LAYOUT),
    "flat_regressor": SignalFamily(FlatRegressor),
    "hiss": SignalFamily(HiSS),
    "karma": SignalFamily(Karma, KARMA_LAYOUT, re.compile(r"\.WT\.h[01]$|\.IWT\.g[01]$")),
    "patchtst": SignalFamily(PatchTST),
    "series_classifier": SignalFamily(
        SeriesClassifier, derivable=re.compile(r"\.(pos_emb\.[zt]|modulation\.deltas)$")
    ),
}


def recognised(config: Mapping[str, Any], family: str | None) -> SignalFamily | None:
    """The family of a config.json of an official layout; None where it is no model of signals.

    Raises:
        CheckpointError: the family that was named has no layout, or another one than this.
    """
    if family is None:
        known = [row for row in SIGNAL_FAMILIES.values() if row.layout and row.layout.recognises(config)]
        return known[0] if known else None
    row = SIGNAL_FAMILIES.get(family)
    if row is not None and (row.layout is None or not row.layout.recognises(config)):
        raise CheckpointError(
            f"config.json (keys {', '.join(sorted(config))}) is not of the layout that {family} was released "
            "in."
        )
    return row


def read_signals(
    family: SignalFamily,
    config: Mapping[str, Any],
    tensors: Tensors,
    arguments: Mapping[str, Any],
    preprocessing: dict[str, Any] | None,
    *,
    source: str,
) -> SignalModel:
    """The model of a folder.

    Args:
        family: what it is.
        config: its config.json.
        tensors: its weights.
        arguments: of the constructor, instead of those of the config.
        preprocessing: its preprocessing.json; None where the folder is of the authors' layout.
        source: where the weights come from, for the message.

    Raises:
        CheckpointError: the tensors do not fit the config.
        ConfigError: the model has no such argument.
    """
    if preprocessing is not None:
        given = ReadSignalModel(config.get("arguments") or {}, tensors, preprocessing)
    else:
        assert family.layout is not None
        with torch.device("cpu"):
            given = family.layout.read(config, tensors)
    # First values are drawn only to be overwritten: the caller's random numbers must not notice.
    with torch.random.fork_rng(devices=[]):
        model: SignalModel = construct(family.model, **changed(family.model, given.arguments, arguments))
    model.preprocessing = dict(given.preprocessing)
    buffers = set(model.state_dict()) - {name for name, _ in model.named_parameters(remove_duplicate=False)}
    derivable = [name for name in buffers if family.derivable is not None and family.derivable.search(name)]
    load_strictly(model, given.tensors, source=source, derivable=derivable)
    return model


def write_official(model: SignalModel, layout: str) -> OfficialFiles:
    """What its authors' layout shall hold of a model.

    Raises:
        CheckpointError: it was never released in a layout of this name, or that has no place for it.
    """
    official = SIGNAL_FAMILIES[model.model_type].layout
    if official is None or layout != "original":
        raise CheckpointError(f"{type(model).__name__} was never released in a layout {layout!r}.")
    return official.write(model)
