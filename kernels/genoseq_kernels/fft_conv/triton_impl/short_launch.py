"""Launches of the short convolution, of whole sequences or of windows of long ones: one kernel."""

from __future__ import annotations

from typing import Any

import torch

from genoseq_kernels.fft_conv.triton_impl import short_kernels
from genoseq_kernels.fft_conv.triton_impl.plan import Cut, Plan
from genoseq_kernels.fft_conv.triton_impl.taps import Taps, strides

_ENTRIES_OF_A_PROGRAM = 8
"""Batch entries, or windows, that share one program's transform of the filter."""
_MOST_PARTS = 65_535
"""Programs along the second axis of a grid; each then takes more entries."""


def forward(
    cut: Cut,
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
    short_kernels.short_forward[-(-channels // plan.width), parts(entries * cut.windows)](
        u, taps.k, skip, gate_in, gate_out, spectra, y, convolved, *plan.column_tables(u.device),
        *strides(u), taps.k.stride(0), *strides(gate_in), *strides(gate_out), *strides(y),
        entries * cut.windows, channels, length, cut.windows, cut.hop, cut.lead,
        taps.number, taps.centre, taps.wrap, plan.radix, WRAPPED=taps.wrap > 0,
        **short_options(plan),
    )  # fmt: skip


def backward(
    cut: Cut,
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
    programs = parts(entries * cut.windows)
    near, far = taps.gradients(programs)
    spectra = torch.empty(channels, plan.spectrum_size, device=u.device)
    spectrum(plan, taps, spectra)
    short_kernels.short_backward[-(-channels // plan.width), programs](
        grad, u, spectra, skip, gate_in, gate_out, grad_u, grad_gate_in, near, far,
        *plan.column_tables(u.device), *strides(grad), *strides(u), *strides(gate_in), *strides(gate_out),
        *strides(grad_u),
        entries * cut.windows, channels, length, cut.windows, cut.hop,
        taps.number, taps.centre, taps.wrap, plan.radix, **short_options(plan),
    )  # fmt: skip
    return taps.total(near, far)


def spectrum(plan: Plan, taps: Taps, spectra: torch.Tensor) -> None:
    """Fill `spectra`."""
    short_kernels.short_spectrum[(-(-taps.channels // plan.width),)](
        taps.k, spectra, *plan.column_tables(taps.k.device), taps.k.stride(0), taps.channels,
        taps.number, taps.centre, taps.wrap, plan.radix, WRAPPED=taps.wrap > 0, **short_options(plan),
    )  # fmt: skip


def workspace(cut: Cut, plan: Plan, entries: int, k: torch.Tensor) -> int:
    """Bytes that `backward` takes: spectra, and the parts that the filters' gradients are summed from."""
    numbers = plan.spectrum_size + parts(entries * cut.windows) * k.shape[1]
    return k.shape[0] * numbers * torch.float32.itemsize


def short_options(plan: Plan) -> dict[str, Any]:
    """Constants and launch options of the kernels."""
    return {
        "A": plan.pad,
        "C": plan.width,
        "B": plan.inner,
        "PARTS": plan.parts,
        "num_warps": plan.column_warps,
        "maxnreg": plan.column_registers,
        "num_stages": 1,
    }


def parts(entries: int) -> int:
    """Programs that a channel's batch entries, or windows, are dealt out to."""
    return min(-(-entries // _ENTRIES_OF_A_PROGRAM), _MOST_PARTS)
