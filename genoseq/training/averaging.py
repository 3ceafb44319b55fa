"""Exponential moving average of the weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import DeepSpeedStrategy, ModelParallelStrategy

from genoseq.errors import ConfigError


class ExponentialMovingAverage(WeightAveraging):
    """Average the weights after each optimiser step; validation and the end of the run use the average.

    A checkpoint has the average as its `state_dict`, and the weights beside it, so that a resumed run goes on
    with the same bits. The average is a linear interpolation towards the weights: buffers that never change
    stay as they are, where Lightning's own EMA would round them anew at each step.

    After n averaged steps a step keeps min(decay, (1 + n) / (10 + n)) of the average: with a decay of 0.999
    from the start, the random weights of the beginning would still be a sixth of it after 1,800 steps. n is
    saved with the average, so that a resumed run counts on.

    Args:
        decay: the most of the average that a step keeps, such as 0.999.

    Raises:
        ConfigError: the decay is not between 0 and 1.
    """

    def __init__(self, *, decay: float) -> None:
        if not 0 <= decay <= 1:
            raise ConfigError(f"ema_decay={decay}: give a part of the average from 0 to 1, such as 0.999.")
        super().__init__(multi_avg_fn=_warmed_up_average(decay))

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the average.

        Raises:
            ConfigError: the parameters are in parts on several devices.
        """
        if isinstance(trainer.strategy, ModelParallelStrategy | DeepSpeedStrategy):
            raise ConfigError(
                "an average of weights needs whole parameters on each device: give ema_decay=null or "
                "trainer=ddp."
            )
        with warnings.catch_warnings():
            # It warns of models that could be sharded; this one is not.
            warnings.filterwarnings("ignore", ".*overrides the configure_model.*")
            super().setup(trainer, pl_module, stage)


def _warmed_up_average(
    decay: float,
) -> Callable[[list[torch.Tensor], list[torch.Tensor], torch.Tensor], None]:
    """What moves averages, all of one dtype, towards their weights after `count` averaged steps."""

    @torch.no_grad()
    def update(averages: list[torch.Tensor], weights: list[torch.Tensor], count: torch.Tensor) -> None:
        if averages[0].is_floating_point() or averages[0].is_complex():
            steps = int(count)
            kept = min(decay, (1 + steps) / (10 + steps))
            torch._foreach_lerp_(averages, weights, 1 - kept)
        else:
            # There is no average of counters.
            torch._foreach_copy_(averages, weights)

    return update
