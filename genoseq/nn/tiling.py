"""Functions of each position (and a few before it), computed a tile of the sequence at a time.

What such a function holds inside grows with the tile and no longer with the sequence: the forward pass keeps
its input alone, and the backward pass computes each tile again. Values are those of the function called at
once, up to the order in which gradients of parameters are summed.

Source: Bekman et al. 2025, "Arctic Long Sequence Training" (tiled MLP and loss); Luo et al. 2025, "StreamBP".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch.autograd.function import once_differentiable

from genoseq.errors import ConfigError
from genoseq_kernels.rows import empty_rows

TileFunction = Callable[[torch.Tensor, slice], torch.Tensor]

_only_few = False


class _Tiling(NamedTuple):
    function: TileFunction
    tile: int
    reach: int
    axis: int


def tiled(
    function: TileFunction,
    x: torch.Tensor,
    parameters: Iterable[torch.Tensor],
    *,
    tile: int | None,
    reach: int = 0,
    axis: int = 1,
) -> torch.Tensor:
    """`function(x, slice(0, L))`, a tile of positions at a time where the sequence is longer than one.

    Args:
        function: takes x (B, l, ...) at some positions and the slice of the sequence that these are, gives a
            tensor with a position in `axis` for each; draws no random numbers.
        x: (B, L, ...).
        parameters: the tensors beside x that the gradient of `function` reaches.
        tile: positions that are computed at once; None for all.
        reach: positions before its own that an output depends on.
        axis: of the positions in the output.

    Returns:
        What `function` gives for the whole sequence. Second derivatives are not defined where it is tiled.
    """
    if tile is None or x.shape[1] <= tile:
        return function(x, slice(0, x.shape[1]))
    tiling = _Tiling(function, tile, reach, axis)
    learned = [parameter for parameter in parameters if parameter.requires_grad]
    if not torch.is_grad_enabled() or not (learned or x.requires_grad):
        return _compute(tiling, x)
    token = Keep.apply(x.new_empty(0, requires_grad=True), x)
    return _Tiled.apply(tiling, token, x, *learned)


@contextmanager
def few_tiles() -> Iterator[None]:
    """Compute the first two tiles and the last, for who wants to know the memory and not the values."""
    # Not a context variable: the backward pass runs in threads of its own.
    global _only_few
    before, _only_few = _only_few, True
    try:
        yield
    finally:
        _only_few = before


def in_autocast_dtype(x: torch.Tensor) -> torch.Tensor:
    """float32 x as autocast would hand it to a matrix product: the smaller thing to keep; else x itself."""
    return x.to(autocast_dtype(x))


def autocast_dtype(x: torch.Tensor) -> torch.dtype:
    """That `in_autocast_dtype` gives x."""
    device = x.device.type
    if x.dtype != torch.float32 or not torch.is_autocast_enabled(device):
        return x.dtype
    return torch.get_autocast_dtype(device)


def require_tile(name: str, value: int | None) -> None:
    """Refuse a tile of no position.

    Raises:
        ConfigError: it is one.
    """
    if value is not None and value < 1:
        raise ConfigError(f"{name}={value}: give a number of positions, 1 or more, or null for all at once.")


def tiles(length: int, tile: int) -> Iterator[slice]:
    """Positions of each tile."""
    starts = range(0, length, tile)
    for start in (*starts[:2], *starts[2:][-1:]) if _only_few else starts:
        yield slice(start, min(start + tile, length))


class Keep(torch.autograd.Function):
    """Keeps x for a function, in a node before it: `Keep.apply(x.new_empty(0, requires_grad=True), x)` is the
    function's first input, whose `grad_fn` has x among the `saved_tensors`.

    Activation checkpointing computes a layer again up to the last thing that was kept: this way it stops
    short of the function, which computes again what it wants.
    """

    @staticmethod
    def forward(ctx: Any, dummy: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return dummy.new_empty(0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[None, None]:
        return None, None


class _Tiled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, tiling: _Tiling, token: torch.Tensor, x: torch.Tensor, *parameters: torch.Tensor
    ) -> torch.Tensor:
        ctx.tiling, ctx.parameters, ctx.keeper = tiling, parameters, token.grad_fn
        device = x.device.type
        ctx.autocast = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
        return _compute(tiling, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (grad,) = grads
        (x,) = ctx.keeper.saved_tensors
        tiling: _Tiling = ctx.tiling
        wants_x = ctx.needs_input_grad[2]
        grad_x, filled = torch.empty_like(x) if wants_x else None, 0
        sums = [torch.zeros_like(parameter) for parameter in ctx.parameters]
        for places, seen in _tiles(tiling, x.shape[1]):
            part = x[:, seen].detach().requires_grad_(wants_x)
            outer = grad.narrow(tiling.axis, places.start, places.stop - places.start)
            wanted = [part, *ctx.parameters] if wants_x else list(ctx.parameters)
            with torch.enable_grad(), _autocast(*ctx.autocast):
                inner = torch.autograd.grad(
                    _call(tiling, part, places, seen), wanted, outer, allow_unused=True
                )
            if grad_x is not None:
                filled = _lay(grad_x, seen, inner[0], filled)
            for total, summand in zip(sums, inner[wants_x:], strict=True):
                _add(total, summand)
        return (None, None, grad_x, *sums)


def _compute(tiling: _Tiling, x: torch.Tensor) -> torch.Tensor:
    device = x.device.type
    state = (device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))
    result: torch.Tensor | None = None
    for places, seen in _tiles(tiling, x.shape[1]):
        with _autocast(*state):
            y = _call(tiling, x[:, seen], places, seen)
        if result is None:
            shape = list(y.shape)
            shape[tiling.axis] = x.shape[1]
            result = empty_rows(shape, y) if tiling.axis == y.dim() - 1 else y.new_empty(shape)
        result.narrow(tiling.axis, places.start, places.stop - places.start).copy_(y)
    assert result is not None
    return result


def _tiles(tiling: _Tiling, length: int) -> Iterator[tuple[slice, slice]]:
    """Positions of each tile, and with them those that it looks back to."""
    for places in tiles(length, tiling.tile):
        yield places, slice(max(0, places.start - tiling.reach), places.stop)


def _call(tiling: _Tiling, part: torch.Tensor, places: slice, seen: slice) -> torch.Tensor:
    y = tiling.function(part, seen)
    return y.narrow(tiling.axis, places.start - seen.start, places.stop - places.start)


def _autocast(device: str, dtype: torch.dtype, enabled: bool) -> AbstractContextManager[None]:
    # Casts of weights that were cached without a gradient would be found again where one is wanted.
    return torch.autocast(device, dtype=dtype, enabled=enabled, cache_enabled=False)


def _lay(total: torch.Tensor, seen: slice, part: torch.Tensor | None, filled: int) -> int:
    """A tile's gradient, added where the tiles before it filled, else written; how much is filled then."""
    fresh = slice(max(filled, seen.start), seen.stop)
    if part is None:
        total[:, fresh] = 0.0
    else:
        total[:, seen.start : fresh.start] += part[:, : fresh.start - seen.start]
        total[:, fresh] = part[:, fresh.start - seen.start :]
    return seen.stop


def _add(total: torch.Tensor, summand: torch.Tensor | None) -> None:
    if summand is not None:
        total += summand
