"""Checkpoints from which a killed run goes on as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from genoseq.data.workers import STOP_SIGNALS
from genoseq.errors import ConfigError, TrainingError
from genoseq.training.csv_logger import CsvLogger
from genoseq.training.ranks import agree

LAST = "last.ckpt"
BEST = "best.ckpt"
_PREVIOUS = ".previous"
_DUE = 1  # below every signal number that is caught


class RunCheckpoint(Checkpoint):
    """Save the run every few minutes, when told to stop, and at its end; and keep the best by validation.

    A checkpoint is taken only between two optimiser steps, after everything that belongs to a step (its
    validation too) has been done. There, the number of the step is all that has to be remembered of the data
    and of the random numbers: the loader derives its position from it, and the tasks seed torch anew from it
    at every micro-batch. What else a step depends on (weights, optimiser, schedule, average of weights)
    Lightning saves.

    A file is written beside its place, brought to the disk and renamed, so that a kill at any time leaves the
    last good one. SIGTERM and SIGUSR1 end the run at the next step, with a checkpoint and exit code 128 +
    signal.

    Args:
        folder: of `last.ckpt` and `best.ckpt`.
        monitor: validation metric that chooses the best.
        mode: whether a smaller (`min`) or a larger (`max`) value is better.
        every_minutes: time between two saves of `last.ckpt`.
    """

    def __init__(
        self, *, folder: str, monitor: str, mode: Literal["min", "max"], every_minutes: float
    ) -> None:
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode
        self.every_minutes = every_minutes
        self.best_score: float | None = None
        self.best_metrics: dict[str, float] = {}
        self._stopped_early = False
        self._signal = 0
        self._saved_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Listen for signals, in place of Lightning, whose handlers call collectives at any moment."""
        if not trainer.enable_validation:
            raise ConfigError(
                "the best checkpoint is chosen on validation: give trainer.limit_val_batches above 0."
            )
        self._saved_at = time.monotonic()
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                signal.signal(number, self._note_signal)
        trainer.should_stop = self._stopped_early

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Before the first micro-batch of a step, save where it is time, and stop where it was asked for."""
        if batch_idx % trainer.accumulate_grad_batches or trainer.global_step == 0:
            return
        stop_signal = self._agree(trainer)
        if stop_signal:
            self._save(trainer, LAST)
            self._saved_at = time.monotonic()
        if stop_signal > _DUE:
            # Lightning kills the main process when a child it launched fails, so only the main one says why.
            raise SystemExit(128 + stop_signal if trainer.is_global_zero else 0)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the best; and at the end, where the run is."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._keep_best(trainer)
        if trainer.should_stop:
            self._stopped_early = trainer.global_step < trainer.max_steps
            self._save(trainer, LAST)

    def state_dict(self) -> dict[str, Any]:
        """The best score, all validation metrics beside it, and whether the run was stopped early."""
        return {
            "best_score": self.best_score,
            "best_metrics": self.best_metrics,
            "stopped_early": self._stopped_early,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the state of an earlier process."""
        self.best_score = state_dict["best_score"]
        # A checkpoint of an earlier version has none.
        self.best_metrics = state_dict.get("best_metrics", {})
        self._stopped_early = state_dict["stopped_early"]

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Tell Lightning's loop that everything of the saved step has been done, and where that is here.

        Lightning counts micro-batches, of which a step has another number on other devices. The form given is
        that of a checkpoint taken at the end of a batch, from which the loop goes on with the next one and
        does not repeat a validation.
        """
        loop = checkpoint["loops"]["fit_loop"]
        step = checkpoint["global_step"]
        done = step * trainer.accumulate_grad_batches
        progress = {"ready": done, "started": done, "processed": done, "completed": done - 1}
        loop["epoch_loop.batch_progress"] = {
            "total": dict(progress),
            "current": dict(progress),
            "is_last_batch": False,
        }
        loop["epoch_loop.state_dict"]["_batches_that_stepped"] = step - 1

    def _note_signal(self, number: int, frame: FrameType | None) -> None:
        self._signal = number

    def _keep_best(self, trainer: Trainer) -> None:
        metrics = validation_metrics(trainer)
        require_metric("callbacks.checkpoint.monitor", self.monitor, metrics)
        score = metrics[self.monitor]
        better = self.best_score is None or (
            score < self.best_score if self.mode == "min" else score > self.best_score
        )
        if better:
            self.best_score, self.best_metrics = score, metrics
            self._save(trainer, BEST)

    def _agree(self, trainer: Trainer) -> int:
        """The same on all ranks: a signal that any of them got, else `_DUE` where it is time to save, else
        0."""
        due = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        mine = self._signal or (_DUE if due else 0)
        return agree(trainer, mine, "max")

    def _save(self, trainer: Trainer, name: str) -> None:
        part = self.folder / f".{name}.part"
        for logger in trainer.loggers:
            if isinstance(logger, CsvLogger):
                logger.finalize("checkpoint")
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                _put_in_place(part, self.folder / name)
        except OSError as error:
            part.unlink(missing_ok=True)
            kept = f"{self.folder / LAST} is kept" if (self.folder / LAST).exists() else "there is none yet"
            raise TrainingError(
                f"the checkpoint of step {trainer.global_step} could not be written to {self.folder}: "
                f"{error.strerror}. Make room or give a writable run_dir, then run the same command with "
                f"resume=auto; the last good checkpoint: {kept}."
            ) from error
        trainer.strategy.barrier("checkpoint in place")


def validation_metrics(trainer: Trainer) -> dict[str, float]:
    """What the last validation has measured, by name: `val/...`."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}


def require_metric(setting: str, name: str, metrics: Mapping[str, float]) -> None:
    """Check that validation measures what a setting names.

    Raises:
        ConfigError: it does not; names what it does measure.
    """
    if name not in metrics:
        raise ConfigError(
            f"{setting}={name} is not a validation metric of this task. There are: "
            f"{', '.join(sorted(metrics))}."
        )


def last_checkpoint(folder: Path) -> Path | None:
    """The checkpoint from which a run goes on, where there is one."""
    for candidate in (folder / LAST, folder / (LAST + _PREVIOUS)):
        if candidate.exists():
            return candidate
    return None


def _put_in_place(part: Path, target: Path) -> None:
    """Rename, with all of it on the disk before and after. A folder first moves the old one aside."""
    for path in (*part.rglob("*"), part):
        _sync(path)
    previous = target.with_name(target.name + _PREVIOUS)
    if part.is_dir():
        shutil.rmtree(previous, ignore_errors=True)
        if target.exists():
            target.rename(previous)
    part.replace(target)
    _sync(target.parent)
    shutil.rmtree(previous, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
