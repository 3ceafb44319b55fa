"""S4 and S4D: state-space layers of one input and one output a channel, computed as convolutions.

Names of S4D's parameters are those of the released code.
Source: Gu et al. 2022, "Efficiently Modeling Long Sequences with Structured State Spaces" (S4); Gu et al.
2022, "On the Parameterization and Initialization of Diagonal State Space Models" (S4D); and their released
code.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError
from genoseq.nn.krylov import DenseSystem, DiagonalSystem, System
from genoseq.nn.linear_scan import linear_scan
from genoseq.nn.recurrence import precise
from genoseq.nn.ssm_init import DiagonalInit, Modes, diagonal_modes, hippo_legs, normal_modes
from genoseq.nn.state_space import (
    Activation,
    StateSpaceMixer,
    as_complex,
    fill_log_steps,
    growth,
)
from genoseq_kernels import fft_conv

# Irregular positions whose states are held at once.
_BLOCK = 256


class _ConvolvedMixer(StateSpaceMixer):
    """A layer that makes a `System` of each channel."""

    @abstractmethod
    def system(self) -> System:
        """In discrete time, in float32 or better."""

    def kernel(self, length: int) -> torch.Tensor:
        """(D, length), the impulse response without the skip."""
        return self.system().kernel(length)

    def _whole(self, u: torch.Tensor) -> torch.Tensor:
        return self._convolved(u.transpose(1, 2), self.system()).transpose(1, 2)

    def _carried(
        self, u: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert time_step is None
        system, u = self.system(), u.transpose(1, 2)
        length = u.shape[-1]
        place = torch.arange(length, device=u.device)
        real = torch.ones(u.shape[::2], dtype=torch.bool, device=u.device) if mask is None else mask
        # The first real position of each row, and the one behind its last.
        count = real.sum(1)
        start = real.int().argmax(1)
        since = (place - start.unsqueeze(1)).clamp(min=0).unsqueeze(1).expand_as(u)
        y = self._convolved(u, system) + system.response(ssm, length).gather(-1, since)
        with torch.no_grad():
            from_end = place - (length - start - count).unsqueeze(1)
            shifted = u.gather(-1, from_end.clamp(min=0).unsqueeze(1).expand_as(u))
            aligned = shifted.masked_fill((from_end < 0).unsqueeze(1), 0)
            ssm = system.leap(ssm, count) + system.gathered(aligned)
        return y.transpose(1, 2), ssm

    def _advance(self, u: torch.Tensor, ssm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, ssm = self.system().advance(ssm, u)
        return y + precise(self.D) * u, ssm

    def _convolved(self, u: torch.Tensor, system: System) -> torch.Tensor:
        return fft_conv(u.contiguous(), system.kernel(u.shape[-1]), precise(self.D))


class S4DMixer(_ConvolvedMixer):
    """S4D: a diagonal system a channel.

    Args:
        d_model: D.
        d_state: N, real states of a channel: N / 2 complex modes, each with its conjugate.
        init: of the modes: `lin`, `inv`, `legs`, or `ptd`, LegS perturbed and then diagonalised.
        dt_min, dt_max: range of the first time steps.
        ssm_lr: learning rate of modes and time steps; None for that of the rest. They never decay.
        activation: behind the layer: `none`, `gelu`, `half_glu` or `glu`.
        dropout: behind GELU.

    Raises:
        ConfigError: an odd state, or no such choice.
    """

    continuous: ClassVar[bool] = True

    def __init__(
        self,
        *,
        d_model: int,
        d_state: int = 64,
        init: DiagonalInit = "lin",
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        ssm_lr: float | None = 1e-3,
        activation: Activation = "glu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(d_model, activation=activation, dropout=dropout)
        self._modes = _half(d_state)
        self._init: DiagonalInit = init
        self._steps = {"low": dt_min, "high": dt_max}
        self._lr = ssm_lr
        self.log_dt = nn.Parameter(torch.empty(d_model))
        self.C = nn.Parameter(torch.empty(d_model, self._modes, 2))
        self.log_A_real = nn.Parameter(torch.empty(d_model, self._modes))
        self.A_imag = nn.Parameter(torch.empty(d_model, self._modes))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        modes = diagonal_modes(self._init, self._modes)
        eigenvalues = modes.eigenvalues if isinstance(modes, Modes) else modes
        self.log_A_real.copy_((-eigenvalues.real).log().expand(self.d_model, -1))
        self.A_imag.copy_(eigenvalues.imag.expand(self.d_model, -1))
        self.C.normal_(std=0.5**0.5)
        self.D.normal_()
        fill_log_steps(self.log_dt, **self._steps)
        self._set_rates("log_dt", "log_A_real", "A_imag", lr=self._lr)
        self._set_rates("C", lr=None)

    def system(self) -> DiagonalSystem:
        modes = self._continuous_modes()
        rates = modes * precise(self.log_dt).exp().unsqueeze(-1)
        return DiagonalSystem(rates, growth(rates) / modes, as_complex(self.C))

    def _carried(
        self, u: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if time_step is None:
            return super()._carried(u, mask, None, ssm)
        # No time passes at padding.
        time_step = time_step if mask is None else time_step.masked_fill(~mask, 0)
        parts = []
        for block, steps in zip(u.split(_BLOCK, 1), time_step.to(u.dtype).split(_BLOCK, 1), strict=True):
            y, ssm = self._irregular(block, steps, ssm)
            parts.append(y)
        return torch.cat(parts, dim=1) + precise(self.D) * u, ssm

    def _irregular(
        self, u: torch.Tensor, time_step: torch.Tensor, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        modes = self._continuous_modes()
        rates = modes * precise(self.log_dt).exp().unsqueeze(-1) * time_step[..., None, None]
        value = growth(rates) / modes * u.unsqueeze(-1)
        states = linear_scan(rates.exp().flatten(2), value.flatten(2), ssm.flatten(1)).view_as(value)
        return 2 * torch.einsum("blhn,hn->blh", states, as_complex(self.C)).real, states[:, -1]

    def _first_ssm(self, batch_size: int, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
        kind = torch.promote_types(dtype, torch.complex64)
        return torch.zeros(batch_size, self.d_model, self._modes, device=device, dtype=kind)

    def _continuous_modes(self) -> torch.Tensor:
        """(D, N / 2) complex."""
        return torch.complex(-precise(self.log_A_real).exp(), precise(self.A_imag))


class S4Mixer(_ConvolvedMixer):
    """S4: a system a channel that is diagonal plus low-rank, begun with HiPPO-LegS itself.

    The system is discretised by the bilinear rule, and computed in real numbers.

    Args:
        d_model: D.
        d_state: N, states of a channel.
        dt_min, dt_max: range of the first time steps.
        ssm_lr: learning rate of A, B and time steps; None for that of the rest. They never decay.
        activation: behind the layer: `none`, `gelu`, `half_glu` or `glu`.
        dropout: behind GELU.

    Raises:
        ConfigError: an odd state, or no such activation.
    """

    def __init__(
        self,
        *,
        d_model: int,
        d_state: int = 64,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        ssm_lr: float | None = 1e-3,
        activation: Activation = "glu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(d_model, activation=activation, dropout=dropout)
        self._modes = _half(d_state)
        self._steps = {"low": dt_min, "high": dt_max}
        self._lr = ssm_lr
        self.log_dt = nn.Parameter(torch.empty(d_model))
        self.log_A_real = nn.Parameter(torch.empty(d_model, self._modes))
        self.A_imag = nn.Parameter(torch.empty(d_model, self._modes))
        self.P = nn.Parameter(torch.empty(d_model, self._modes, 2))
        self.B = nn.Parameter(torch.empty(d_model, self._modes, 2))
        self.C = nn.Parameter(torch.empty(d_model, self._modes, 2))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        hippo, modes = hippo_legs(2 * self._modes), normal_modes(2 * self._modes)
        kept = slice(self._modes, None)
        self.log_A_real.copy_((-modes.eigenvalues.real[kept]).log().expand(self.d_model, -1))
        self.A_imag.copy_(modes.eigenvalues.imag[kept].expand(self.d_model, -1))
        for parameter, vector in ((self.P, hippo.P), (self.B, hippo.B)):
            turned = torch.view_as_real((modes.inverse @ vector.to(modes.inverse.dtype))[kept])
            parameter.copy_(turned.expand_as(parameter))
        self.C.normal_(std=0.5**0.5)
        self.D.normal_()
        fill_log_steps(self.log_dt, **self._steps)
        self._set_rates("log_dt", "log_A_real", "A_imag", "P", "B", lr=self._lr)
        self._set_rates("C", lr=None)

    def system(self) -> DenseSystem:
        """The states are the real parts of the modes, then the imaginary ones."""
        decay, turn = -precise(self.log_A_real).exp(), precise(self.A_imag)
        low_rank = precise(self.P).transpose(-1, -2).flatten(1)
        diagonal = torch.cat(
            [
                torch.cat([torch.diag_embed(decay), torch.diag_embed(-turn)], dim=-1),
                torch.cat([torch.diag_embed(turn), torch.diag_embed(decay)], dim=-1),
            ],
            dim=-2,
        )
        # 2 Re(conj(P) x): each mode stands for its conjugate, too.
        A = diagonal - 2 * low_rank.unsqueeze(-1) * low_rank.unsqueeze(-2)
        half_step = precise(self.log_dt).exp().view(-1, 1, 1) / 2
        identity = torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)
        inputs = precise(self.B).transpose(-1, -2).flatten(1)
        right = torch.cat([identity + half_step * A, 2 * half_step * inputs.unsqueeze(-1)], dim=-1)
        solved = torch.linalg.solve(identity - half_step * A, right)
        real, imaginary = precise(self.C).unbind(-1)
        return DenseSystem(solved[..., :-1], solved[..., -1], 2 * torch.cat([real, -imaginary], dim=-1))

    def _first_ssm(self, batch_size: int, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
        return torch.zeros(batch_size, self.d_model, 2 * self._modes, device=device, dtype=dtype)


def _half(d_state: int) -> int:
    if d_state < 2 or d_state % 2:
        raise ConfigError(
            f"d_state={d_state}: complex modes come with their conjugates; give an even number."
        )
    return d_state // 2
