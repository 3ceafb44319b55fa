"""`causal_conv1d` through Triton: which kernel runs, over which tiles."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from genoseq_kernels.causal_conv1d import kernels, reference
from genoseq_kernels.causal_conv1d.reference import Gradients
from genoseq_kernels.dispatch import triton_runs
from genoseq_kernels.rows import have_room

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_WIDTHS = range(2, 5)
_STEP_CHANNELS = 128


class Configuration(NamedTuple):
    """Tiles of a kernel.

    Attributes:
        channels, units: of a tile.
        unit: positions in a row that a thread holds, at least the taps but one.
        tiles: of positions that a program goes through.
        warps: of a program.
    """

    channels: int
    units: int
    unit: int
    tiles: int
    warps: int

    @property
    def positions(self) -> int:
        """That a program covers."""
        return self.units * self.unit * self.tiles

    def for_length(self, length: int) -> Configuration:
        """The same with no more tiles than a sequence fills."""
        return self._replace(tiles=min(self.tiles, -(-length // (self.units * self.unit))))


CHANNEL_FIRST = (
    Configuration(channels=1, units=128, unit=8, tiles=4, warps=4),
    Configuration(channels=1, units=128, unit=4, tiles=8, warps=4),
    Configuration(channels=1, units=64, unit=8, tiles=8, warps=2),
    Configuration(channels=4, units=32, unit=8, tiles=4, warps=4),
)
CHANNEL_LAST = (
    Configuration(channels=64, units=4, unit=8, tiles=16, warps=4),
    Configuration(channels=128, units=2, unit=8, tiles=32, warps=4),
    Configuration(channels=128, units=4, unit=4, tiles=16, warps=4),
    Configuration(channels=256, units=1, unit=4, tiles=64, warps=4),
)
"""What may run, by layout. Which one does is a rule rather than a timing at the first call, so that the sums
of the weight's gradient are the same numbers in every process."""


def supports(x: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether the kernels take these tensors."""
    return triton_runs(x) and x.dtype in _DTYPES and weight.shape[1] in _WIDTHS


def forward(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    configuration: Configuration | None = None,
) -> torch.Tensor:
    """See `reference.forward`."""
    x = _with_unit_stride(x)
    y = reference.empty_like(x)
    chosen = _choose(x, configuration)
    kernels.forward[(_programs(x, chosen),)](
        x, *_parameters(x, weight, bias, seq_idx, initial_states), y,
        *x.stride(), *y.stride(), *_strides(initial_states), *x.shape[1:],
        **_options(x, weight, bias, seq_idx, initial_states, silu, chosen), ROOM=have_room(x, y),
    )  # fmt: skip
    return y


def backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    configuration: Configuration | None = None,
) -> Gradients:
    """See `reference.backward`."""
    x = _with_unit_stride(x)
    grad = _in_layout(grad, x)
    grad_x = reference.empty_like(x)
    chosen = _choose(x, configuration)
    batch, channels, length = x.shape
    blocks = batch * -(-length // chosen.positions)
    width = weight.shape[1]
    partial = torch.empty(blocks, width + 1, channels, dtype=torch.float32, device=x.device)
    kernels.backward[(_programs(x, chosen),)](
        grad, x, *_parameters(x, weight, bias, seq_idx, initial_states), grad_x, partial,
        *grad.stride(), *x.stride(), *grad_x.stride(), *_strides(initial_states), channels, length,
        **_options(x, weight, bias, seq_idx, initial_states, silu, chosen), ROOM=have_room(grad, x, grad_x),
    )  # fmt: skip
    sums = partial.sum(0)
    grad_initial = None
    if initial_states is not None:
        # Only the first positions reach back to them.
        start = slice(0, min(length, width - 1))
        grad_initial = reference.backward(
            grad[..., start], x[..., start], weight, bias, None, initial_states, silu
        ).initial_states
    return Gradients(
        x=grad_x,
        weight=sums[:width].flip(0).T.to(weight.dtype).contiguous(),
        bias=None if bias is None else sums[width].to(bias.dtype, copy=True),
        initial_states=grad_initial,
    )


def update(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    silu: bool,
    cache_seqlens: torch.Tensor | None,
    conv_state_indices: torch.Tensor | None,
) -> torch.Tensor:
    """See `reference.update`."""
    y = reference.empty_like(x)
    batch, channels, length = x.shape
    kernels.step[(batch * -(-channels // _STEP_CHANNELS),)](
        x, conv_state, weight.contiguous(), weight if bias is None else bias.contiguous(),
        _integers(cache_seqlens, x), _integers(conv_state_indices, x), y,
        *x.stride(), *conv_state.stride(), *y.stride(), channels, length, conv_state.shape[-1],
        WIDTH=weight.shape[1], SILU=silu, HAS_BIAS=bias is not None, CIRCULAR=cache_seqlens is not None,
        INDEXED=conv_state_indices is not None, CHANNELS=_STEP_CHANNELS, num_warps=1,
    )  # fmt: skip
    return y


def _choose(x: torch.Tensor, configuration: Configuration | None) -> Configuration:
    """The given one, or the layout's first; of channel-first ones that whose unit is a vector of 16 bytes."""
    if configuration is None and reference.is_channel_last(x):
        configuration = CHANNEL_LAST[0]
    elif configuration is None:
        configuration = next(c for c in CHANNEL_FIRST if c.unit * x.element_size() == 16)
    return configuration.for_length(x.shape[-1])


def _programs(x: torch.Tensor, chosen: Configuration) -> int:
    batch, channels, length = x.shape
    return batch * -(-channels // chosen.channels) * -(-length // chosen.positions)


def _parameters(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
) -> tuple[torch.Tensor, ...]:
    """What the kernels read beside `x`; another tensor stands for one that is not given, and is not read."""
    return (
        weight.contiguous(),
        weight if bias is None else bias.contiguous(),
        _integers(seq_idx, x),
        x if initial_states is None else initial_states,
    )


def _options(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
    chosen: Configuration,
) -> dict[str, Any]:
    return {
        "WIDTH": weight.shape[1],
        "CHANNEL_LAST": reference.is_channel_last(x),
        "SILU": silu,
        "HAS_BIAS": bias is not None,
        "PACKED": seq_idx is not None,
        "HAS_INITIAL": initial_states is not None,
        "CHANNELS": chosen.channels,
        "UNITS": chosen.units,
        "UNIT": chosen.unit,
        "TILES": chosen.tiles,
        "num_warps": chosen.warps,
    }


def _integers(numbers: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
    return like if numbers is None else numbers.contiguous()


def _strides(x: torch.Tensor | None) -> tuple[int, ...]:
    return (0, 0, 0) if x is None else x.stride()


def _with_unit_stride(x: torch.Tensor) -> torch.Tensor:
    return x if reference.is_channel_last(x) or x.stride(2) == 1 else x.contiguous()


def _in_layout(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """`x`, its unit stride being where that of `like` is."""
    dimension = 1 if reference.is_channel_last(like) else 2
    return x if x.stride(dimension) == 1 else reference.empty_like(like, x.dtype).copy_(x)
