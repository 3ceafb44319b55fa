"""A loss that is not finite ends the run before it can reach a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from genoseq.errors import TrainingError
from genoseq.training.ranks import agree

_NEVER = torch.iinfo(torch.int64).max


class FiniteLoss(Callback):
    """Stop when a loss is NaN or infinite, and say at which step it was.

    Each loss is looked at on its device; the answer is fetched, over all ranks, only at every logged step and
    before each checkpoint is written, so that a GPU is not held up at every step.

    Raises:
        TrainingError: a loss was not finite.
    """

    def __init__(self) -> None:
        self._first_bad_step: torch.Tensor | None = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the step where the loss is not finite; look at the notes where the step is logged."""
        step, rest = divmod(batch_idx + 1, trainer.accumulate_grad_batches)
        loss = outputs["loss"]
        if self._first_bad_step is None:
            self._first_bad_step = torch.full((), _NEVER, dtype=torch.int64, device=loss.device)
        this_step = torch.where(torch.isfinite(loss), _NEVER, step + (rest > 0))
        self._first_bad_step = torch.minimum(self._first_bad_step, this_step)
        if rest == 0 and step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._check(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let nothing be written after a loss that was not finite."""
        self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        if self._first_bad_step is None:
            return
        first = agree(trainer, self._first_bad_step, "min")
        if first < _NEVER:
            raise TrainingError(
                f"the loss was not finite (NaN or infinite) at optimiser step {first}. The last checkpoint "
                "from before that step is kept. Lower optimizer.lr, lower trainer.gradient_clip_val, "
                "lengthen schedule.warmup_fraction, or train with trainer.precision=32-true."
            )
