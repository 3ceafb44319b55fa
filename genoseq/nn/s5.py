"""S5: one state-space system for all channels together, computed as an associative scan.

Source: Smith et al. 2023, "Simplified State Space Layers for Sequence Modeling", and its released code; for
irregular samples, its section 6.3.
"""

from __future__ import annotations

from typing import ClassVar, Literal, get_args

import torch
from torch import nn

from genoseq.errors import ConfigError, require_choice
from genoseq.nn.linear_scan import linear_scan
from genoseq.nn.mixer import StatelessMixer
from genoseq.nn.recurrence import precise
from genoseq.nn.ssm_init import Modes, normal_modes, perturbed_modes
from genoseq.nn.state_space import Activation, StateSpaceMixer, fill_log_steps, growth

S5Init = Literal["hippo_n", "ptd"]
_LEAST_DECAY = -1e-4


class S5Mixer(StateSpaceMixer):
    """S5 of one direction.

    Args:
        d_model: D.
        d_state: real states; with `conjugate`, half as many complex modes P, each with its conjugate, else P
            of them.
        blocks: the first system is of so many equal HiPPO matrices.
        conjugate: keep one mode of each conjugate pair.
        init: `hippo_n`, the normal part of HiPPO-LegS, or `ptd`, LegS perturbed and then diagonalised.
        clip: keep every mode decaying.
        step_rescale: all time steps are multiplied by this; for another sampling rate than in training.
        dt_min, dt_max: range of the first time steps.
        ssm_lr: learning rate of modes, B and time steps; None for that of the rest. They never decay.
        activation: behind the layer: `none`, `gelu`, `half_glu` or `glu`.
        dropout: behind GELU.

    Raises:
        ConfigError: modes that do not divide, or no such choice.
    """

    continuous: ClassVar[bool] = True
    readouts: ClassVar[tuple[str, ...]] = ("C",)

    def __init__(
        self,
        *,
        d_model: int,
        d_state: int = 64,
        blocks: int = 1,
        conjugate: bool = True,
        init: S5Init = "hippo_n",
        clip: bool = False,
        step_rescale: float = 1.0,
        dt_min: float = 0.001,
        dt_max: float = 0.1,
        ssm_lr: float | None = 1e-3,
        activation: Activation = "half_glu",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(d_model, activation=activation, dropout=dropout)
        require_choice("init", init, get_args(S5Init))
        halves = 2 if conjugate else 1
        if d_state < 1 or d_state % (halves * blocks):
            raise ConfigError(
                f"d_state={d_state}: {blocks} blocks{' of conjugate pairs' if conjugate else ''} want a "
                f"multiple of {halves * blocks}."
            )
        self.modes = d_state // halves
        self.conjugate = conjugate
        self.clip = clip
        self.step_rescale = step_rescale
        self._blocks = blocks
        self._init: S5Init = init
        self._steps = {"low": dt_min, "high": dt_max}
        self._lr = ssm_lr
        self.Lambda_re = nn.Parameter(torch.empty(self.modes))
        self.Lambda_im = nn.Parameter(torch.empty(self.modes))
        self.B = nn.Parameter(torch.empty(self.modes, d_model, 2))
        for name in self.readouts:
            setattr(self, name, nn.Parameter(torch.empty(d_model, self.modes, 2)))
        self.log_step = nn.Parameter(torch.empty(self.modes, 1))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        modes = self._first_modes()
        self.Lambda_re.copy_(modes.eigenvalues.real)
        self.Lambda_im.copy_(modes.eigenvalues.imag)
        size = modes.vectors.shape[0]
        inputs = torch.empty(size, self.d_model, device="cpu").normal_(std=size**-0.5)
        self.B.copy_(torch.view_as_real(modes.inverse @ inputs.to(modes.inverse.dtype)))
        for name in self.readouts:
            outputs = torch.empty(self.d_model, size, 2, device="cpu").normal_(std=size**-0.5)
            turned = torch.view_as_complex(outputs).to(modes.vectors.dtype) @ modes.vectors
            getattr(self, name).copy_(torch.view_as_real(turned))
        self.D.normal_()
        fill_log_steps(self.log_step, **self._steps)
        self._set_rates("Lambda_re", "Lambda_im", "log_step", "B", lr=self._lr)
        self._set_rates(*self.readouts, lr=None)

    def decay(self) -> torch.Tensor:
        """(P,) complex, what a regular step leaves of each mode."""
        return torch.exp(self._continuous_modes() * self._step_sizes())

    def _whole(self, u: torch.Tensor) -> torch.Tensor:
        return self._mixed(u, None, self._first_ssm(u.shape[0], u.device, u.dtype))[0]

    def _carried(
        self, u: torch.Tensor, mask: torch.Tensor | None, time_step: torch.Tensor | None, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if mask is not None:
            # No time passes at padding.
            regular = torch.ones(u.shape[:2], dtype=u.dtype, device=u.device)
            time_step = (regular if time_step is None else time_step.to(u.dtype)).masked_fill(~mask, 0)
        return self._mixed(u, time_step, ssm)

    def _advance(self, u: torch.Tensor, ssm: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, ssm = self._mixed(u.unsqueeze(1), None, ssm)
        return y.squeeze(1), ssm

    def _mixed(
        self, u: torch.Tensor, time_step: torch.Tensor | None, ssm: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        decay, value = self._driven(u, time_step)
        states = linear_scan(decay, value, ssm)
        return self._read(states, "C") + precise(self.D) * u, states[:, -1]

    def _driven(self, u: torch.Tensor, time_step: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Decays (B or 1, L or 1, P) and what the inputs add to the states (B, L, P)."""
        modes = self._continuous_modes()
        rates = (modes * self._step_sizes()).view(1, 1, -1)
        if time_step is not None:
            rates = rates * time_step.unsqueeze(-1)
        B = precise(self.B)
        parts = u @ torch.cat([B[..., 0], B[..., 1]]).T
        driven = torch.complex(*parts.chunk(2, dim=-1))
        return rates.exp(), growth(rates) / modes * driven

    def _read(self, states: torch.Tensor, name: str) -> torch.Tensor:
        C = precise(getattr(self, name))
        y = states.real @ C[..., 0].T - states.imag @ C[..., 1].T
        return 2 * y if self.conjugate else y

    def _first_ssm(self, batch_size: int, device: torch.device | str, dtype: torch.dtype) -> torch.Tensor:
        kind = torch.promote_types(dtype, torch.complex64)
        return torch.zeros(batch_size, self.modes, device=device, dtype=kind)

    def _continuous_modes(self) -> torch.Tensor:
        real = precise(self.Lambda_re)
        return torch.complex(real.clamp(max=_LEAST_DECAY) if self.clip else real, precise(self.Lambda_im))

    def _step_sizes(self) -> torch.Tensor:
        return self.step_rescale * precise(self.log_step).exp().squeeze(-1)

    def _first_modes(self) -> Modes:
        """Of all blocks together."""
        size = self.modes // self._blocks
        if self._init == "ptd":
            block = perturbed_modes(size)
        elif self.conjugate:
            whole = normal_modes(2 * size)
            block = Modes(whole.eigenvalues[:size], whole.vectors[:, :size], whole.inverse[:size])
        else:
            block = normal_modes(size)
        return Modes(
            block.eigenvalues.repeat(self._blocks),
            torch.block_diag(*[block.vectors] * self._blocks),
            torch.block_diag(*[block.inverse] * self._blocks),
        )


class BidirectionalS5(StatelessMixer, S5Mixer):
    """S5 of both directions: one system, run either way, and a readout for each. Arguments: see `S5Mixer`."""

    continuous: ClassVar[bool] = False
    readouts: ClassVar[tuple[str, ...]] = ("C1", "C2")

    def _whole(self, u: torch.Tensor) -> torch.Tensor:
        decay, value = self._driven(u, None)
        back = linear_scan(decay, value.flip(1)).flip(1)
        return self._read(linear_scan(decay, value), "C1") + self._read(back, "C2") + precise(self.D) * u
