"""Launches of the long convolution: three passes, over a few channels at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

from genoseq_kernels.fft_conv.triton_impl import column_kernels, row_kernels
from genoseq_kernels.fft_conv.triton_impl.plan import Plan
from genoseq_kernels.fft_conv.triton_impl.taps import Taps, strides
from genoseq_kernels.rows import have_room

SCRATCH_BYTES = 256 * 2**20
"""What the passes over a few channels write and read again, whatever D is.

An eighth of it would stay in an H100's L2 cache, but its launches could not hide what each costs the host.
"""

COLUMN_TILES = 1
"""Neighbouring tiles that a program over columns takes, 1 or 2, where one reads less than `SECTOR_BYTES`."""

SECTOR_BYTES = 32
"""What an H100's caches move at least."""


class _Scratch(NamedTuple):
    """Complex numbers between the passes, two planes a row, and their scales where they are float16."""

    values: torch.Tensor
    column_scales: torch.Tensor | None
    row_scales: torch.Tensor | None

    @classmethod
    def of(cls, plan: Plan, rows: int, device: torch.device) -> _Scratch:
        values = torch.empty(rows, 2 * plan.plane, dtype=plan.scratch_dtype, device=device)
        if values.dtype == torch.float32:
            return cls(values, None, None)
        scales = [torch.empty(rows, size, device=device) for size in (_tiles(plan), plan.blocks)]
        return cls(values, *scales)


def forward(
    plan: Plan,
    u: torch.Tensor,
    taps: Taps,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    spectra: torch.Tensor | None,
    y: torch.Tensor,
    convolved: torch.Tensor | None,
) -> None:
    """Fill `y`, and `convolved` with what it is before `gate_out`."""
    entries, channels, _ = u.shape
    step = _channels_at_a_time(plan, entries + (spectra is None), channels)
    sequences = _Scratch.of(plan, entries * step, u.device)
    filters = _Scratch.of(plan, step, u.device) if spectra is None else None
    for first, count in _chunks(channels, step):
        if filters is not None:
            _filter_columns(plan, taps, filters, first, count)
        _columns(plan, u, gate_in, sequences, first, count)
        row_kernels.sequence_rows[(plan.blocks * count,)](
            *sequences,
            filters and filters.values,
            filters and filters.column_scales,
            None if spectra is None else spectra[first : first + count],
            skip, *plan.row_tables(u.device), first, count, entries, plan.blocks, plan.rows,
            ALONE=entries == 1, **row_options(plan),
        )  # fmt: skip
        _columns_back(plan, sequences, y, gate_out, convolved, None, first, count)


def backward(
    plan: Plan,
    grad: torch.Tensor,
    u: torch.Tensor,
    taps: Taps,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    grad_u: torch.Tensor,
    grad_gate_in: torch.Tensor | None,
) -> torch.Tensor:
    """Fill `grad_u` and `grad_gate_in`; the gradient of the taps."""
    entries, channels, _ = u.shape
    step = _channels_at_a_time(plan, 2 * entries + 1, channels)
    sequences, gradients = (_Scratch.of(plan, entries * step, u.device) for _ in range(2))
    filters = _Scratch.of(plan, step, u.device)
    near, far = taps.gradients(1)
    for first, count in _chunks(channels, step):
        _filter_columns(plan, taps, filters, first, count)
        _columns(plan, u, gate_in, sequences, first, count)
        _columns(plan, grad, gate_out, gradients, first, count)
        row_kernels.gradient_rows[(plan.blocks * count,)](
            sequences.values, sequences.column_scales, *gradients, *filters, skip,
            *plan.row_tables(u.device), first, count, entries, plan.blocks, plan.rows, ALONE=entries == 1,
            **row_options(plan),
        )  # fmt: skip
        _columns_back(plan, gradients, grad_u, gate_in, grad_gate_in, u, first, count)
        options = column_back_options(plan)
        column_kernels.filter_columns_back[(_programs(plan, options) * count,)](
            filters.values, filters.row_scales, near, far, *plan.column_tables(u.device),
            first, taps.number, taps.centre, taps.wrap, plan.radix, plan.plane, **options,
        )  # fmt: skip
    return taps.total(near, far)


def spectrum(plan: Plan, taps: Taps, spectra: torch.Tensor) -> None:
    """Fill `spectra`."""
    step = _channels_at_a_time(plan, 1, taps.channels)
    filters = _Scratch.of(plan, step, spectra.device)
    for first, count in _chunks(taps.channels, step):
        _filter_columns(plan, taps, filters, first, count)
        row_kernels.filter_rows[(plan.blocks * count,)](
            filters.values, filters.column_scales, spectra[first : first + count],
            *plan.row_tables(spectra.device), plan.blocks, plan.rows, **row_options(plan),
        )  # fmt: skip


def workspace(plan: Plan, rows: int, channels: int) -> int:
    """Bytes of scratch memory, scales aside, where each channel has some rows of it."""
    return _channels_at_a_time(plan, rows, channels) * rows * _row_bytes(plan)


def _columns(
    plan: Plan, x: torch.Tensor, gate: torch.Tensor | None, scratch: _Scratch, first: int, count: int
) -> None:
    options = column_options(plan)
    column_kernels.sequence_columns[(_programs(plan, options) * x.shape[0] * count,)](
        x, gate, scratch.values, scratch.column_scales, *plan.column_tables(x.device),
        *strides(x), *strides(gate), first, count, x.shape[-1], plan.radix, plan.plane,
        ROOM=have_room(x, gate), **options,
    )  # fmt: skip


def _columns_back(
    plan: Plan,
    scratch: _Scratch,
    target: torch.Tensor,
    gate: torch.Tensor | None,
    second: torch.Tensor | None,
    factor: torch.Tensor | None,
    first: int,
    count: int,
) -> None:
    entries, _, length = target.shape
    factor = None if second is None else factor
    options = column_back_options(plan)
    column_kernels.sequence_columns_back[(_programs(plan, options) * entries * count,)](
        scratch.values, scratch.row_scales, target, gate, second, factor, *plan.column_tables(target.device),
        *strides(target), *strides(gate), *strides(factor), first, count, length, plan.radix, plan.plane,
        ROOM=have_room(target, gate, second, factor), **options,
    )  # fmt: skip


def _filter_columns(plan: Plan, taps: Taps, scratch: _Scratch, first: int, count: int) -> None:
    options = column_options(plan, real=taps.wrap == 0)
    column_kernels.filter_columns[(_programs(plan, options) * count,)](
        taps.k, scratch.values, scratch.column_scales, *plan.column_tables(taps.k.device), taps.k.stride(0),
        first, taps.number, taps.centre, taps.wrap, plan.radix, plan.plane, WRAPPED=taps.wrap > 0,
        **options,
    )  # fmt: skip


def _channels_at_a_time(plan: Plan, rows: int, channels: int) -> int:
    """How many channels, each of some rows of scratch memory, fit `SCRATCH_BYTES`; at least one."""
    return max(1, min(channels, SCRATCH_BYTES // (rows * _row_bytes(plan))))


def _row_bytes(plan: Plan) -> int:
    return 2 * plan.plane * plan.scratch_dtype.itemsize


def _chunks(channels: int, step: int) -> Iterator[tuple[int, int]]:
    """First channel and number of channels of each chunk."""
    return ((first, min(step, channels - first)) for first in range(0, channels, step))


def _tiles(plan: Plan) -> int:
    """Tiles of the columns of one row of scratch memory."""
    return plan.columns // plan.width


def _programs(plan: Plan, options: dict[str, Any]) -> int:
    """Programs over the columns of one row of scratch memory."""
    return _tiles(plan) // int(options["TILES"])


def column_options(plan: Plan, *, real: bool = True) -> dict[str, Any]:
    """Constants and launch options of the kernels over columns.

    Two tiles that are not real do not fit the registers, two of columns of 4,096 points the shared memory.
    """
    narrow = plan.width * (4 if plan.parts == 2 else 2) < SECTOR_BYTES
    two_fit = real and plan.inner <= 64
    return {
        "A": plan.pad,
        "C": plan.width,
        "B": plan.inner,
        "COLUMNS": plan.columns,
        "BLOCK": plan.block,
        "PARTS": plan.parts,
        "TILES": COLUMN_TILES if narrow and two_fit else 1,
        "num_warps": plan.column_warps,
        "maxnreg": plan.column_registers,
        "num_stages": 1,
    }


def column_back_options(plan: Plan) -> dict[str, Any]:
    """Of those that read columns from scratch memory."""
    turns = _turns(plan, plan.pad * plan.inner * plan.width, plan.column_warps)
    return {**column_options(plan), "TURNS": turns}


def row_options(plan: Plan) -> dict[str, Any]:
    """Constants and launch options of the kernels over rows."""
    return {
        "P": plan.row_radices[0],
        "BLOCK": plan.block,
        "Q": plan.row_radices[1],
        "C": plan.width,
        "TURNS": _turns(plan, plan.columns * plan.block, plan.row_warps),
        "PARTS": plan.parts,
        "num_warps": plan.row_warps,
        "maxnreg": plan.row_registers,
        "num_stages": 1,
    }


def _turns(plan: Plan, points: int, warps: int) -> int:
    """Vectors of 16 bytes that a thread loads of a tile's real parts, 4 at most."""
    return max(1, min(4, points * plan.scratch_dtype.itemsize // (16 * 32 * warps)))
