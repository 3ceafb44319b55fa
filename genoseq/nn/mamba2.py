"""Mamba-2: heads of state-space models with one decay each, in the dual form of masked attention.

Names of submodules and parameters are those of the released checkpoints.
Source: Dao and Gu 2024, "Transformers are SSMs", section 7.1, and its released code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.errors import ConfigError
from genoseq.nn.hyena_filter import set_optimizer_options
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.recurrence import fill_time_step_bias, next_tail, precise, require_rows
from genoseq_kernels import causal_conv1d, causal_conv1d_update, selective_state_update, ssd

_LEAST_DECAY, _MOST_DECAY = 1.0, 16.0


@dataclass
class Mamba2State:
    """What Mamba-2 remembers: as much after a million positions as after one.

    Attributes:
        position: number of positions seen.
        tail: (B, E + 2 G N, K - 1) the last inputs of the short convolution.
        ssm: (B, H, P, N) the state, float32 or better.
    """

    position: int
    tail: torch.Tensor
    ssm: torch.Tensor


class GatedRMSNorm(nn.Module):
    """Root-mean-square norm of x * silu(z) within each group of channels.

    Args:
        width: channels.
        groups: that are normed each for itself.
        epsilon: added to the mean square.
    """

    def __init__(self, *, width: int, groups: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.groups = groups
        self.epsilon = epsilon

    def reset_parameters(self) -> None:
        """Weights of one."""
        nn.init.ones_(self.weight)

    def forward(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """x and z (..., width) to (..., width) of the dtype of `x`."""
        gated = (precise(x) * F.silu(precise(z))).unflatten(-1, (self.groups, -1))
        normed = gated * torch.rsqrt(gated.square().mean(-1, keepdim=True) + self.epsilon)
        return (normed.flatten(-2) * self.weight).to(x.dtype)


class Mamba2Mixer(Mixer):
    """Mamba-2's layer.

    Args:
        d_model: D, width of input and output.
        d_state: N, state of each channel of a head.
        d_conv: K, taps of the short convolution.
        expand: E / D, how much wider the layer is inside.
        headdim: P, channels of a head; there are H = E / P heads.
        ngroups: G, groups of heads that share B and C.
        chunk_size: positions that are computed at once: changes time and memory, not the function.
        dt_min, dt_max, dt_init_floor: range of the first time steps.
        dt_limit: bounds of all time steps; None for no upper one.
        norm_epsilon: of the gated norm.
        conv_bias: of the short convolution.
        bias: of the projections in and out.

    Raises:
        ConfigError: the heads do not divide the width, or the groups not the heads.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True
    fixed_memory = True
    packs: ClassVar[bool] = True

    def __init__(
        self,
        *,
        d_model: int,
        d_state: int = 128,
        d_conv: int = 4,
        expand: int = 2,
        headdim: int = 64,
        ngroups: int = 1,
        chunk_size: int = 256,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        dt_init_floor: float = 1e-4,
        dt_limit: Sequence[float | None] = (0.0, None),
        norm_epsilon: float = 1e-5,
        conv_bias: bool = True,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.d_inner = expand * d_model
        self.d_state = d_state
        self.headdim = headdim
        self.ngroups = ngroups
        self.chunk_size = chunk_size
        self.dt_limit = tuple(dt_limit)
        _check_widths(self.d_inner, headdim, ngroups)
        self.num_heads = self.d_inner // headdim
        width = self.d_inner + 2 * ngroups * d_state
        self.in_proj = nn.Linear(d_model, self.d_inner + width + self.num_heads, bias=bias)
        self.conv1d = nn.Conv1d(width, width, d_conv, groups=width, bias=conv_bias)
        self.dt_bias = nn.Parameter(torch.empty(self.num_heads))
        self.A_log = nn.Parameter(torch.empty(self.num_heads))
        self.D = nn.Parameter(torch.empty(self.num_heads))
        self.norm = GatedRMSNorm(width=self.d_inner, groups=ngroups, epsilon=norm_epsilon)
        self.out_proj = nn.Linear(self.d_inner, d_model, bias=bias)
        self._first_steps = {"low": dt_min, "high": dt_max, "floor": dt_init_floor}
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First values of decays, skips and time steps, as officially; they do not decay in training."""
        fill_time_step_bias(self.dt_bias, **self._first_steps)
        self.A_log.uniform_(_LEAST_DECAY, _MOST_DECAY).log_()
        self.D.fill_(1)
        for parameter in (self.A_log, self.D, self.dt_bias):
            set_optimizer_options(parameter, lr=None, weight_decay=0.0)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: Mamba2State | None) -> torch.Tensor:
        mask, runs = context.mask, context.runs
        z, mixed, dt = self._split_projection(self.in_proj(x))
        mixed = mixed.transpose(1, 2)
        if mask is not None:
            mixed = mixed.masked_fill(~mask.unsqueeze(1), 0)
        mixed = self._convolve(mixed, mask, runs, state).transpose(1, 2)
        steps = self._time_steps(dt)
        if mask is not None:
            # A state does not move where no time passes.
            steps = steps.masked_fill(~mask.unsqueeze(-1), 0)
        y = self._scan(mixed, steps, runs, state)
        return self.out_proj(self.norm(y.flatten(-2), z))

    @torch.no_grad()
    def step(self, x: torch.Tensor, state: Mamba2State) -> tuple[torch.Tensor, Mamba2State]:
        """See `Mixer.step`; without gradient.

        Raises:
            SequenceError: the state is of another number of sequences.
        """
        require_rows(x.shape[0], state.ssm.shape[0])
        z, mixed, dt = self._split_projection(self.in_proj(x))
        mixed = causal_conv1d_update(mixed, state.tail, self.conv1d.weight[:, 0], self.conv1d.bias, "silu")
        values, B, C = self._split_mixed(mixed)
        steps = self._time_steps(dt).unsqueeze(-1).expand(-1, -1, self.headdim)
        A = self._decay_rates()[:, None, None].expand(-1, self.headdim, self.d_state)
        D = precise(self.D).unsqueeze(-1).expand(-1, self.headdim)
        y = selective_state_update(state.ssm, values, steps, A, B, C, D)
        state.position += 1
        return self.out_proj(self.norm(y.flatten(-2), z)), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> Mamba2State:
        """See `Mixer.init_state`; the memory does not depend on `max_length`."""
        width, _, taps = self.conv1d.weight.shape
        return Mamba2State(
            position=0,
            tail=torch.zeros(batch_size, width, taps - 1, device=device, dtype=dtype),
            ssm=torch.zeros(
                batch_size,
                self.num_heads,
                self.headdim,
                self.d_state,
                device=device,
                dtype=torch.promote_types(dtype, torch.float32),
            ),
        )

    def _convolve(
        self,
        mixed: torch.Tensor,
        mask: torch.Tensor | None,
        runs: torch.Tensor | None,
        state: Mamba2State | None,
    ) -> torch.Tensor:
        before = None
        if state is not None:
            require_rows(mixed.shape[0], state.ssm.shape[0])
            before, state.tail = state.tail, next_tail(state.tail, mixed, mask)
        return causal_conv1d(
            mixed,
            self.conv1d.weight[:, 0],
            self.conv1d.bias,
            seq_idx=runs,
            initial_states=before,
            activation="silu",
        )

    def _scan(
        self,
        mixed: torch.Tensor,
        steps: torch.Tensor,
        runs: torch.Tensor | None,
        state: Mamba2State | None,
    ) -> torch.Tensor:
        """(B, L, H, P); the `state` is carried on in place."""
        values, B, C = self._split_mixed(mixed)
        y = ssd(
            values,
            steps,
            self._decay_rates(),
            B,
            C,
            chunk_size=self.chunk_size,
            D=precise(self.D),
            initial_states=None if state is None else state.ssm,
            seq_idx=runs,
            return_final_states=state is not None,
        )
        if state is not None:
            y, last = y
            state.ssm = last.detach()
            state.position += mixed.shape[1]
        return y

    def _split_projection(self, projected: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """z (..., E), what goes through the convolution (..., E + 2 G N), and time steps (..., H)."""
        width = self.conv1d.weight.shape[0]
        return projected.split([self.d_inner, width, self.num_heads], dim=-1)

    def _split_mixed(self, mixed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Values (..., H, P), B and C (..., G, N)."""
        shared = self.ngroups * self.d_state
        values, B, C = mixed.split([self.d_inner, shared, shared], dim=-1)
        grouped = (self.ngroups, self.d_state)
        return (
            values.unflatten(-1, (self.num_heads, self.headdim)),
            B.unflatten(-1, grouped),
            C.unflatten(-1, grouped),
        )

    def _time_steps(self, dt: torch.Tensor) -> torch.Tensor:
        """(..., H), float32 or better."""
        low, high = self.dt_limit
        return F.softplus(precise(dt) + precise(self.dt_bias)).clamp(low, high)

    def _decay_rates(self) -> torch.Tensor:
        """(H,), negative."""
        return -torch.exp(precise(self.A_log))


def _check_widths(d_inner: int, headdim: int, ngroups: int) -> None:
    if d_inner % headdim:
        raise ConfigError(
            f"headdim={headdim} does not divide expand * d_model = {d_inner}: choose one that does."
        )
    heads = d_inner // headdim
    if heads % ngroups:
        raise ConfigError(f"ngroups={ngroups} does not divide the {heads} heads: choose one that does.")
