"""The implicit long filter of Hyena: a small network from positions to taps, under a decaying window.

Names of submodules and parameters are those of the released checkpoints.
Source: Poli et al. 2023, "Hyena Hierarchy", section 3.3; Nguyen et al. 2023, "HyenaDNA", released code.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from genoseq.nn.projection import to_channels
from genoseq.nn.tiling import tiled
from genoseq_kernels import exponential_window_

_FAST_DECAY, _SLOW_DECAY, _DECAY_TARGET, _SHIFT = 0.3, 1.5, 1e-2, 0.05


class PositionalEmbedding(nn.Module):
    """Time in [0, 1] and complex exponentials of it, on a grid of `l_max` points whatever the input's length.

    Attributes:
        z: (1, l_max, emb_dim); a parameter where `learning_rate` is not zero, else a buffer.
        t: (1, l_max, 1) buffer.
    """

    z: torch.Tensor
    t: torch.Tensor

    def __init__(self, *, emb_dim: int, l_max: int, learning_rate: float) -> None:
        super().__init__()
        self._learning_rate = learning_rate
        z = torch.empty(1, l_max, emb_dim)
        if learning_rate:
            self.z = nn.Parameter(z)
        else:
            self.register_buffer("z", z)
        self.register_buffer("t", torch.empty(1, l_max, 1))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """First values, of a learned embedding too."""
        _, l_max, emb_dim = self.z.shape
        bands = (emb_dim - 1) // 2
        with self.t.device:
            t = torch.linspace(0, 1, l_max)[None, :, None]
            angle = 2 * math.pi * torch.linspace(0, l_max - 1, l_max)[None, :, None] / l_max
            wave = torch.exp(-1j * torch.linspace(1e-4, bands - 1, bands) * angle)
        self.z.copy_(torch.cat([t, wave.real, wave.imag], dim=-1))
        self.t.copy_(t)
        if isinstance(self.z, nn.Parameter):
            set_optimizer_options(self.z, lr=self._learning_rate, weight_decay=0.0)


class Sine(nn.Module):
    """sin(freq * layer(x)), one learned frequency a channel of the layer's result."""

    freq: torch.Tensor

    def __init__(self, *, width: int, frequency: float, learned: bool) -> None:
        super().__init__()
        self._frequency = frequency
        freq = torch.empty(1, width)
        if learned:
            self.freq = nn.Parameter(freq)
        else:
            self.register_buffer("freq", freq, persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """The same first frequency for all."""
        self.freq.fill_(self._frequency)

    def forward(self, layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., width): the frequencies go into the layer's few weights, not to all positions."""
        return torch.sin(F.linear(x, self.freq.T * layer.weight, self.freq[0] * layer.bias))


class ExponentialModulation(nn.Module):
    """A window exp(-t |delta|) + 0.05, faster channel by channel."""

    deltas: torch.Tensor

    def __init__(self, *, channels: int) -> None:
        super().__init__()
        self.register_buffer("deltas", torch.empty(1, 1, channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Decays from the slowest channel to the fastest."""
        slowest = math.log(_DECAY_TARGET) / _SLOW_DECAY
        fastest = math.log(_DECAY_TARGET) / _FAST_DECAY
        channels = self.deltas.shape[-1]
        self.deltas.copy_(torch.linspace(slowest, fastest, channels, device=self.deltas.device)[None, None])

    def forward(self, taps: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """Taps (1, channels, L) at times t (1, L, 1) times the window over 0.05, in place.

        Over 0.05 the window is one and an exponential: one pass does both.
        """
        remains = torch.exp(-self.deltas.abs()).flatten()
        return exponential_window_(taps, remains, t.flatten(), scale=1 / _SHIFT)


class HyenaFilter(nn.Module):
    """Filters of `channels` channels for sequences of up to `l_max` positions.

    Args:
        channels: number of filters.
        l_max: the longest filter, and the length that positions are measured by.
        emb_dim: width of the positional embedding: odd, 3 or more (time, then cosines and sines).
        width: width of the network.
        num_inner_mlps: number of hidden layers between the first and the last.
        activation_freq: first value of the sines' frequencies.
        train_freq: learn the frequencies, which the layers share.
        position_lr: learning rate of the positional embedding; 0 keeps it fixed.
        filter_lr, filter_weight_decay: what the optimiser uses for the network's parameters, carried in their
            `_optim`; None for the optimiser's own learning rate.
        sequence_tile: taps that are made at once; None for all.
    """

    def __init__(
        self,
        *,
        channels: int,
        l_max: int,
        emb_dim: int,
        width: int,
        num_inner_mlps: int,
        activation_freq: float,
        train_freq: bool,
        position_lr: float,
        filter_lr: float | None,
        filter_weight_decay: float,
        sequence_tile: int | None = None,
    ) -> None:
        super().__init__()
        self.l_max = l_max
        self.sequence_tile = sequence_tile
        self.bias = nn.Parameter(torch.randn(channels))
        self._lr, self._weight_decay = filter_lr, filter_weight_decay
        self.pos_emb = PositionalEmbedding(emb_dim=emb_dim, l_max=l_max, learning_rate=position_lr)
        sine = Sine(width=width, frequency=activation_freq, learned=train_freq)
        layers: list[nn.Module] = [nn.Linear(emb_dim, width), sine]
        for _ in range(num_inner_mlps):
            layers += [nn.Linear(width, width), sine]
        self.implicit_filter = nn.ModuleList([*layers, nn.Linear(width, channels, bias=False)])
        self.modulation = ExponentialModulation(channels=channels)
        self._mark_network()

    def reset_parameters(self) -> None:
        """Draw the biases again; the network draws its own first values."""
        nn.init.normal_(self.bias)
        self._mark_network()

    def _mark_network(self) -> None:
        for parameter in self.implicit_filter.parameters():
            set_optimizer_options(parameter, lr=self._lr, weight_decay=self._weight_decay)

    def forward(self, length: int) -> torch.Tensor:
        """The first `length` taps, (channels, length); autocast does not reach them."""
        assert length <= self.l_max
        z = self.pos_emb.z[:, :length]
        learned = self.implicit_filter.parameters()
        return tiled(self._taps, z, learned, tile=self.sequence_tile, axis=2).squeeze(0)

    def _taps(self, z: torch.Tensor, places: slice) -> torch.Tensor:
        """(1, l, emb_dim) at some places, to (1, channels, l)."""
        *hidden, last = self.implicit_filter
        assert isinstance(last, nn.Linear)
        with torch.autocast(device_type=z.device.type, enabled=False):
            x = z.to(self.bias.dtype)
            for layer, sine in zip(hidden[::2], hidden[1::2], strict=True):
                x = sine(layer, x)
            # The modulation is over the shift.
            taps = to_channels(x, last.weight * _SHIFT)
            return self.modulation(taps, self.pos_emb.t[:, places])


def set_optimizer_options(parameter: nn.Parameter, *, lr: float | None, weight_decay: float) -> None:
    """Mark a parameter with the options that the optimiser shall use for it."""
    options = {"weight_decay": weight_decay} if lr is None else {"lr": lr, "weight_decay": weight_decay}
    parameter._optim = options  # type: ignore[attr-defined]
