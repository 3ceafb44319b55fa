"""DLinear: the trend and the rest of a window, each through one linear layer.

Source: Zeng et al. 2023, "Are Transformers Effective for Time Series Forecasting?", section 4.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.models.forecast_output import as_forecast
from genoseq.models.signal import Forecaster, SignalOutput
from genoseq.nn.materialize import reset_children


class DLinear(Forecaster):
    """All channels through the same two layers, from L steps to H.

    Args:
        sequence_length: L.
        horizon: H.
        kernel_size: steps of the moving average that is the trend, an odd number; the window's ends are
            repeated beyond it.
        num_parameters: P, numbers a value, of a forecast that is not a point.

    Raises:
        ConfigError: an even kernel, or a length below 1.
    """

    model_type: ClassVar[str] = "dlinear"
    head_names: ClassVar[tuple[str, ...]] = ("trend", "rest")

    def __init__(
        self, *, sequence_length: int, horizon: int, kernel_size: int = 25, num_parameters: int = 1
    ) -> None:
        super().__init__()
        if min(sequence_length, horizon, num_parameters) < 1 or kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(
                f"sequence_length={sequence_length}, horizon={horizon}, num_parameters={num_parameters}, "
                f"kernel_size={kernel_size}: give at least 1, and an odd kernel_size."
            )
        self.arguments = {
            "sequence_length": sequence_length,
            "horizon": horizon,
            "kernel_size": kernel_size,
            "num_parameters": num_parameters,
        }
        self.sequence_length = sequence_length
        self.horizon = horizon
        self.num_channels = None
        self.num_parameters = num_parameters
        self.kernel_size = kernel_size
        self.trend = nn.Linear(sequence_length, horizon * num_parameters)
        self.rest = nn.Linear(sequence_length, horizon * num_parameters)
        self._begin_with_means()

    def reset_parameters(self) -> None:
        reset_children(self)
        self._begin_with_means()

    def forward(self, x_enc: torch.Tensor, x_mark_enc: torch.Tensor | None = None) -> SignalOutput:
        """See `Forecaster.forward`."""
        self.require_window(x_enc)
        x = x_enc.transpose(1, 2)
        around = self.kernel_size // 2
        trend = F.avg_pool1d(F.pad(x, (around, around), mode="replicate"), self.kernel_size, stride=1)
        values = self.trend(trend) + self.rest(x - trend)
        return as_forecast(values.unflatten(-1, (self.horizon, self.num_parameters)))

    def _begin_with_means(self) -> None:
        for layer in (self.trend, self.rest):
            nn.init.constant_(layer.weight, 1 / self.sequence_length)
