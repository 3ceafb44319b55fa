"""Pretraining on the run's own training part first: one switch, one more folder in the run's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genoseq.errors import ConfigError
from genoseq.training.run_folder import RunFolder

_log = logging.getLogger(__name__)

_FOLDER = "pretraining"


def pretraining_config(config: DictConfig) -> DictConfig:
    """The config of the run that comes first: this one with what `pretrain` says instead.

    Raises:
        ConfigError: the model is a checkpoint's, which has learnt already.
    """
    if "checkpoint" in config.model:
        raise ConfigError(
            f"pretrain={config.pretrain.task._target_} learns first values, and model.checkpoint has others: "
            "give pretrain=none, or a model that begins anew."
        )
    whole = config.copy()
    OmegaConf.set_struct(whole, False)
    # Of the task nothing stays; of all else, what is not named.
    first = OmegaConf.merge(whole, {"task": None}, config.pretrain)
    assert isinstance(first, DictConfig)
    # It has no score of its own to stop by: it runs as long as it was given.
    first.callbacks.pop("early_stop", None)
    first.run_dir = str(Path(config.run_dir) / _FOLDER)
    first.pretrain, first.resume = None, "auto"
    first.test, first.report, first.baselines = False, False, {}
    return first


def from_pretrained(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The config with the encoder that the run before has left; its head begins anew."""
    arguments: dict[str, Any] = OmegaConf.to_container(config.model, resolve=True)  # type: ignore[assignment]
    arguments.pop("_target_")
    copy = config.copy()
    OmegaConf.set_struct(copy, False)
    copy.model = {
        "_target_": "genoseq.models.load_encoder",
        "checkpoint": str(folder.path / _FOLDER),
        "arguments": arguments,
    }
    _log.info("the encoder begins as the pretraining has left it")
    return copy
