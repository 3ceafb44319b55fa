"""Whole series to classes or numbers: any mixer, in one direction or both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.models.heads import draw_first, pool
from genoseq.models.hybridna import plain
from genoseq.models.mixer_stack import stack_of_pattern
from genoseq.models.signal import RecordingModel, SignalOutput
from genoseq.nn.losses import Problem, problem_loss
from genoseq.nn.materialize import reset_children
from genoseq.nn.mixer import MixerContext
from genoseq.nn.residual import Norm


class SeriesClassifier(RecordingModel):
    """Residual blocks over the steps of a series, their mean, and a linear layer.

    What lies behind the last observed step is padding, and changes nothing; other samples that were not
    observed, or are hidden, are read as zeros.

    Args:
        sequence_length: T, the most steps of a series.
        num_channels: C.
        num_outputs: classes, labels or values.
        problem: `single_label`, `multi_label` or `regression`.
        d_model: D, width.
        num_layers: number of blocks.
        pattern, mamba2, attention, mamba, hyena, delta, linear, l_max: see `HybriDNA`.
        s4d, s5: arguments of the mixers of the letters `q` and `v`.
        bidirectional: every mixer also reads the series from its end, with weights of its own.
        d_inner: width inside the gated MLPs; 0 for blocks without one.
        dropout: of what mixers and MLPs add.
        norm, norm_epsilon: of the blocks.

    Raises:
        ConfigError: an unknown problem, no output, or a pattern without the arguments of its mixers.
    """

    model_type: ClassVar[str] = "series_classifier"
    head_names: ClassVar[tuple[str, ...]] = ("head",)

    def __init__(
        self,
        *,
        sequence_length: int,
        num_channels: int,
        num_outputs: int,
        problem: Problem = "single_label",
        d_model: int = 64,
        num_layers: int = 2,
        pattern: str = "m",
        bidirectional: bool = True,
        mamba2: Mapping[str, Any] | None = None,
        attention: Mapping[str, Any] | None = None,
        mamba: Mapping[str, Any] | None = None,
        hyena: Mapping[str, Any] | None = None,
        delta: Mapping[str, Any] | None = None,
        linear: Mapping[str, Any] | None = None,
        s4d: Mapping[str, Any] | None = None,
        s5: Mapping[str, Any] | None = None,
        l_max: int | None = None,
        d_inner: int = 0,
        dropout: float = 0.1,
        norm: Norm = "rms",
        norm_epsilon: float = 1e-5,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        require_choice("problem", problem, get_args(Problem))
        if min(sequence_length, num_channels, num_outputs) < 1:
            raise ConfigError(
                f"sequence_length={sequence_length}, num_channels={num_channels}, num_outputs={num_outputs}: "
                "give at least 1."
            )
        self.arguments = arguments
        self.sequence_length = sequence_length
        self.num_channels = num_channels
        self.num_outputs = num_outputs
        self.problem = problem
        self.embedding = nn.Linear(num_channels, d_model)
        self.stack = stack_of_pattern(arguments, bidirectional=bidirectional)
        self.head = nn.Linear(d_model, num_outputs)
        draw_first(self.head)

    def reset_parameters(self) -> None:
        reset_children(self)
        draw_first(self.head)

    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        observed: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SignalOutput:
        """See `RecordingModel.forward`."""
        self.require_window(x)
        if mask is not None:
            x = x.masked_fill(mask, 0.0)
        steps = None
        if observed is not None:
            observed = observed.expand_as(x)
            x = x.masked_fill(~observed, 0.0)
            steps = _until_the_last(observed.any(1))
        hidden = self.stack(self.embedding(x.transpose(1, 2)), MixerContext(mask=steps))
        prediction = self.head(pool(hidden, steps, "mean"))
        assert self.problem is not None
        loss = None if labels is None else problem_loss(self.problem, prediction, labels)
        return SignalOutput(prediction, hidden, loss, counted=steps)


def _until_the_last(there: torch.Tensor) -> torch.Tensor:
    """(B, T) bool: True up to the last True of each row; where a row has none, at its first."""
    behind = there.flip(1).cumsum(1).flip(1) > 0
    behind[:, 0] = True
    return behind
