"""From a config to a Lightning trainer."""

from __future__ import annotations

import math
import sys
from typing import Any

import torch
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from genoseq.data.datamodule import ExampleDataModule
from genoseq.errors import ConfigError, DeviceError
from genoseq.training.averaging import ExponentialMovingAverage
from genoseq.training.callbacks import ProgressLog, RequireMetric, Throughput, ValidateLastStep
from genoseq.training.checkpoint_io import SyncedCheckpointIO
from genoseq.training.csv_logger import CsvLogger
from genoseq.training.finite_loss import FiniteLoss
from genoseq.training.progress import RunProgressBar


def build_trainer(config: DictConfig, datamodule: ExampleDataModule, *, run_dir: str) -> Trainer:
    """Make the trainer of a run.

    Lightning sees a run as one long epoch, so that there is one way only to resume: between two steps. Passes
    over the data (`max_epochs`) are turned into steps, and `val_check_interval` is in optimiser steps (an
    integer) or passes over the data (a fraction), so that neither depends on devices or accumulation.

    Raises:
        ConfigError: the run has no end, or its batches cannot be cut over the devices.
        DeviceError: a device is asked for that is not there.
    """
    settings = config.trainer
    require_device(settings.accelerator)
    max_steps = _run_steps(settings.max_steps, settings.max_epochs, datamodule.steps_per_epoch)
    interval = min(_interval_steps(settings.val_check_interval, datamodule.steps_per_epoch), max_steps)
    shows_progress = settings.enable_progress_bar and sys.stderr.isatty()
    try:
        trainer = instantiate(
            settings,
            max_steps=max_steps,
            max_epochs=-1,
            check_val_every_n_epoch=None,
            val_check_interval=interval,
            precision=resolve_precision(settings.precision, settings.accelerator),
            enable_progress_bar=shows_progress,
            callbacks=_callbacks(config, shows_progress),
            logger=_loggers(config, run_dir),
            plugins=_plugins(settings.strategy),
            default_root_dir=run_dir,
            use_distributed_sampler=False,
        )
    except MisconfigurationException as error:
        raise DeviceError(
            f"trainer.accelerator={settings.accelerator}, trainer.devices={settings.devices}, "
            f"trainer.strategy={settings.strategy} cannot be had here: {error} `genoseq info` lists the "
            "devices there are."
        ) from error
    # The number of processes is known only now, and with it what a step is made of.
    trainer.accumulate_grad_batches = datamodule.plan(trainer.world_size).accumulation
    trainer.val_check_interval = interval * trainer.accumulate_grad_batches
    return trainer


def require_device(accelerator: str) -> None:
    """Check that the kind of device is there.

    Raises:
        DeviceError: a GPU is asked for and there is none.
    """
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        reason = (
            "torch sees none" if torch.version.cuda else f"this torch ({torch.__version__}) is built for CPUs"
        )
        raise DeviceError(
            f"trainer.accelerator={accelerator} asks for a GPU, but {reason}. Give trainer=cpu, or see to "
            "the driver (`nvidia-smi`), CUDA_VISIBLE_DEVICES and a torch that is built for it."
        )


def resolve_precision(precision: str, accelerator: str) -> str:
    """`auto` is bfloat16 mixed precision where a GPU computes in it, else float32; anything else is kept."""
    if precision != "auto":
        return precision
    on_gpu = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"


def _run_steps(max_steps: int, max_epochs: int, steps_per_epoch: int) -> int:
    limits = [limit for limit in (max_steps, max_epochs * steps_per_epoch) if limit > 0]
    if not limits:
        raise ConfigError(
            f"trainer.max_steps={max_steps} and trainer.max_epochs={max_epochs}: the run would have no step, "
            "or no end. Give one of them a positive number; with both, the first that is reached ends the "
            "run."
        )
    return min(limits)


def _interval_steps(interval: int | float, steps_per_epoch: int) -> int:
    if interval <= 0:
        raise ConfigError(
            f"trainer.val_check_interval={interval}: give a number of optimiser steps (an integer) or of "
            "passes over the data (such as 0.5 or 1.0)."
        )
    return interval if isinstance(interval, int) else max(1, math.floor(interval * steps_per_epoch))


def _callbacks(config: DictConfig, shows_progress: bool) -> list[Callback]:
    callbacks: list[Callback] = [ValidateLastStep(), FiniteLoss(), Throughput(), ProgressLog()]
    if shows_progress:
        callbacks.append(RunProgressBar())
    # The saved settings of an older run have no such key.
    if config.get("optimized_metric") is not None:
        callbacks.append(RequireMetric(config.optimized_metric))
    if config.ema_decay is not None:
        callbacks.append(ExponentialMovingAverage(decay=config.ema_decay))
    return [*callbacks, *(instantiate(callback) for callback in config.callbacks.values())]


def _loggers(config: DictConfig, run_dir: str) -> list[Logger]:
    chosen = instantiate(config.logger)
    return [chosen] if isinstance(chosen, CsvLogger) else [CsvLogger(folder=run_dir), chosen]


def _plugins(strategy: Any) -> list[SyncedCheckpointIO]:
    # Sharded strategies write their own checkpoints and take no other writer.
    own = not isinstance(strategy, str) or strategy.startswith(("deepspeed", "fsdp"))
    return [] if own else [SyncedCheckpointIO()]
