"""Forecasting: the next steps of a series, as values, quantiles or distributions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MeanAbsoluteError, MeanMetric, MeanSquaredError

from genoseq.data.channel_scaler import ChannelScaler
from genoseq.errors import ConfigError
from genoseq.models.signal import Forecaster
from genoseq.nn.forecast_distributions import ForecastNumbers, make_distribution, numbers_of
from genoseq.nn.losses import spectral_distance
from genoseq_tasks.base import Batch, SequenceTask

_SHOWN_WINDOWS = 12


class Forecasting(SequenceTask):
    """Learn the next steps; only what was observed counts, in the loss and in every metric.

    Args:
        model, optimizer, schedule, seed: as for every task; the model gives as many numbers a value as the
            distribution has.
        distribution: `point` (squared error), `quantiles`, `gaussian` or `student_t`.
        level: of the central intervals of the last two.
        quantiles: of the second: probabilities with 0.5 in their middle.
        spectral_weight: share that `spectral_distance` of the forecast has in the loss of training; the rest
            is the distribution's own. KARMA was trained with 0.8 of it on ETTh1, 0.01 on exchange rates.

    Raises:
        ConfigError: the model gives another number of numbers, or the weight is no share.
    """

    model: Forecaster

    def __init__(
        self,
        *,
        model: Forecaster,
        optimizer: Callable[..., Optimizer],
        schedule: Callable[..., LRScheduler],
        seed: int,
        distribution: str,
        level: float | None,
        quantiles: Sequence[float] | None,
        spectral_weight: float = 0.0,
    ) -> None:
        super().__init__(model=model, optimizer=optimizer, schedule=schedule, seed=seed)
        self.distribution = make_distribution(name=distribution, level=level, quantiles=quantiles)
        if model.num_parameters != self.distribution.num_parameters:
            raise ConfigError(
                f"task.distribution={distribution} has {self.distribution.num_parameters} numbers a value, "
                f"the model gives {model.num_parameters}: give "
                f"model.num_parameters={self.distribution.num_parameters}."
            )
        if not 0 <= spectral_weight <= 1:
            raise ConfigError(f"task.spectral_weight={spectral_weight}: give a share, from 0 to 1.")
        self.spectral_weight = spectral_weight
        # With the model goes how its numbers are to be read.
        model.preprocessing["distribution"] = self.distribution.to_json()
        self.mse, self.mae = MeanSquaredError(), MeanAbsoluteError()
        self.mean_loss, self.crps, self.coverage = MeanMetric(), MeanMetric(), MeanMetric()

    def loss(self, batch: Batch) -> torch.Tensor:
        """The distribution's own loss, mean over the observed values, and what the spectrum has of it."""
        numbers, target, observed = self._numbers(batch), batch["target"], batch["target_observed"]
        own = self.distribution.loss(numbers, target)[observed].mean()
        if not self.spectral_weight:
            return own
        spectral = spectral_distance(self.distribution.point(numbers), target, observed)
        return (1 - self.spectral_weight) * own + self.spectral_weight * spectral

    def num_positions(self, batch: Batch) -> int:
        """Steps that the windows of a batch show, channels aside."""
        return batch["x_enc"].shape[:2].numel()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch."""
        self._evaluate(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure a batch, and keep a row a window: `index`, the sums `squared_error`, `absolute_error`,
        `crps` and `covered` over `num_values` observed values (scaled), and for a few windows in units of
        the data, by channel, `history`, `target`, `forecast`, and `low` and `high` of an interval."""
        numbers, sums = self._evaluate(batch)
        counted = batch["counted"].cpu().numpy()
        rows = {"index": batch["index"]} | sums
        table = pd.DataFrame({name: value.cpu().numpy() for name, value in rows.items()})
        self._test_rows.append(pd.concat([table, self._shown(batch, numbers)], axis=1)[counted])

    def compute_metrics(self) -> dict[str, torch.Tensor]:
        """`loss`, `mse`, `mae` and, of distributions, `crps` and the `coverage` of their intervals."""
        metrics = {"loss": self.mean_loss, "mse": self.mse, "mae": self.mae}
        if self.distribution.level is not None:
            metrics |= {"crps": self.crps, "coverage": self.coverage}
        values = {name: metric.compute() for name, metric in metrics.items()}
        for metric in metrics.values():
            metric.reset()
        return values

    def _numbers(self, batch: Batch) -> ForecastNumbers:
        return numbers_of(self.model(batch["x_enc"].contiguous(), batch.get("x_mark_enc")))

    def _evaluate(self, batch: Batch) -> tuple[ForecastNumbers, dict[str, torch.Tensor]]:
        """What the model gave, and sums over the observed values of each window."""
        numbers, target = self._numbers(batch), batch["target"]
        observed = batch["target_observed"] & batch["counted"][:, None, None]
        point, crps = self.distribution.point(numbers), self.distribution.crps(numbers, target)
        interval = self.distribution.interval(numbers)
        covered = torch.full_like(crps, torch.nan)
        if interval is not None:
            covered = ((target >= interval[0]) & (target <= interval[1])).to(crps.dtype)
        if observed.any():
            self.mse.update(point[observed], target[observed])
            self.mae.update(point[observed], target[observed])
            self.crps.update(crps[observed])
            self.mean_loss.update(self.distribution.loss(numbers, target)[observed])
            if interval is not None:
                self.coverage.update(covered[observed])
        each = {
            "squared_error": (point - target) ** 2,
            "absolute_error": (point - target).abs(),
            "crps": crps,
            "covered": covered,
        }
        # Zero times what was not observed would keep a NaN.
        sums = {name: torch.where(observed, value, 0.0).sum((1, 2)).double() for name, value in each.items()}
        return numbers, sums | {"num_values": observed.sum((1, 2))}

    def _shown(self, batch: Batch, numbers: ForecastNumbers) -> pd.DataFrame:
        total = len(self.trainer.datamodule.dataset("test"))  # type: ignore[attr-defined]
        shown = set(np.linspace(0, total - 1, min(_SHOWN_WINDOWS, total)).round().astype(int).tolist())
        parts = {
            "history": batch["x_enc"],
            "target": torch.where(batch["target_observed"], batch["target"], torch.nan),
            "forecast": self.distribution.point(numbers),
        }
        interval = self.distribution.interval(numbers)
        if interval is not None:
            parts |= {"low": interval[0], "high": interval[1]}
        chosen = [row for row, index in enumerate(batch["index"].tolist()) if index in shown]
        columns: dict[str, list[Any]] = {name: [None] * len(batch["index"]) for name in parts}
        for row in chosen:
            for name, values in parts.items():
                columns[name][row] = self._by_channel(values[row])
        return pd.DataFrame(columns, dtype=object)

    def _by_channel(self, values: torch.Tensor) -> dict[str, list[float]]:
        """(L, C) scaled values in units of the data, by the names of channels."""
        known = self.model.preprocessing
        there = ChannelScaler.from_json(known["scaler"]).inverse(values.double().cpu().numpy())
        columns = there.astype(np.float32).T.tolist()
        return dict(zip(known["channels"], columns, strict=True))
