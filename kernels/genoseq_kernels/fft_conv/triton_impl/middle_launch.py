"""Launches of the convolution of middle lengths: one kernel forward, one backward."""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.fft_conv.triton_impl import middle_kernels
from genoseq_kernels.fft_conv.triton_impl.plan import Plan
from genoseq_kernels.fft_conv.triton_impl.short_launch import parts
from genoseq_kernels.fft_conv.triton_impl.taps import Taps, strides
from genoseq_kernels.rows import have_room


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
    entries, channels, length = u.shape
    middle_kernels.middle_forward[channels, parts(entries)](
        u, taps.k, skip, gate_in, gate_out, spectra, y, convolved, *_tables(plan, u.device),
        *strides(u), taps.k.stride(0), *strides(gate_in), *strides(gate_out), *strides(y),
        entries, length, taps.number, taps.centre, taps.wrap, plan.radix,
        WRAPPED=taps.wrap > 0, ROOM=have_room(u, gate_in, gate_out, y), **middle_options(plan),
    )  # fmt: skip


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
    entries, channels, length = u.shape
    near, far = taps.gradients(entries)
    middle_kernels.middle_backward[channels, parts(entries)](
        grad, u, taps.k, skip, gate_in, gate_out, grad_u, grad_gate_in, near, far, *_tables(plan, u.device),
        *strides(grad), *strides(u), taps.k.stride(0), *strides(gate_in), *strides(gate_out),
        *strides(grad_u),
        entries, channels, length, taps.number, taps.centre, taps.wrap, plan.radix,
        WRAPPED=taps.wrap > 0, ROOM=have_room(grad, u, gate_in, gate_out, grad_u), **middle_options(plan),
    )  # fmt: skip
    return taps.total(near, far)


def workspace(entries: int, k: torch.Tensor) -> int:
    """Bytes that `backward` takes: what the filters' gradients are summed from."""
    return 0 if entries == 1 else entries * k.numel() * torch.float32.itemsize


def _tables(plan: Plan, device: torch.device) -> tuple[torch.Tensor, ...]:
    column, _ = plan.column_tables(device)
    return column, *plan.row_tables(device)


def middle_options(plan: Plan) -> dict[str, Any]:
    """Constants and launch options of the kernels."""
    assert plan.whole is not None
    return {
        "A": plan.pad,
        "P": plan.row_radices[0],
        "Q": plan.row_radices[1],
        "PARTS": plan.parts,
        "num_warps": plan.whole.warps,
        "maxnreg": plan.whole.registers,
        "num_stages": 1,
    }
