"""`fft_conv` in plain torch: the meaning of the operator, and the oracle of every faster backend.

The skip term is one more tap at lag zero, so that it costs nothing per position, forward or backward.
Conjugates are made in memory: the first call under torch.compile loses lazy ones (seen with torch 2.13).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch


class Gradients(NamedTuple):
    """Gradients of a scalar; None for an input that was not given."""

    u: torch.Tensor
    k: torch.Tensor
    skip: torch.Tensor | None
    gate_in: torch.Tensor | None
    gate_out: torch.Tensor | None


def forward(
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    filters: torch.Tensor | None,
    mode: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The result (B, D, L), and the convolution before `gate_out`, which its gradient needs (empty
    without)."""
    length, taps = u.shape[-1], k.shape[-1]
    size = transform_length(length, taps, mode)
    centre = centre_tap(taps, mode)
    filters = _with_skip(spectrum(k, size) if filters is None else filters, skip, centre, size)
    y = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    convolved = u.new_empty(0) if gate_out is None else torch.empty_like(y)
    for rows in _blocks(u):
        product = torch.fft.rfft(_gated(u, gate_in, rows), n=size)
        product *= filters
        inner = torch.fft.irfft(product, n=size)[..., centre : centre + length]
        y[rows] = inner if gate_out is None else inner * gate_out[rows]
        if gate_out is not None:
            convolved[rows] = inner
    return y, convolved


def backward(
    grad: torch.Tensor,
    u: torch.Tensor,
    k: torch.Tensor,
    skip: torch.Tensor | None,
    gate_in: torch.Tensor | None,
    gate_out: torch.Tensor | None,
    convolved: torch.Tensor,
    mode: str,
) -> Gradients:
    """Gradients of `forward`; spectra are made anew, being larger than what they are made of."""
    length, taps = u.shape[-1], k.shape[-1]
    size = transform_length(length, taps, mode)
    centre = centre_tap(taps, mode)
    filters = _with_skip(spectrum(k, size), skip, centre, size).conj_physical()
    correlation = torch.zeros_like(filters)
    grad_u = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    grad_gate_in = None if gate_in is None else torch.empty_like(grad_u)
    for rows in _blocks(u):
        outer = torch.nn.functional.pad(_gated(grad, gate_out, rows), (centre, 0))
        product = torch.fft.rfft(outer, n=size)
        correlation += (torch.fft.rfft(_gated(u, gate_in, rows), n=size).conj_physical() * product).sum(0)
        product *= filters
        inner = torch.fft.irfft(product, n=size)[..., :length]
        grad_u[rows] = inner if gate_in is None else inner * gate_in[rows]
        if grad_gate_in is not None:
            grad_gate_in[rows] = inner * u[rows]
    grad_k = torch.fft.irfft(correlation, n=size)[..., :taps].to(k.dtype).contiguous()
    return Gradients(
        u=grad_u,
        k=grad_k,
        skip=None if skip is None else grad_k[:, centre].to(skip.dtype, copy=True),
        gate_in=grad_gate_in,
        gate_out=None if gate_out is None else grad * convolved,
    )


def spectrum(k: torch.Tensor, size: int) -> torch.Tensor:
    """Transform of filters (D, K), (D, size // 2 + 1) complex."""
    return torch.fft.rfft(k.to(_precise(k.dtype)), n=size)


def centre_tap(taps: int, mode: str) -> int:
    """Index of the tap that stands for lag zero."""
    return (taps - 1) // 2 if mode == "bidirectional" else 0


def transform_length(length: int, taps: int, mode: str) -> int:
    """Points of the transform: the length itself around a circle, else the next fast one that nothing wraps
    in."""
    return length if mode == "circular" else next_fast_length(length + taps - 1)


@lru_cache(maxsize=1024)
def next_fast_length(minimum: int) -> int:
    """The smallest even number >= minimum with no prime factor above 7, which every FFT library is fast
    at."""
    candidate = minimum + minimum % 2
    while not _is_smooth(candidate):
        candidate += 2
    return candidate


def _is_smooth(number: int) -> bool:
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number == 1


def _precise(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)


def _blocks(u: torch.Tensor) -> list[slice]:
    """Rows to transform at a time: on CPU one, whose spectrum stays in cache; elsewhere all."""
    batch = u.shape[0]
    return [slice(row, row + 1) for row in range(batch)] if u.device.type == "cpu" else [slice(0, batch)]


def _gated(x: torch.Tensor, gate: torch.Tensor | None, rows: slice) -> torch.Tensor:
    precise = x[rows].to(_precise(x.dtype))
    return precise if gate is None else precise * gate[rows]


def _with_skip(filters: torch.Tensor, skip: torch.Tensor | None, centre: int, size: int) -> torch.Tensor:
    """Filters with `skip` added to their centre tap: a constant where that is tap 0, a rotation elsewhere."""
    if skip is None:
        return filters
    weight = skip.to(filters.real.dtype).unsqueeze(-1)
    if centre == 0:
        return filters + weight
    tap = torch.zeros(1, size, dtype=weight.dtype, device=weight.device)
    tap[0, centre] = 1
    return filters + weight * torch.fft.rfft(tap)
