"""The Hyena operator: projections, short convolutions, and gated long convolutions with implicit filters.

Source: Poli et al. 2023, "Hyena Hierarchy", definition 3.1; order 2 is HyenaDNA's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn

from genoseq.errors import ConfigError, SequenceError
from genoseq.nn.hyena_filter import HyenaFilter
from genoseq.nn.lazy_conv import LazyConv
from genoseq.nn.mixer import Mixer, MixerContext
from genoseq.nn.projection import from_channels, to_channels
from genoseq.nn.tiling import in_autocast_dtype, tiled
from genoseq_kernels import FrequencyPattern, causal_conv1d, fft_conv, sparse_fft_conv


@dataclass
class HyenaState:
    """What Hyena remembers: all of the past, so that its memory grows with the room it is given.

    Attributes:
        position: number of positions seen.
        tail: (B, (order + 1) D, K - 1) the last projections, which the short filter still reaches.
        convolutions: order - 1 long convolutions; `LazyConv` says what they hold and what a step costs.
    """

    position: int
    tail: torch.Tensor
    convolutions: list[LazyConv]

    @property
    def max_length(self) -> int:
        """Number of positions there is room for."""
        return self.convolutions[0].max_length


class HyenaMixer(Mixer):
    """Hyena of any order >= 2.

    Args:
        d_model: D, width of input and output.
        l_max: the longest sequence.
        order: number of gates, `order` - 1 of them before a long convolution.
        short_filter_order: taps of the short filter.
        dropout: of the long convolutions' input.
        filter_options: keyword arguments of `HyenaFilter`, `channels`, `l_max` and `sequence_tile` aside.
        sequence_tile: positions whose projections, and taps of the filters, are made at once; None for all.
        extended_l_max: the longest sequence, where that is more than `l_max`: the filters then end after the
            `l_max` taps that they have.
        max_taps: taps that the filters end after; None for `l_max`.

    Attributes:
        frequencies: what is kept of the filters' spectra; None for all. With less, the mixer is not causal.
    """

    causal: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    def __init__(
        self,
        *,
        d_model: int,
        l_max: int,
        order: int,
        short_filter_order: int,
        dropout: float,
        filter_options: dict[str, Any],
        sequence_tile: int | None = None,
        extended_l_max: int | None = None,
        max_taps: int | None = None,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.l_max = extended_l_max or l_max
        self.max_taps = min(max_taps or l_max, l_max)
        self.frequencies: FrequencyPattern | None = None
        self.order = order
        width = d_model * (order + 1)
        self.in_proj = nn.Linear(d_model, width)
        self.out_proj = nn.Linear(d_model, d_model)
        self.short_filter = nn.Conv1d(width, width, short_filter_order, groups=width)
        self.filter_fn = HyenaFilter(
            channels=d_model * (order - 1), l_max=l_max, sequence_tile=sequence_tile, **filter_options
        )
        self.sequence_tile = sequence_tile
        self.dropout = nn.Dropout(dropout)

    def _mix(self, x: torch.Tensor, context: MixerContext, state: HyenaState | None) -> torch.Tensor:
        if state is None:
            return self._forward_whole(x, context.mask)
        return self._forward_chunk(x, context.mask, state)

    def step(self, x: torch.Tensor, state: HyenaState) -> tuple[torch.Tensor, HyenaState]:
        y = self._forward_chunk(x.unsqueeze(1), None, state)
        return y.squeeze(1), state

    def init_state(
        self, batch_size: int, *, max_length: int, device: torch.device | str, dtype: torch.dtype
    ) -> HyenaState:
        """See `Mixer.init_state`.

        Raises:
            ConfigError: the filters lack frequencies.
            SequenceError: `max_length` is beyond the longest sequence there may be.
        """
        if max_length > self.l_max:
            raise _too_long(max_length, self.l_max)
        if self.frequencies is not None:
            raise ConfigError("filters without some frequencies look ahead: there is no state to carry.")
        width, taps = self.short_filter.weight.shape[0], self.short_filter.weight.shape[-1]
        with torch.no_grad():
            filters = self.filter_fn(min(max_length, self.max_taps)).split(self.d_model)
        return HyenaState(
            position=0,
            tail=torch.zeros(batch_size, width, taps - 1, device=device, dtype=dtype),
            convolutions=[LazyConv(taps, batch_size=batch_size, max_length=max_length) for taps in filters],
        )

    def _forward_whole(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        length = x.shape[1]
        longest = length if length <= self.l_max else self._real_length(mask, length)
        taps = min(longest, self.max_taps)
        *gates, value = self._split(self._mix_nearby(x, mask))
        filters = self.filter_fn(taps)
        # Even a split into one part copies the gradient.
        parts = (filters,) if self.order == 2 else filters.split(self.d_model)
        skips = self.filter_fn.bias.view(self.order - 1, self.d_model)
        kept = self.frequencies
        convolve = fft_conv if kept is None else partial(sparse_fft_conv, pattern=kept)
        for index in range(self.order - 1):
            gate_in = gates[-1 - index]
            gate_out = gates[0] if index == self.order - 2 else None
            if self.dropout.p and self.training:
                value = self.dropout(value * gate_in)
                value = convolve(value, parts[index], skips[index], gate_out=gate_out)
            else:
                value = convolve(value, parts[index], skips[index], gate_in=gate_in, gate_out=gate_out)
        return from_channels(value, self.out_proj.weight, self.out_proj.bias)

    def _forward_chunk(self, x: torch.Tensor, mask: torch.Tensor | None, state: HyenaState) -> torch.Tensor:
        length = x.shape[1]
        if state.position + length > state.max_length:
            raise SequenceError(
                f"{state.position + length:,} positions do not fit the state's room for "
                f"{state.max_length:,}: ask init_state for a larger max_length."
            )
        projected = torch.cat([state.tail, _masked(self.in_proj(x).transpose(1, 2), mask)], dim=-1)
        # Copied: a view would keep the whole chunk alive.
        state.tail = projected[..., length:].detach().clone()
        mixed = causal_conv1d(projected, self.short_filter.weight.squeeze(1), self.short_filter.bias)
        *gates, value = self._split(_masked(mixed[..., -length:], mask))
        skips = self.filter_fn.bias.view(self.order - 1, self.d_model)
        for index in range(self.order - 1):
            value = self.dropout(value * gates[-1 - index])
            value = _convolve_next(state.convolutions[index], value) + skips[index].unsqueeze(-1) * value
        state.position += length
        return self.out_proj((value * gates[0]).transpose(1, 2))

    def _mix_nearby(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Projections after the short convolution, (B, (order + 1) D, L)."""

        def function(part: torch.Tensor, places: slice) -> torch.Tensor:
            return self._project_and_mix(part, None if mask is None else mask[:, places])

        learned = [*self.in_proj.parameters(), *self.short_filter.parameters()]
        reach = self.short_filter.weight.shape[-1] - 1
        return tiled(function, in_autocast_dtype(x), learned, tile=self.sequence_tile, reach=reach, axis=2)

    def _project_and_mix(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(B, L, D) to (B, (order + 1) D, L), a position that the mask leaves out being none.

        The short convolution brings the bias of the projections with its own, instead of a pass of theirs.
        Where there is no position, before the sequence or under the mask, there is then minus that bias.
        """
        taps, bias = self.short_filter.weight.squeeze(1), self.in_proj.bias
        assert self.short_filter.bias is not None
        projected = to_channels(x, self.in_proj.weight)
        absent = -bias.to(projected.dtype).unsqueeze(-1)
        if mask is not None:
            projected = torch.where(mask.unsqueeze(1), projected, absent)
        before = absent.expand(x.shape[0], -1, taps.shape[1] - 1)
        mixed = causal_conv1d(
            projected, taps, self.short_filter.bias + bias * taps.sum(1), initial_states=before
        )
        return _masked(mixed, mask)

    def _split(self, mixed: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return mixed.split(self.d_model, dim=1)

    def _real_length(self, mask: torch.Tensor | None, length: int) -> int:
        """`l_max`, after a check that what the mask leaves of a longer input fits it."""
        longest = length
        if mask is not None:
            index = torch.arange(length, device=mask.device)
            last = torch.where(mask, index, -1).amax(1)
            first = torch.where(mask, index, length).amin(1)
            longest = int((last - first).amax()) + 1
        if longest > self.l_max:
            raise _too_long(longest, self.l_max)
        return self.l_max


def _convolve_next(convolution: LazyConv, value: torch.Tensor) -> torch.Tensor:
    """(B, D, l) to (B, D, l); no gradient passes through a single position."""
    if value.shape[-1] == 1:
        return convolution.step(value.squeeze(-1)).unsqueeze(-1)
    return convolution.chunk(value)


def _masked(x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """x (B, C, L) with zeros where the mask (B, L) is False."""
    return x if mask is None else x.masked_fill(~mask.unsqueeze(1), 0)


def _too_long(length: int, l_max: int) -> SequenceError:
    return SequenceError(
        f"a sequence of {length:,} tokens is longer than this model's l_max={l_max:,}: "
        "cut it into windows, take a model with a larger l_max, or give this one an extended_l_max."
    )
