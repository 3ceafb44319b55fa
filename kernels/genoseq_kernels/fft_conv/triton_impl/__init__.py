"""`fft_conv` by Triton: one complex transform of about the sequence's own length, and no padding to twice it.

Real sequences times w**n, w = exp(i pi / 2N), multiply modulo x**N = i: the real part of a product of two is
their linear convolution up to N, the imaginary part what is beyond. A filter with taps at lags -N to N - 1 is
then the complex number f[n] = tap(n) - i tap(n - N), so that the modes differ only in where its taps lie; the
gradient of the filter is read from the same places.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType

import torch

from genoseq_kernels.dispatch import on_device_of
from genoseq_kernels.fft_conv.reference import Gradients, centre_tap
from genoseq_kernels.fft_conv.triton_impl import long_launch, middle_launch, short_launch
from genoseq_kernels.fft_conv.triton_impl.plan import FULL, Cut, Plan, chosen, make_plan
from genoseq_kernels.fft_conv.triton_impl.taps import Taps, dense
from genoseq_kernels.rows import rows_like


def forward(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    spectra: torch.Tensor | None,
    mode: str,
    *,
    keep: bool = True,
    plan: Plan | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `reference.forward`; `spectra` (D, F) is what `spectrum` gave, None to make it here."""
    cut = Cut.of(u.shape[-1], k.shape[-1], mode)
    plan = plan or make_plan(cut.points, chosen(u), several=len(u) > 1)
    y = rows_like(u)
    convolved = rows_like(u) if keep and gate_out is not None else None
    launch = partial(short_launch.forward, cut) if plan.short else _passes(plan).forward
    with on_device_of(u):
        launch(
            plan,
            dense(u),
            Taps.of(k, u.shape[-1], mode),
            skip,
            dense(gate_in),
            dense(gate_out),
            spectra,
            y,
            convolved,
        )
    return y, u.new_empty(0) if convolved is None else convolved


def backward(
    grad: torch.Tensor,
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    convolved: torch.Tensor,
    mode: str,
    *,
    plan: Plan | None = None,
) -> Gradients:
    """As `reference.backward`; no spectrum is kept from the forward."""
    cut = Cut.of(u.shape[-1], k.shape[-1], mode)
    plan = plan or make_plan(cut.points, chosen(u), gradient=True, several=len(u) > 1)
    grad_u = rows_like(u)
    grad_gate_in = None if gate_in is None else rows_like(u)
    launch = partial(short_launch.backward, cut) if plan.short else _passes(plan).backward
    with on_device_of(u):
        grad_k = launch(
            plan,
            dense(grad),
            dense(u),
            Taps.of(k, u.shape[-1], mode),
            skip,
            dense(gate_in),
            dense(gate_out),
            grad_u,
            grad_gate_in,
        )
    return Gradients(
        u=grad_u,
        k=grad_k,
        skip=None if skip is None else grad_k[:, centre_tap(k.shape[-1], mode)].to(skip.dtype, copy=True),
        gate_in=grad_gate_in,
        gate_out=None if gate_out is None else torch.mul(grad, convolved, out=rows_like(u)),
    )


def spectrum(k: torch.Tensor, length: int, mode: str) -> torch.Tensor:
    """Transforms of filters (D, K) for sequences of one length, any dtype: (D, `spectrum_size`) float32."""
    plan = make_plan(Cut.of(length, k.shape[-1], mode).points, FULL[0])
    spectra = torch.empty(k.shape[0], plan.spectrum_size, dtype=torch.float32, device=k.device)
    launch = short_launch if plan.short else long_launch
    with on_device_of(k):
        launch.spectrum(plan, Taps.of(k, length, mode), spectra)
    return spectra


def spectrum_size(taps: int, length: int, mode: str) -> int:
    """Numbers in the spectrum of one filter."""
    return make_plan(Cut.of(length, taps, mode).points, FULL[0]).spectrum_size


def forward_workspace(u: torch.Tensor, k: torch.Tensor, mode: str, *, made: bool) -> int:
    """Bytes that `forward` takes beside its results; with `made` it makes the filters' spectrum itself."""
    plan = make_plan(Cut.of(u.shape[-1], k.shape[-1], mode).points, chosen(u), several=len(u) > 1)
    if plan.short or plan.whole:
        return 0
    return long_launch.workspace(plan, u.shape[0] + made, u.shape[1])


def backward_workspace(grad: torch.Tensor, u: torch.Tensor, k: torch.Tensor, mode: str) -> int:
    """Bytes that `backward` takes beside its results."""
    cut = Cut.of(u.shape[-1], k.shape[-1], mode)
    plan = make_plan(cut.points, chosen(u), gradient=True, several=len(u) > 1)
    copies = sum(x.nbytes for x in (grad, u) if dense(x) is not x)
    if plan.short:
        return copies + short_launch.workspace(cut, plan, u.shape[0], k)
    if plan.whole:
        return copies + middle_launch.workspace(u.shape[0], k)
    return copies + long_launch.workspace(plan, 2 * u.shape[0] + 1, u.shape[1])


def _passes(plan: Plan) -> ModuleType:
    """How a convolution of rows and columns is launched."""
    return middle_launch if plan.whole else long_launch
