"""A language model of the task's own sequences, before the task itself is learnt: one switch of `train`."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

from hydra import compose
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf, open_dict

from genoseq.errors import ConfigError
from genoseq.training.run import train
from genoseq.training.run_folder import SELF_PRETRAINING, RunFolder

log = logging.getLogger(__name__)


def pretrain_on_own_sequences(config: DictConfig) -> DictConfig:
    """Train a language model on the sequences of the task's train split; the task then begins with it.

    Args:
        config: of a run with `self_pretraining` steps, whose data are labelled.

    Returns:
        The same run, its model being the checkpoint that was made in the run folder. A finished one is not
        made again.

    Raises:
        ConfigError: the data have no labels, or several processes are asked for.
    """
    if config.trainer.devices not in (1, "1", "auto") or config.trainer.num_nodes != 1:
        raise ConfigError(
            "self_pretraining is for one process: give trainer.devices=1, or pretrain in a run of its own "
            "and fine-tune with model=pretrained."
        )
    folder = Path(config.run_dir) / SELF_PRETRAINING
    finetuning = copy.deepcopy(config)
    with open_dict(finetuning):
        finetuning.model = {"_target_": "genoseq.models.load_backbone", "checkpoint": str(folder)}
    RunFolder.open(finetuning)
    if not (folder / "model" / "config.json").is_file():
        log.info("first %s steps of language modelling on the task's own sequences", config.self_pretraining)
        train(_language_modelling(config, folder))
    return finetuning


def _language_modelling(config: DictConfig, folder: Path) -> DictConfig:
    causal = instantiate(config.model).causal
    kind = ["head=language_model", "task=causal_lm"]
    parts = compose("train", overrides=kind if causal else ["head=masked_language_model", "task=masked_lm"])
    settings = copy.deepcopy(config)
    with open_dict(settings):
        settings.data = {
            "_target_": "genoseq.data.own_sequences.OwnSequencesDataModule",
            "labelled": OmegaConf.to_container(config.data, resolve=True),
        }
        settings.head, settings.task = parts.head, parts.task
        settings.task.seed = config.seed
        settings.finetuning = parts.finetuning
        settings.baselines, settings.test, settings.report, settings.self_pretraining = {}, False, False, 0
        settings.trainer.max_steps, settings.trainer.max_epochs = config.self_pretraining, -1
        settings.callbacks.pop("early_stop", None)
        settings.callbacks.checkpoint.monitor, settings.callbacks.checkpoint.mode = "val/loss", "min"
        settings.callbacks.checkpoint.folder = str(folder / "checkpoints")
        settings.name, settings.run_dir, settings.resume = (
            f"{config.name}, own sequences",
            str(folder),
            "auto",
        )
    return settings
