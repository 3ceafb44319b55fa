"""A sequence of values for a sequence of samples."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genoseq.models import SignalRegressor
from genoseq.nn.losses import problem_loss
from genoseq_tasks.base import Batch
from genoseq_tasks.labels import LabelTask


class SignalRegression(LabelTask):
    """Learn values at every prediction of a model that reads sequences; NaN counts for nothing.

    Args:
        model, optimizer, schedule, seed: as for every task.
    """

    model: SignalRegressor

    def __init__(
        self,
        *,
        model: SignalRegressor,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
    ) -> None:
        super().__init__(
            model=model,
            optimizer=optimizer,
            schedule=schedule,
            seed=seed,
            problem="regression",
            num_outputs=model.num_outputs,
        )

    def loss(self, batch: Batch) -> torch.Tensor:
        """Mean squared error of scaled values."""
        return problem_loss("regression", self._predict(batch), batch["labels"])

    def num_positions(self, batch: Batch) -> int:
        """Samples of a batch, channels aside."""
        return batch["x"].shape[:2].numel()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row a prediction: `index`, `position` (its number in the window),
        `label` and `prediction`, scaled."""
        outputs, labels, places = self._evaluate(batch)
        rows = {"index": batch["index"][places[:, 0]].cpu().numpy(), "position": places[:, 1].cpu().numpy()}
        self._test_rows.append(pd.DataFrame(rows | self._columns(self._output_names(), outputs, labels)))

    def _evaluate(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        predicted, labels = self._predict(batch).float(), batch["labels"]
        known = batch["counted"][:, None] & ~labels.isnan().any(-1)
        outputs, truth = predicted[known], labels[known]
        if len(outputs):
            self._count(outputs, truth, problem_loss("regression", outputs, truth))
        return outputs, truth, torch.nonzero(known)

    def _predict(self, batch: Batch) -> torch.Tensor:
        return self.model(batch["x"], batch.get("mask")).prediction
