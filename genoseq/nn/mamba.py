"""Mamba: a short convolution and a state-space model whose step and projections depend on the input.

Names of submodules and parameters are those of the released checkpoints.
Source: Gu and Dao 2023, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", and its released
code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from genoseq.nn.hyena_filter import set_optimizer_options
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.recurrence import fill_time_step_bias, next_tail, precise, require_rows
from genoseq_kernels import causal_conv1d, causal_conv1d_update, selective_scan, selective_state_update

# softplus(this + any bias) is exactly zero: a state does not move at padding.
_STANDSTILL = -1e4


@dataclass
class MambaState:
    """What Mamba remembers: as much after a million positions as after one.

    Attributes:
        position: number of positions seen.
        tail: (B, E, K - 1) the last inputs of the short convolution.
        ssm: (B, E, N) the state, float32 or better.
    """

    position: int
    tail: torch.Tensor
    ssm: torch.Tensor


class MambaMixer(Mixer):
    """Mamba's selective state-space layer.

    Args:
        d_model: D, width of input and output.
        d_state: N, state of each channel.
        d_conv: K, taps of the short convolution.
        expand: E / D, how much wider the layer is inside.
        dt_rank: rank of the projection that makes the time steps; None for D / 16, rounded up.
        dt_min, dt_max, dt_init_floor: range of the first time steps.
        dt_scale: of the first weights of their projection.
        conv_bias: of the short convolution.
        bias: of the projections in and out.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True

    def __init__(
        self,
        *,
        d_model: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        dt_rank: int | None = None,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_scale: float = 1.0,
        conv_bias: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.d_inner = expand * d_model
        self.d_state = d_state
        self.dt_rank = dt_rank or math.ceil(d_model / 16)
        self.in_proj = nn.Linear(d_model, 2 * self.d_inner, bias=bias)
        self.conv1d = nn.Conv1d(self.d_inner, self.d_inner, d_conv, groups=self.d_inner, bias=conv_bias)
        self.x_proj = nn.Linear(self.d_inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(self.dt_rank, self.d_inner)
        self.A_log = nn.Parameter(torch.empty(self.d_inner, d_state))
        self.D = nn.Parameter(torch.empty(self.d_inner))
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)
        self._first_steps = {"low": dt_min, "high": dt_max, "floor": dt_init_floor}
        self._dt_bound = dt_scale * self.dt_rank**-0.5
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First values of decays, skips and time steps, as officially; they do not decay in training."""
        self.A_log.copy_(torch.arange(1.0, self.d_state + 1, device=self.A_log.device).log())
        self.D.fill_(1)
        self.dt_proj.weight.uniform_(-self._dt_bound, self._dt_bound)
        fill_time_step_bias(self.dt_proj.bias, **self._first_steps)
        for parameter in (self.A_log, self.D, self.dt_proj.bias):
            set_optimizer_options(parameter, lr=None, weight_decay=0.0)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: MambaState | None) -> torch.Tensor:
        mask = context.mask
        u, z = _project(x.transpose(1, 2), self.in_proj).chunk(2, dim=1)
        if mask is not None:
            u = u.masked_fill(~mask.unsqueeze(1), 0)
        u = self._convolve(u, mask, state)
        low_rank, B, C = _project(u, self.x_proj).split([self.dt_rank, self.d_state, self.d_state], dim=1)
        delta = torch.matmul(self.dt_proj.weight, low_rank)
        if mask is not None:
            delta = delta.masked_fill(~mask.unsqueeze(1), _STANDSTILL)
        y = selective_scan(
            u,
            delta,
            self._decay_rates(),
            B,
            C,
            precise(self.D),
            z=z,
            delta_bias=precise(self.dt_proj.bias),
            delta_softplus=True,
            return_last_state=state is not None,
            initial_state=None if state is None else state.ssm,
        )
        if state is not None:
            assert isinstance(y, tuple)
            y, last = y
            state.ssm = last.detach()
            state.position += x.shape[1]
        assert isinstance(y, torch.Tensor)
        return self.out_proj(y.transpose(1, 2))

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: MambaState) -> tuple[torch.Tensor, MambaState]:
        """See `Mixer.step`; without gradient.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        require_rows(x.shape[0], state.ssm.shape[0])
        u, z = self.in_proj(x).chunk(2, dim=-1)
        u = causal_conv1d_update(u, state.tail, self.conv1d.weight[:, 0], self.conv1d.bias, "silu")
        low_rank, B, C = self.x_proj(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        y = selective_state_update(
            state.ssm,
            u,
            nn.functional.linear(low_rank, self.dt_proj.weight),
            self._decay_rates(),
            B,
            C,
            precise(self.D),
            z=z,
            dt_bias=precise(self.dt_proj.bias),
            dt_softplus=True,
        )
        state.position += 1
        return self.out_proj(y), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> MambaState:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""
        taps = self.conv1d.weight.shape[-1]
        return MambaState(
            position=0,
            tail=torch.zeros(batch_size, self.d_inner, taps - 1, device=device, dtype=dtype),
            ssm=torch.zeros(
                batch_size,
                self.d_inner,
                self.d_state,
                device=device,
                dtype=torch.promote_types(dtype, torch.float32),
            ),
        )

    def _convolve(self, u: torch.Tensor, mask: torch.Tensor | None, state: MambaState | None) -> torch.Tensor:
        before = None
        if state is not None:
            require_rows(u.shape[0], state.ssm.shape[0])
            before, state.tail = state.tail, next_tail(state.tail, u, mask)
        weight = self.conv1d.weight[:, 0]
        return causal_conv1d(u, weight, self.conv1d.bias, initial_states=before, activation="silu")

    def _decay_rates(self) -> torch.Tensor:
        """(E, N), negative."""
        return -torch.exp(precise(self.A_log))


def _project(x: torch.Tensor, linear: nn.Linear) -> torch.Tensor:
    """(B, D, L) to (B, E, L) without turning the layout."""
    y = torch.matmul(linear.weight, x)
    return y if linear.bias is None else y + linear.bias.unsqueeze(-1)
