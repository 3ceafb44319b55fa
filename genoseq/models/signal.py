"""Models of signals: real numbers in, with channels and a rate, instead of tokens.

A model of tokens is a backbone under a head, with a tokenizer between letters and ids. A model of signals is
one module: what its input means (channel names, rate, units, filters, scalers) is data, kept in
`preprocessing`, and there is no tokenizer. Both are read by `genoseq.load`, in eval mode, and written by
`save`; both are strict about tensors and carry their constructor's arguments.

There are three kinds, told apart by what goes in and comes out; tasks ask for one of them:

| class | call | `output.prediction` |
|---|---|---|
| `Forecaster` | `model(x_enc (B, L, C), x_mark_enc=None (B, L, F))` | (B, H, C): the next H steps |
| `RecordingModel` | `model(x (B, C, T), mask=None (B, C, T))` | (B, C, T) again, or (B, [C,] num_outputs) |
| `SignalRegressor` | `model(x (B, L, C_in), mask=None (B, L))` | (B, L // `samples_per_prediction`, C_out) |

The weights of one task begin another: `genoseq.models.load_encoder(checkpoint=..., arguments={...})` makes
the same kind of model with other arguments, and leaves behind only what `head_names` names.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.errors import CheckpointError, SequenceError
from genoseq.models.heads import pool
from genoseq.models.strict import load_strictly
from genoseq.nn.losses import Problem


@dataclass
class SignalOutput:
    """Attributes:
    prediction: what the model is for; see the table of this module.
    last_hidden_state: (B, positions, D) that the prediction is made from; None where a model has no such
        thing.
    loss: () where labels were given to a model that has a loss of its own; None else: tasks have theirs.
    parameters: (B, H, C, P) of a forecast with `num_parameters` P > 1: quantiles, or the parameters of a
        distribution, of the normalised series; None for a point forecast.
    location, scale: (B, 1, C) of the normalisation: value = normalised * scale + location. With
        `parameters` only.
    counted: (B, positions) bool, False at positions that are padding; None where none is.
    """

    prediction: torch.Tensor
    last_hidden_state: torch.Tensor | None = None
    loss: torch.Tensor | None = None
    parameters: torch.Tensor | None = None
    location: torch.Tensor | None = None
    scale: torch.Tensor | None = None
    counted: torch.Tensor | None = None

    @property
    def embedding(self) -> torch.Tensor | None:
        """(B, D) float32, the mean of `last_hidden_state` over what is no padding; None as that is."""
        hidden = self.last_hidden_state
        return None if hidden is None else pool(hidden.float(), self.counted, "mean")

    @property
    def logits(self) -> torch.Tensor:
        """The prediction, by the name that classifiers give it."""
        return self.prediction


class SignalModel(nn.Module, ABC):
    """What every model of signals has. A subclass is one of the three kinds below.

    Its constructor takes keyword-only arguments that JSON can hold, keeps them in `arguments`, and is the
    schema of its YAML in `configs/model`.

    Attributes:
        model_type: the name that a model folder carries.
        head_names: submodules and parameters that make predictions of what the rest found: what
            `take_encoder` leaves behind and `encoder_parameters` leaves out.
        causal: no prediction depends on later input.
        tokenizer: None; there is no such thing.
        arguments: what the constructor was given.
        preprocessing: what a reader of predictions has to know, as JSON can hold it: `channels`
            (names, in the order of the input), `sampling_rate` (Hz), `units`, `reference`, `filters`,
            `scaler`, `classes`, `problem` ...
    """

    model_type: ClassVar[str]
    head_names: ClassVar[tuple[str, ...]] = ()
    causal: bool = False
    tokenizer: None = None
    arguments: dict[str, Any]
    preprocessing: dict[str, Any]

    def __init__(self) -> None:
        super().__init__()
        self.preprocessing = {}

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw all first values again: a model made under `torch.device("meta")` wants it."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def encoder_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Names and parameters outside the heads: what a probe freezes, and what may learn more slowly."""
        return ((name, value) for name, value in self.named_parameters() if not self._is_head(name))

    def freeze_encoder(self) -> None:
        """Leave only the heads to be trained: a probe."""
        for _, parameter in self.encoder_parameters():
            parameter.requires_grad_(False)

    def take_encoder(self, other: SignalModel) -> None:
        """Copy all but the heads from a model of the same type.

        Raises:
            CheckpointError: it is of another type, or tensors are missing, unexpected or misshapen.
        """
        if other.model_type != self.model_type:
            raise CheckpointError(f"a {self.model_type} cannot take the encoder of a {other.model_type}.")
        own = {name: value for name, value in self.state_dict().items() if self._is_head(name)}
        theirs = {name: value for name, value in other.state_dict().items() if not self._is_head(name)}
        load_strictly(self, own | theirs, source=f"the encoder of a {other.model_type}")

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the model as a folder that `genoseq.load` reads; see `genoseq.models.writing.save`."""
        from genoseq.models.writing import save

        return save(self, folder)

    def _is_head(self, name: str) -> bool:
        return any(name == head or name.startswith(f"{head}.") for head in self.head_names)


class Forecaster(SignalModel):
    """The next steps of a multivariate series.

    Attributes:
        sequence_length: L, the look-back.
        horizon: H.
        num_channels: C; None for any number.
        num_marks: F that the model reads; 0 where it reads none, and then any are ignored.
        num_parameters: P, numbers a value: see `SignalOutput.parameters`.
    """

    sequence_length: int
    horizon: int
    num_channels: int | None
    num_marks: int = 0
    num_parameters: int = 1

    @abstractmethod
    def forward(self, x_enc: torch.Tensor, x_mark_enc: torch.Tensor | None = None) -> SignalOutput:
        """Forecasts.

        Args:
            x_enc: (B, L, C), scaled as in training.
            x_mark_enc: (B, L, F) what is known of the time of each step (hour, weekday, ...), in [-.5, .5].

        Returns:
            `prediction` (B, H, C); `loss` None.

        Raises:
            SequenceError: another look-back or number of channels than the model's.
        """

    def require_window(self, x_enc: torch.Tensor) -> None:
        """Refuse input of another shape.

        Raises:
            SequenceError: see `forward`.
        """
        channels = "any number of" if self.num_channels is None else self.num_channels
        fits = x_enc.dim() == 3 and x_enc.shape[1] == self.sequence_length
        if not fits or self.num_channels not in (None, x_enc.shape[-1]):
            raise SequenceError(
                f"x_enc {tuple(x_enc.shape)}: this model forecasts from (batch, "
                f"{self.sequence_length} steps, {channels} channels)."
            )


class RecordingModel(SignalModel):
    """Windows of a recording, such as an EEG.

    Attributes:
        sequence_length: T, samples of a window.
        num_channels: C.
        num_outputs: classes or values of the head; 0 where the model reconstructs its input.
        problem: `single_label`, `multi_label` or `regression`; None where it reconstructs.
        per_channel: it says something of each channel, not of the window: its class, or of `multi_label`
            whether one thing is there (an output is a channel then).
    """

    sequence_length: int
    num_channels: int
    num_outputs: int
    problem: Problem | None
    per_channel: bool = False

    @abstractmethod
    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        observed: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SignalOutput:
        """Reconstructions or logits.

        Args:
            x: (B, C, T), scaled as in training.
            mask: (B, C, T) bool, True at samples that are hidden from the model: it reads zeros there.
            observed: (B, C, T) or (B, C, 1) bool, False at samples that were never measured (a missing
                channel): read as zeros, and no part of any loss.
            labels: of a classifier: (B,) or (B, num_outputs); of channels (B, C), -100 for those that do not
                count. A reconstruction has `x` itself, and a loss wherever a mask is given.

        Returns:
            `prediction` (B, C, T), or (B, num_outputs), or (B, C, num_outputs) of classes of channels; `loss`
            where there is one.

        Raises:
            SequenceError: another number of channels or samples than the model's.
        """

    @property
    def label_form(self) -> str:
        """What it predicts, as data of recordings call it: `class`, `classes`, `channels`; or `values`."""
        if self.per_channel:
            return "channels"
        return {"single_label": "class", "multi_label": "classes"}.get(str(self.problem), "values")

    @property
    def num_activated(self) -> int:
        """K of `activated`: 2 of channels where one thing is there or not: absence and presence."""
        return 2 if self.per_channel and self.problem == "multi_label" else self.num_outputs

    def activated(self, prediction: torch.Tensor) -> torch.Tensor:
        """Probabilities, or values, of a prediction: (B, K), or (B, C, K) of channels, float32."""
        values = prediction.float()
        if self.problem == "single_label":
            return values.softmax(-1)
        if self.problem == "regression":
            return values
        values = values.sigmoid()
        return torch.stack([1 - values, values], dim=-1) if self.per_channel else values

    def require_window(self, x: torch.Tensor) -> None:
        """Refuse input of another shape.

        Raises:
            SequenceError: see `forward`.
        """
        if x.dim() != 3 or tuple(x.shape[1:]) != (self.num_channels, self.sequence_length):
            raise SequenceError(
                f"x {tuple(x.shape)}: this model reads (batch, {self.num_channels} channels, "
                f"{self.sequence_length} samples); map other montages to its channels, and cut windows."
            )


class SignalRegressor(SignalModel):
    """A sequence for a sequence: values at every sample, or at every chunk of some samples.

    One that `streams` gives, chunk by chunk, what one pass gives:

        state = model.init_state(batch_size, max_length=samples)
        for x in pieces:                                  # (B, any number, C_in), also one sample
            prediction = model.forward_chunk(x, state)    # (B, as many as are now known, C_out), maybe none

    Attributes:
        input_channels: C_in.
        num_outputs: C_out.
        samples_per_prediction: samples of the input that one prediction stands for; it is known with the
            last of them.
        streams: it carries a state; `causal` too, then.
        fixed_memory: and that is as large after any number of samples.
    """

    input_channels: int
    num_outputs: int
    samples_per_prediction: int = 1
    streams: bool = False
    fixed_memory: bool = False

    @abstractmethod
    def forward(
        self,
        x: torch.Tensor,
        mask: torch.Tensor | None = None,
        *,
        time_step: torch.Tensor | None = None,
    ) -> SignalOutput:
        """Predictions of whole sequences.

        Args:
            x: (B, L, C_in), scaled as in training.
            mask: (B, L) bool, False at padding, which then changes nothing elsewhere.
            time_step: (B, L) time since the sample before, in units of the regular one; for irregular
                sampling, by models whose layers know time.

        Returns:
            `prediction` (B, L // samples_per_prediction, C_out).

        Raises:
            SequenceError: another number of channels than the model's, or no sample.
        """

    def init_state(self, batch_size: int, *, max_length: int) -> Any:
        """The state before the first sample, with room for `max_length` samples.

        Raises:
            SequenceError: the model does not stream.
        """
        raise SequenceError(f"{type(self).__name__} as configured is not causal: it reads whole sequences.")

    def forward_chunk(self, x: torch.Tensor, state: Any) -> torch.Tensor:
        """The predictions (B, P, C_out) that the next samples (B, n, C_in) complete; the state is carried on
        in place.

        Raises:
            SequenceError: the model does not stream, or the state is of another batch.
        """
        raise SequenceError(f"{type(self).__name__} as configured is not causal: it reads whole sequences.")

    def step(self, x: torch.Tensor, state: Any) -> torch.Tensor:
        """The same for one sample (B, C_in): (B, 1, C_out), or (B, 0, C_out) where none is complete."""
        return self.forward_chunk(x.unsqueeze(1), state)

    def require_samples(self, x: torch.Tensor) -> None:
        """Refuse input of another shape.

        Raises:
            SequenceError: see `forward`.
        """
        if x.dim() != 3 or x.shape[-1] != self.input_channels or not x.shape[1]:
            raise SequenceError(
                f"x {tuple(x.shape)}: this model reads (batch, one sample or more, {self.input_channels} "
                "channels)."
            )
