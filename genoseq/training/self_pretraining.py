"""Pretraining on the run's own training split first: one switch, one more run in the run's folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from genoseq.errors import ConfigError
from genoseq.models.signal import SignalModel
from genoseq.training.run_folder import RunFolder

_log = logging.getLogger(__name__)

# Where only a setting is changed, the component has to have it; elsewhere settings may be added.
_CHANGED = ("model", "data")


def pretraining_config(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The config of the run that comes first: this one, with what `pretrain` says instead.

    A component of `pretrain` that names its `_target_` takes the place of the run's; of any other, single
    settings change. It learns the training split without labels, chooses its best checkpoint by its own loss
    on the validation split, without labels too, and never opens the test split.

    Raises:
        ConfigError: the model is a checkpoint's, which has learnt already; or the model or the data lack a
            setting that this kind of pretraining needs.
    """
    if "checkpoint" in config.model:
        raise ConfigError(
            f"pretrain learns first values ({config.pretrain.task._target_}), and model.checkpoint has "
            "others: give pretrain=none, or a model that begins anew."
        )
    instead: Any = OmegaConf.to_container(config.pretrain, resolve=True)
    _require_settings(config, instead)
    first = config.copy()
    OmegaConf.set_struct(first, False)
    # It has no score of the task to stop by: it runs as long as it was given. All of the model learns.
    first.callbacks.pop("early_stop", None)
    first.finetuning = None
    first.pretrain, first.resume, first.optimized_metric = None, "auto", None
    first.test, first.report, first.baselines = False, False, {}
    first.name = f"{config.get('name', 'run')}_pretraining"
    _move(first, folder.pretraining)
    for section, settings in instead.items():
        if "_target_" in settings:
            first[section] = settings
        else:
            first[section] = OmegaConf.merge(first[section], settings)
    return first


def from_pretrained(config: DictConfig, folder: RunFolder) -> DictConfig:
    """The config with the backbone, or encoder, that the run before has left; its head begins anew."""
    model: dict[str, Any] = OmegaConf.to_container(config.model, resolve=True)  # type: ignore[assignment]
    checkpoint = str(folder.pretraining)
    after = config.copy()
    OmegaConf.set_struct(after, False)
    if issubclass(get_class(model.pop("_target_")), SignalModel):
        loader = "genoseq.models.load_encoder"
        after.model = {"_target_": loader, "checkpoint": checkpoint, "arguments": model}
    else:
        after.model = {"_target_": "genoseq.models.load_backbone", "checkpoint": checkpoint}
    _log.info("the model begins as the pretraining in %s has left it", checkpoint)
    return after


def _require_settings(config: DictConfig, instead: dict[str, Any]) -> None:
    for section in _CHANGED:
        settings = instead.get(section, {})
        missing = [] if "_target_" in settings else sorted(settings.keys() - config[section].keys())
        if missing:
            raise ConfigError(
                f"this pretraining ({config.pretrain.task._target_}) sets {section}.{missing[0]}, which "
                f"{config[section]._target_} does not have: give pretrain=none, or one for such a {section}."
            )


def _move(config: DictConfig, path: Path) -> None:
    # A config that was read from a run folder names the folder in full wherever it once followed run_dir.
    config.run_dir = str(path)
    config.callbacks.checkpoint.folder = str(path / "checkpoints")
    for name in ("folder", "save_dir"):
        if name in config.logger:
            config.logger[name] = str(path)
