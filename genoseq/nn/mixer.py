"""The contract of every layer that moves information along a sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NoReturn

import torch
from torch import nn

from genoseq.errors import SequenceError
from genoseq.nn.packing import run_ids, through_rows


@dataclass(frozen=True)
class MixerContext:
    """What a mixer may know of a batch beside its values; None where there is nothing to say.

    Attributes:
        mask: (B, L) bool, False at padding, which then changes nothing elsewhere. Without a mask padding is a
            token like any other.
        segment_ids: (B, L) integers; neighbours of one id are one sequence, and nothing passes between
            sequences.
        positions: (B, L) integers, for mixers that know absolute positions.
        time_step: (B, L) floating point, for mixers of continuous time.
    """

    mask: torch.Tensor | None = None
    segment_ids: torch.Tensor | None = None
    positions: torch.Tensor | None = None
    time_step: torch.Tensor | None = None

    @property
    def runs(self) -> torch.Tensor | None:
        """(B, L) int32 numbers of the packed sequences of each row, see `run_ids`; None for one a row."""
        return None if self.segment_ids is None else run_ids(self.segment_ids)


class Mixer(nn.Module, ABC):
    """A layer (B, L, D) to (B, L, D).

    The laws that tests hold every mixer to: with a mask, padding changes nothing; packed equals separate; if
    it `streams`, chunks with the carried state equal the whole, and `step` equals `forward`.

    Attributes:
        causal: no output depends on later input.
        streams: it can carry a state.
        fixed_memory: the state is as large after any number of positions; False where there is none.
        continuous: it reads the time steps of its context; others know of positions only.
        packs: it tells the sequences of packed rows apart itself; others get each in a row of its own.
    """

    causal: ClassVar[bool]
    streams: ClassVar[bool]
    fixed_memory: bool = False
    continuous: ClassVar[bool] = False
    packs: ClassVar[bool] = False

    def forward(
        self,
        x: torch.Tensor,
        context: MixerContext | None = None,
        *,
        state: Any = None,
        return_state: bool = False,
    ) -> Any:
        """Mix a sequence, or the next chunk of one.

        Args:
            x: (B, L, D).
            context: what is known of the batch.
            state: what came before the chunk, from `init_state` or an earlier call; it is used up. No
                gradient passes through it.
            return_state: also give the state after the chunk; needs a `state`.

        Returns:
            y (B, L, D), or (y, state).

        Raises:
            SequenceError: the mixer has no state, or the state is of another number of sequences or has no
                room for the chunk.
        """
        context = context or MixerContext()
        assert state is not None or not return_state, "give init_state(...) as the state to start from"
        assert state is None or context.segment_ids is None, "a packed row has no state to carry"
        if context.segment_ids is None or self.packs:
            y = self._mix(x, context, state)
        else:
            y = through_rows(partial(self._mix, state=None), x, context)
        return (y, state) if return_state else y

    @abstractmethod
    def _mix(self, x: torch.Tensor, context: MixerContext, state: Any) -> torch.Tensor:
        """y (B, L, D); a `state`, where there is one, moves on in place.

        Only a mixer that `packs` gets segment ids.
        """

    @abstractmethod
    def step(self, x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """One position (B, D) after those in `state`, which is used up; gives (y, state)."""

    @abstractmethod
    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> Any:
        """The state before the first position, with room for `max_length`."""


class StatelessMixer(Mixer):
    """A mixer that reads both ways, and so whole sequences: it has no state to carry."""

    causal: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    fixed_memory = False

    def forward(
        self,
        x: torch.Tensor,
        context: MixerContext | None = None,
        *,
        state: Any = None,
        return_state: bool = False,
    ) -> torch.Tensor:
        """See `Mixer.forward`.

        Raises:
            SequenceError: a state was given or asked for.
        """
        if state is not None or return_state:
            _refuse_state()
        return super().forward(x, context)

    def step(self, x: torch.Tensor, state: Any) -> NoReturn:
        """Raises SequenceError."""
        _refuse_state()

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> NoReturn:
        """Raises SequenceError."""
        _refuse_state()


def _refuse_state() -> NoReturn:
    raise SequenceError(
        "a mixer of both directions has no state: give it the whole sequence, or overlapping windows; to "
        "stream, take a causal one."
    )
