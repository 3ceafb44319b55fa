"""What forecasters share that read each channel by itself, in patches.

Source: Nie et al. 2023, "A Time Series is Worth 64 Words", section 3.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.forecast_output import as_forecast
from genoseq.models.signal import Forecaster, SignalOutput
from genoseq.nn.window_norm import window_scale


class PatchedForecaster(Forecaster):
    """Every channel a sequence of its own, of overlapping patches; the same weights for all.

    The window's own mean and standard deviation are taken out first and put back last. The last step is
    repeated, so that the last patch is whole. A subclass makes the layers between patches and head in
    `encode`.

    Args:
        sequence_length: L.
        horizon: H.
        d_model: D, width.
        patch_length: steps of a patch.
        stride: steps from patch to patch.
        num_marks: marks of a step that each patch is told as well.
        num_parameters: P, numbers a value, of a forecast that is not a point.
        head_dropout: of what the head reads.

    Raises:
        ConfigError: lengths that do not fit.
    """

    head_names: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self,
        *,
        sequence_length: int,
        horizon: int,
        d_model: int,
        patch_length: int,
        stride: int,
        num_marks: int,
        num_parameters: int,
        head_dropout: float,
    ) -> None:
        super().__init__()
        if not 1 <= stride <= patch_length <= sequence_length or min(horizon, num_parameters) < 1:
            raise ConfigError(
                f"stride={stride}, patch_length={patch_length}, sequence_length={sequence_length}, "
                f"horizon={horizon}, num_parameters={num_parameters}: give 1 <= stride <= patch_length <= "
                "sequence_length, and at least 1 of the others."
            )
        self.sequence_length = sequence_length
        self.horizon = horizon
        self.num_channels = None
        self.num_marks = num_marks
        self.num_parameters = num_parameters
        self.patch_length = patch_length
        self.stride = stride
        self.num_patches = -(-(sequence_length - patch_length) // stride) + 1
        self.embedding = nn.Linear(patch_length * (1 + num_marks), d_model)
        self.head_dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(self.num_patches * d_model, horizon * num_parameters)

    @abstractmethod
    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        """(B * C, patches, D) to the same."""

    def forward(self, x_enc: torch.Tensor, x_mark_enc: torch.Tensor | None = None) -> SignalOutput:
        """See `Forecaster.forward`.

        Raises:
            SequenceError: also where the model reads marks, and others or none are given.
        """
        self.require_window(x_enc)
        location, scale = window_scale(x_enc)
        patches = self.patches((x_enc - location) / scale)
        if self.num_marks:
            patches = torch.cat([patches, self._marks(x_mark_enc, x_enc)], dim=-1)
        hidden = self.encode(self.embedding(patches.flatten(0, 1)))
        values = self.head(self.head_dropout(hidden.flatten(1)))
        shape = (*x_enc.shape[::2], self.horizon, self.num_parameters)
        positions = hidden.unflatten(0, x_enc.shape[::2]).flatten(1, 2)
        return as_forecast(values.float().view(shape), location, scale, hidden=positions)

    def patches(self, x: torch.Tensor) -> torch.Tensor:
        """(B, L, C) to (B, C, patches, patch_length)."""
        missing = (self.num_patches - 1) * self.stride + self.patch_length - self.sequence_length
        whole = F.pad(x.transpose(1, 2), (0, missing), mode="replicate")
        return whole.unfold(-1, self.patch_length, self.stride)

    def _marks(self, marks: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
        """(B, C, patches, patch_length * F)."""
        if marks is None or marks.shape != (*x.shape[:2], self.num_marks):
            given = None if marks is None else tuple(marks.shape)
            raise SequenceError(
                f"x_mark_enc {given}: this model reads {self.num_marks} marks at each of {x.shape[1]} steps."
            )
        cut = self.patches(marks).transpose(1, 2).flatten(2)
        return cut.unsqueeze(1).expand(-1, x.shape[-1], -1, -1)
