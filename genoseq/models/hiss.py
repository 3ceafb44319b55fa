"""Sequence to sequence from sensors: one stack of mixers, or one over chunks under one over their features.

Source: Bhirangi et al. 2024, "Hierarchical State Space Models for Continuous Sequence-to-Sequence Modeling".
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.models.hybridna import plain
from genoseq.models.mixer_stack import MixerStack, construct_from, stack_of
from genoseq.models.signal import SignalOutput, SignalRegressor
from genoseq.nn.materialize import reset_children
from genoseq.nn.mixer import MixerContext
from genoseq.nn.recurrence import require_rows


@dataclass
class RegressorState:
    """Attributes:
    position: samples seen.
    layers: of the stack that carries a state.
    waiting: (B, fewer than a prediction's samples, C_in) what no prediction has been made of yet.
    """

    position: int
    layers: list[Any]
    waiting: torch.Tensor


class _StackRegressor(SignalRegressor):
    """What both have: a stack that carries the state, `head` behind it, and a number of samples a prediction.

    A subclass makes `stack` and `head` and says what the stack reads.
    """

    head_names: ClassVar[tuple[str, ...]] = ("head",)

    def _set_up(self, arguments: dict[str, Any], stack: MixerStack, samples_per_prediction: int) -> None:
        self.arguments = arguments
        self.input_channels, self.num_outputs = arguments["input_channels"], arguments["num_outputs"]
        if min(self.input_channels, self.num_outputs, samples_per_prediction) < 1:
            raise ConfigError("channels, outputs and samples of a prediction are at least 1.")
        self.samples_per_prediction = samples_per_prediction
        self.stack = stack
        self.head = nn.Linear(stack.d_model, self.num_outputs)
        self.streams = self.causal = stack.streams
        self.fixed_memory = stack.fixed_memory

    @abstractmethod
    def _read(self, x: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None) -> Any:
        """What the stack reads of samples (B, L, C_in): vectors (B, M, D), and their context."""

    @abstractmethod
    def _chosen(self, hidden: torch.Tensor) -> torch.Tensor:
        """Those of the hidden states (B, M, D) that predictions are made of."""

    def reset_parameters(self) -> None:
        reset_children(self)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor | None = None, *, time_step: torch.Tensor | None = None
    ) -> SignalOutput:
        """See `SignalRegressor.forward`; of a prediction whose samples are not all real, nothing is promised.

        Raises:
            SequenceError: also where padding stands before samples that are read in chunks.
        """
        self.require_samples(x)
        if mask is not None:
            mask = mask.bool()
            if self.samples_per_prediction > 1 and bool((mask[:, 1:] & ~mask[:, :-1]).any()):
                raise SequenceError(
                    "padding before samples moves the chunks of a prediction: pad behind them."
                )
        read, context = self._read(x, mask, time_step)
        hidden = self.stack(read, context)
        return SignalOutput(self._predicted(self._chosen(hidden)), hidden, counted=context.mask)

    def init_state(self, batch_size: int, *, max_length: int) -> RegressorState:
        """See `SignalRegressor.init_state`."""
        if not self.streams:
            super().init_state(batch_size, max_length=max_length)
        weight = self.head.weight
        return RegressorState(
            position=0,
            layers=self.stack.init_state(batch_size, max_length=max_length),
            waiting=torch.zeros(batch_size, 0, self.input_channels, device=weight.device, dtype=weight.dtype),
        )

    @torch.no_grad()
    def forward_chunk(self, x: torch.Tensor, state: RegressorState) -> torch.Tensor:
        """See `SignalRegressor.forward_chunk`; without gradient."""
        self.require_samples(x)
        require_rows(x.shape[0], state.waiting.shape[0])
        state.position += x.shape[1]
        x = torch.cat([state.waiting, x.to(state.waiting.dtype)], dim=1)
        whole = x.shape[1] - x.shape[1] % self.samples_per_prediction
        state.waiting = x[:, whole:].clone()
        if not whole:
            return x.new_zeros(x.shape[0], 0, self.num_outputs)
        hidden = self.stack(*self._read(x[:, :whole], None, None), state=state.layers)
        return self._predicted(self._chosen(hidden))

    def _predicted(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.head(hidden.to(self.head.weight.dtype))


class FlatRegressor(_StackRegressor):
    """One stack over all samples.

    Args:
        input_channels: C_in.
        num_outputs: C_out.
        samples_per_prediction: predictions are made at the last of every so many samples.
        mixer, d_model, num_layers, options, bidirectional, d_inner, dropout: see `stack_of`.

    Raises:
        ConfigError: see `stack_of`, or a number below 1.
    """

    model_type: ClassVar[str] = "flat_regressor"

    def __init__(
        self,
        *,
        input_channels: int,
        num_outputs: int,
        samples_per_prediction: int = 1,
        mixer: str = "s4d",
        d_model: int = 64,
        num_layers: int = 4,
        options: Mapping[str, Any] | None = None,
        bidirectional: bool = False,
        d_inner: int = 0,
        dropout: float = 0.1,
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        stack = stack_of(
            mixer=mixer,
            d_model=d_model,
            num_layers=num_layers,
            options=options,
            bidirectional=bidirectional,
            d_inner=d_inner,
            dropout=dropout,
        )
        self._set_up(arguments, stack, samples_per_prediction)
        self.encoder = nn.Linear(input_channels, d_model)

    def _read(self, x: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None) -> Any:
        x = self.encoder(x.to(self.encoder.weight.dtype))
        return x, MixerContext(mask=mask, time_step=time_step)

    def _chosen(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden[:, self.samples_per_prediction - 1 :: self.samples_per_prediction]


class HiSS(_StackRegressor):
    """A stack over the samples of each chunk, apart from the others; the last of what it gives is the chunk's
    feature; a stack over the features predicts.

    What streams is the upper stack: the lower one reads whole chunks, in both directions if it likes.

    Args:
        input_channels: C_in.
        num_outputs: C_out.
        chunk_length: samples of a chunk, for which one prediction is made.
        low, high: keyword arguments of the two stacks, see `stack_of`.

    Raises:
        ConfigError: see `stack_of`, or a number below 1.
    """

    model_type: ClassVar[str] = "hiss"

    def __init__(
        self,
        *,
        input_channels: int,
        num_outputs: int,
        chunk_length: int = 10,
        low: Mapping[str, Any],
        high: Mapping[str, Any],
    ) -> None:
        # Before any other local name is bound, these are exactly the arguments.
        arguments = {name: plain(x) for name, x in locals().items() if name not in ("self", "__class__")}
        super().__init__()
        self._set_up(arguments, construct_from("high", stack_of, plain(high)), chunk_length)
        self.low = construct_from("low", stack_of, plain(low))
        self.encoder = nn.Linear(input_channels, self.low.d_model)
        self.lift = nn.Linear(self.low.d_model, self.stack.d_model)

    def init_state(self, batch_size: int, *, max_length: int) -> RegressorState:
        return super().init_state(batch_size, max_length=-(-max_length // self.samples_per_prediction))

    def _read(self, x: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None) -> Any:
        if time_step is not None:
            raise SequenceError("HiSS counts samples: resample the sequence to a regular rate.")
        size = self.samples_per_prediction
        count = x.shape[1] // size
        if not count:
            raise SequenceError(
                f"{x.shape[1]} samples are less than a chunk of {size}: there is no prediction."
            )
        chunks = x[:, : count * size].to(self.encoder.weight.dtype).unflatten(1, (count, size))
        features = self.low(self.encoder(chunks).flatten(0, 1))[:, -1]
        whole = None if mask is None else mask[:, : count * size].unflatten(1, (count, size)).all(-1)
        lifted = self.lift(features.to(self.lift.weight.dtype)).unflatten(0, (x.shape[0], count))
        return lifted, MixerContext(mask=whole)

    def _chosen(self, hidden: torch.Tensor) -> torch.Tensor:
        return hidden
