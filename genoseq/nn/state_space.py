"""What linear state-space layers share: the contract around their systems, and what follows them.

A layer is linear in time and the same at all times, but for padding and irregular samples: whole sequences go
through a convolution or a scan, chunks carry the state, and steps advance it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import nn

from genoseq.errors import SequenceError, require_choice
from genoseq.nn.hyena_filter import set_optimizer_options
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.recurrence import precise, require_rows

Activation = Literal["none", "gelu", "half_glu", "glu"]


@dataclass
class StateSpaceState:
    """What a linear state-space layer remembers: as much after a million positions as after one.

    Attributes:
        position: number of positions seen.
        ssm: (B, ...) the state, complex where the layer's is, in float32 or better.
    """

    position: int
    ssm: torch.Tensor


class StateSpaceOutput(nn.Module):
    """What makes a linear layer nonlinear, position by position.

    Args:
        d_model: D.
        activation: `none`; `gelu`; `glu`: a gated linear layer behind GELU; `half_glu`: what GELU gives,
            gated by a linear layer of it.
        dropout: behind GELU.

    Raises:
        ConfigError: no such activation.

    Source: Gu et al. 2022, "S4"; Smith et al. 2023, "S5", appendix G; and their released code.
    """

    def __init__(self, d_model: int, *, activation: Activation, dropout: float) -> None:
        super().__init__()
        require_choice("activation", activation, get_args(Activation))
        self.activation = activation
        self.dropout = nn.Dropout(dropout)
        width = {"glu": 2 * d_model, "half_glu": d_model}.get(activation)
        self.linear = None if width is None else nn.Linear(d_model, width)

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., D)."""
        if self.activation == "none":
            return y
        y = self.dropout(nn.functional.gelu(y))
        if self.linear is None:
            return y
        gate = self.linear(y)
        return nn.functional.glu(gate, dim=-1) if self.activation == "glu" else y * torch.sigmoid(gate)


class StateSpaceMixer(Mixer):
    """A linear state-space layer; a subclass says how its system is made and computed.

    Args:
        d_model: D.
        activation, dropout: see `StateSpaceOutput`.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True

    def __init__(self, d_model: int, *, activation: Activation, dropout: float) -> None:
        super().__init__()
        self.d_model = d_model
        self.D = nn.Parameter(torch.empty(d_model))
        self.output = StateSpaceOutput(d_model, activation=activation, dropout=dropout)

    @abstractmethod
    def reset_parameters(self) -> None:
        """First values, as officially."""

    @abstractmethod
    def _whole(self, u: torch.Tensor) -> torch.Tensor:
        """y (B, L, D) of regular samples u (B, L, D) from a state of zeros; the skip is in it."""

    @abstractmethod
    def _carried(
        self, u: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """y (B, L, D) behind a state, and the state behind it; u is zero where the mask (B, L) is False."""

    @abstractmethod
    def _advance(self, u: torch.Tensor, ssm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """y (B, D) of one position, and the state behind it."""

    @abstractmethod
    def _first_ssm(self, batch_size: int, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
        """Zeros, of the state's shape; `dtype` is real."""

    def _mix(self, x: torch.Tensor, context: MixerContext, state: StateSpaceState | None) -> torch.Tensor:
        if context.time_step is not None and not self.continuous:
            raise SequenceError(
                f"{type(self).__name__} has one time step for all samples: resample them, or use s4d or s5."
            )
        mask = context.mask
        u = precise(x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0))
        with torch.autocast(device_type=x.device.type, enabled=False):
            if state is None and context.time_step is None:
                y = self._whole(u)
            else:
                ssm = self._ssm_before(u, state)
                y, ssm = self._carried(u, mask, context.time_step, ssm)
                if state is not None:
                    state.ssm = ssm.detach()
                    state.position += x.shape[1]
        return self.output(y.to(x.dtype))

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: StateSpaceState) -> tuple[torch.Tensor, StateSpaceState]:
        """See `Mixer.step`; without gradient, for regular samples.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        require_rows(x.shape[0], state.ssm.shape[0])
        with torch.autocast(device_type=x.device.type, enabled=False):
            y, state.ssm = self._advance(precise(x), state.ssm)
        state.position += 1
        return self.output(y.to(x.dtype)), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> StateSpaceState:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""
        real = torch.promote_types(dtype, torch.float32)
        return StateSpaceState(position=0, ssm=self._first_ssm(batch_size, device, real))

    def _ssm_before(self, u: torch.Tensor, state: StateSpaceState | None) -> torch.Tensor:
        if state is None:
            return self._first_ssm(u.shape[0], u.device, u.dtype)
        require_rows(u.shape[0], state.ssm.shape[0])
        return state.ssm

    def _set_rates(self, *names: str, lr: float | None) -> None:
        """Parameters that do not decay, and learn at a rate of their own where there is one."""
        for name in names:
            set_optimizer_options(getattr(self, name), lr=lr, weight_decay=0.0)


def as_complex(pairs: torch.Tensor) -> torch.Tensor:
    """(..., 2) real and imaginary parts to (...) complex, in float32 or better."""
    return torch.view_as_complex(precise(pairs).contiguous())


def growth(z: torch.Tensor) -> torch.Tensor:
    """exp(z) - 1 of complex z, precise also near zero."""
    return 2 * torch.sinh(z / 2) * torch.exp(z / 2)


@torch.no_grad()
def fill_log_steps(log_step: torch.Tensor, *, low: float, high: float) -> None:
    """Draw logarithms of time steps, in place, uniform between those of `low` and `high`."""
    log_step.uniform_(math.log(low), math.log(high))
