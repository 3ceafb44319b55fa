"""The progress bar of a run."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.callbacks.progress.rich_progress import CustomTimeColumn
from rich.progress import TimeRemainingColumn


class RunProgressBar(RichProgressBar):
    """Lightning's, for a run that is one long epoch, and narrow enough for a terminal of 80 columns.

    Lightning would call it `Epoch 0/-2`, and hold micro-batches done against optimiser steps left.
    """

    @property
    def total_train_batches(self) -> int | float:
        """Micro-batches of the whole run on this device, those before a resumption included."""
        return self.trainer.num_training_batches

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Of the two times, the one that is left."""
        remaining = TimeRemainingColumn(compact=True, elapsed_when_finished=True)
        columns = super().configure_columns(trainer)
        return [remaining if isinstance(column, CustomTimeColumn) else column for column in columns]

    def _get_train_description(self, current_epoch: int) -> str:
        return self.train_description
