"""Small callbacks of a run; those with a task of their own have a file of their own."""

from __future__ import annotations

import logging
import resource
import sys
import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from genoseq.training.checkpoint import require_metric, validation_metrics

_log = logging.getLogger(__name__)


class ValidateLastStep(Callback):
    """Validate after the last step of a run even where no interval ends there: its weights may be the
    best."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Ask for the end; Lightning validates before it."""
        if trainer.global_step >= trainer.max_steps:
            trainer.should_stop = True


class RequireMetric(Callback):
    """End a run at its first validation where that does not measure what a sweep looks for.

    Args:
        metric: name of a validation metric.
    """

    def __init__(self, metric: str) -> None:
        self._metric = metric

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look for it.

        Raises:
            ConfigError: there is no such metric.
        """
        require_metric("optimized_metric", self._metric, validation_metrics(trainer))


class ProgressLog(Callback):
    """One line in the log after each validation."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the step and the validation metrics."""
        if not trainer.is_global_zero:
            return
        metrics = (f"{name} {value:.4f}" for name, value in sorted(validation_metrics(trainer).items()))
        _log.info("step %d of %d: %s", trainer.global_step, trainer.max_steps, ", ".join(metrics))


class Throughput(Callback):
    """Measure tokens a second in training (validation not counted) and the peak of memory.

    Seconds and tokens go on counting through an interruption; memory is of this process alone. The seconds so
    far are logged beside the metrics of each validation.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._tokens = 0
        self._parameters = 0
        self._resumed_at = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to count."""
        self._parameters = sum(parameter.numel() for parameter in pl_module.parameters())
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(trainer.strategy.root_device)
        self._resumed_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the tokens of all ranks."""
        self._tokens += pl_module.num_positions(batch) * trainer.world_size  # type: ignore[operator]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        self._stop_clock()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log it."""
        pl_module.log("seconds", self._seconds, sync_dist=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start it again."""
        self._resumed_at = time.monotonic()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop it for good."""
        self._stop_clock()

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far."""
        return {"seconds": self._seconds, "tokens": self._tokens}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self._seconds, self._tokens = state_dict["seconds"], state_dict["tokens"]

    def summary(self) -> dict[str, float | int]:
        """`tokens_per_second`, `peak_memory_bytes`, `seconds` of training, number of `parameters`."""
        return {
            "tokens_per_second": self._tokens / self._seconds if self._seconds else 0.0,
            "peak_memory_bytes": _peak_memory(),
            "seconds": self._seconds,
            "parameters": self._parameters,
        }

    def _stop_clock(self) -> None:
        self._seconds += time.monotonic() - self._resumed_at


def _peak_memory() -> int:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
