"""Long convolution of sequences with filters as long as themselves, through the Fourier domain."""

from __future__ import annotations

from typing import Literal, get_args

import torch

from genoseq_kernels.dispatch import Backend, choose_backend
from genoseq_kernels.fft_conv import operators

Mode = Literal["causal", "bidirectional", "circular"]

__all__ = ["Mode", "fft_conv", "filter_spectrum"]


def fft_conv(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None = None,
    *,
    gate_in: torch.Tensor | None = None,
    gate_out: torch.Tensor | None = None,
    mode: Mode = "causal",
    spectrum: torch.Tensor | None = None,
    backend: Backend = "auto",
) -> torch.Tensor:
    """`gate_out * (conv(v, k) + skip * v)` with `v = u * gate_in`, channel by channel.

    The modes differ in which lags the filter's taps stand for, y[t] = sum_j k[j] v[t - lag(j)]:
    `causal` has lag j; `bidirectional` has lag j - (K - 1) // 2, the filter being centred; both see zeros
    outside the sequence; `circular` has lag j modulo L. Transforms run in float32 (float64 for float64
    input) whatever the input's dtype, also under autocast. Gradients flow to every tensor but `spectrum`;
    second derivatives are not defined. In plain torch a filter much shorter than the sequence is applied in
    blocks, in time that follows L log K.

    Args:
        u: (B, D, L) floating point.
        k: (D, K) filters, 1 <= K <= L.
        skip: (D,) weight of the sequence itself.
        gate_in: (B, D, L), of the dtype of `u`, multiplies the input.
        gate_out: (B, D, L), of the dtype of `u`, multiplies the output.
        mode: `causal`, `bidirectional` or `circular`.
        spectrum: what `filter_spectrum(k, L, mode=mode, backend=backend)` gave for this very `k`, where a
            filter serves many calls.
        backend: `auto`, `reference` or `triton`.

    Returns:
        (B, D, L), contiguous, of the dtype of `u`.

    Raises:
        ValueError: shapes that do not fit each other, an unknown mode, or a spectrum made for another call.
        BackendUnavailable: the backend asked for cannot run this call.

    Source: Poli et al. 2023, "Hyena Hierarchy", section 3.3 (`fftconv` of the released code).
    """
    _check(u, k, skip, gate_in, gate_out, mode)
    available = operators.available(u.shape[-1], u, k)
    chosen = choose_backend(backend, operator="fft_conv", available=available, like=u)
    if spectrum is not None:
        _check_spectrum(spectrum, u, k, mode, chosen)
    keep = torch.is_grad_enabled()
    return operators.forward_operator(u, k, skip, gate_in, gate_out, spectrum, mode, chosen, keep)[0]


def filter_spectrum(
    k: torch.Tensor, length: int, *, mode: Mode = "causal", backend: Backend = "auto"
) -> torch.Tensor:
    """The transform of filters for sequences of one length, to be reused over calls of `fft_conv`.

    Args:
        k: (D, K) filters, K <= length.
        length: L of the sequences.
        mode: as in `fft_conv`.
        backend: of the calls to come; each has its own layout.

    Returns:
        (D, F), complex from `reference` and float32 from `triton`, without gradient.
    """
    _check_mode(mode)
    available = operators.available(length, k)
    chosen = choose_backend(backend, operator="filter_spectrum", available=available, like=k)
    return operators.filter_spectrum(k.detach(), length, mode, chosen)


def _check(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    mode: Mode,
) -> None:
    _check_mode(mode)
    if u.dim() != 3 or k.dim() != 2 or k.shape[0] != u.shape[1] or not 1 <= k.shape[1] <= u.shape[2]:
        raise ValueError(
            f"fft_conv: u {tuple(u.shape)} and k {tuple(k.shape)}; wanted (B, D, L) and (D, K) with "
            "1 <= K <= L."
        )
    if skip is not None and skip.shape != k.shape[:1]:
        raise ValueError(f"fft_conv: skip {tuple(skip.shape)}; wanted ({k.shape[0]},), one weight a channel.")
    for name, gate in (("gate_in", gate_in), ("gate_out", gate_out)):
        if gate is not None and (gate.shape != u.shape or gate.dtype != u.dtype):
            raise ValueError(
                f"fft_conv: {name} {tuple(gate.shape)} {gate.dtype}; wanted those of u, {tuple(u.shape)} "
                f"{u.dtype}."
            )


def _check_mode(mode: Mode) -> None:
    if mode not in get_args(Mode):
        raise ValueError(f"mode={mode!r}: choose one of {', '.join(get_args(Mode))}.")


def _check_spectrum(
    spectrum: torch.Tensor, u: torch.Tensor, k: torch.Tensor, mode: Mode, backend: str
) -> None:
    shape, is_complex = operators.spectrum_shape(k, u.shape[-1], mode, backend)
    if (spectrum.shape, spectrum.is_complex(), spectrum.device) != (shape, is_complex, u.device):
        raise ValueError(
            f"fft_conv: spectrum {tuple(spectrum.shape)} {spectrum.dtype} on {spectrum.device}; these "
            f"lengths, this mode and backend {backend!r} want {shape} "
            f"{'complex' if is_complex else 'float32'} on {u.device}: "
            "make it with filter_spectrum(k, L, mode=mode, backend=backend)."
        )
