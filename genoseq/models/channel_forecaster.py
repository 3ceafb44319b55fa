"""The plain baseline among forecasters: recurrence over the patches of each channel, any mixer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from genoseq.models.hybridna import plain
from genoseq.models.mixer_stack import stack_of_pattern
from genoseq.models.patched import PatchedForecaster
from genoseq.nn.materialize import reset_children
from genoseq.nn.residual import Norm


class ChannelForecaster(PatchedForecaster):
    """Residual blocks over the patches of each channel; the kinds of mixers are letters of a pattern.

    Args:
        sequence_length, horizon, d_model, patch_length, stride, num_marks, num_parameters, head_dropout: see
            `PatchedForecaster`.
        num_layers: number of blocks.
        pattern, mamba2, attention, mamba, hyena, delta, linear, l_max: see `HybriDNA`.
        s4d, s5: arguments of the mixers of the letters `q` and `v`.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        dropout: of what mixers and MLPs add.
        norm, norm_epsilon: of the blocks.

    Raises:
        ConfigError: lengths that do not fit, or a pattern without the arguments of its mixers.
    """

    model_type: ClassVar[str] = "channel_forecaster"

    def __init__(
        self,
        *,
        sequence_length: int,
        horizon: int,
        d_model: int = 64,
        num_layers: int = 2,
        pattern: str = "m",
        d_inner: int = 0,
        mamba2: Mapping[str, Any] | None = None,
        attention: Mapping[str, Any] | None = None,
        mamba: Mapping[str, Any] | None = None,
        hyena: Mapping[str, Any] | None = None,
        delta: Mapping[str, Any] | None = None,
        linear: Mapping[str, Any] | None = None,
        s4d: Mapping[str, Any] | None = None,
        s5: Mapping[str, Any] | None = None,
        l_max: int | None = None,
        patch_length: int = 16,
        stride: int = 8,
        num_marks: int = 0,
        dropout: float = 0.1,
        head_dropout: float = 0.0,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
        num_parameters: int = 1,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__(
            sequence_length=sequence_length,
            horizon=horizon,
            d_model=d_model,
            patch_length=patch_length,
            stride=stride,
            num_marks=num_marks,
            num_parameters=num_parameters,
            head_dropout=head_dropout,
        )
        self.arguments = arguments
        self.stack = stack_of_pattern(arguments)

    def reset_parameters(self) -> None:
        reset_children(self)

    def encode(self, patches: torch.Tensor) -> torch.Tensor:
        return self.stack(patches)
