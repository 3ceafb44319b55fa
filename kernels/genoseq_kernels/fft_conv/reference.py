"""`fft_conv` in plain torch: the meaning of the operator, and the oracle of every faster backend.

The skip term is one more tap at lag zero, so that it costs nothing per position, forward or backward.
A filter much shorter than the sequence is applied by overlap-save: transforms of blocks a few times its
length, so that time follows the sequence times the logarithm of the filter (the partial convolution of Fu et
al. 2023, "FlashFFTConv", section 3.3).

Conjugates are made in memory: the first call under torch.compile loses lazy ones (seen with torch 2.13).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import torch

from genoseq_kernels.rows import rows_like

_SMALLEST_BLOCK, _WORTH_IT = 1024, 0.9


class Plan(NamedTuple):
    """How a convolution is cut into transforms (overlap-save).

    Attributes:
        size: points of a transform.
        hop: outputs of each.
        number: how many transforms there are.
        lead: points at the start of a transform that other blocks wrap into.
        length: L of the sequence.
        circular: whether the sequence's end is before its start.
    """

    size: int
    hop: int
    number: int
    lead: int
    length: int
    circular: bool


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
    *,
    keep: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The result (B, D, L), and the convolution before `gate_out`, which its gradient needs; empty
    without, or where it is not to be kept."""
    length, taps = u.shape[-1], k.shape[-1]
    plan = make_plan(length, taps, mode)
    centre = centre_tap(taps, mode)
    filters = _with_skip(spectrum(k, plan.size) if filters is None else filters, skip, centre, plan.size)
    y = rows_like(u)
    kept = keep and gate_out is not None
    convolved = rows_like(u) if kept else u.new_empty(0)
    for rows in _blocks(u):
        windows = _windows(u[rows], gate_in, rows, plan, left=plan.lead - centre)
        product = torch.fft.rfft(windows)
        product *= filters.unsqueeze(1)
        inner = torch.fft.irfft(product, n=plan.size)[..., plan.lead : plan.lead + plan.hop]
        inner = inner.flatten(2)[..., :length]
        y[rows] = inner if gate_out is None else inner * gate_out[rows]
        if kept:
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
    plan = make_plan(length, taps, mode)
    centre = centre_tap(taps, mode)
    filters = _with_skip(spectrum(k, plan.size), skip, centre, plan.size).conj_physical()
    correlation = torch.zeros_like(filters)
    grad_u = rows_like(u)
    grad_gate_in = None if gate_in is None else rows_like(u)
    for rows in _blocks(u):
        product = torch.fft.rfft(_windows(grad[rows], gate_out, rows, plan, left=centre))
        pieces = torch.fft.rfft(_pieces(u[rows], gate_in, rows, plan), n=plan.size)
        correlation += (pieces.conj_physical() * product).sum((0, 2))
        product *= filters.unsqueeze(1)
        inner = torch.fft.irfft(product, n=plan.size)[..., : plan.hop].flatten(2)[..., :length]
        grad_u[rows] = inner if gate_in is None else inner * gate_in[rows]
        if grad_gate_in is not None:
            grad_gate_in[rows] = inner * u[rows]
    grad_k = torch.fft.irfft(correlation, n=plan.size)[..., :taps].to(k.dtype).contiguous()
    return Gradients(
        u=grad_u,
        k=grad_k,
        skip=None if skip is None else grad_k[:, centre].to(skip.dtype, copy=True),
        gate_in=grad_gate_in,
        gate_out=None if gate_out is None else torch.mul(grad, convolved, out=rows_like(u)),
    )


def spectrum(k: torch.Tensor, size: int) -> torch.Tensor:
    """Transform of filters (D, K), (D, size // 2 + 1) complex."""
    return torch.fft.rfft(k.to(_precise(k.dtype)), n=size)


def centre_tap(taps: int, mode: str) -> int:
    """Index of the tap that stands for lag zero."""
    return (taps - 1) // 2 if mode == "bidirectional" else 0


def transform_length(length: int, taps: int, mode: str) -> int:
    """Points of the transforms."""
    return make_plan(length, taps, mode).size


@lru_cache(maxsize=1024)
def make_plan(length: int, taps: int, mode: str) -> Plan:
    """One transform of everything, or for filters much shorter than the sequence blocks of it.

    One transform has as many points as nothing wraps in, or around a circle the length itself. The block is
    the power of two from 2 to 32 times the filter, a thousand points at least, that needs the fewest
    operations; one transform is kept unless blocks need clearly fewer.
    """
    circular = mode == "circular"
    size = length if circular else next_fast_length(length + taps - 1)
    lead = 0 if circular else taps - 1
    whole = Plan(size, hop=size - lead, number=1, lead=lead, length=length, circular=circular)
    filter_size = 1 << (taps - 1).bit_length()
    sizes = {max(_SMALLEST_BLOCK, filter_size << shift) for shift in range(1, 6)}
    blocks = [_in_blocks(size, length, taps, circular) for size in sorted(sizes)]
    best = min([whole, *blocks], key=_operations)
    return best if _operations(best) < _WORTH_IT * _operations(whole) else whole


def _in_blocks(size: int, length: int, taps: int, circular: bool) -> Plan:
    hop = size - taps + 1
    return Plan(size, hop, number=-(-length // hop), lead=taps - 1, length=length, circular=circular)


def _operations(plan: Plan) -> float:
    return plan.number * plan.size * math.log2(plan.size + 1)


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


def _windows(
    x: torch.Tensor, gate: torch.Tensor | None, rows: slice, plan: Plan, *, left: int
) -> torch.Tensor:
    """x * gate as overlapping blocks (B, D, number, size), one every `hop` places, the first `left` early."""
    total = (plan.number - 1) * plan.hop + plan.size
    padded = x.new_zeros(*x.shape[:2], total, dtype=_precise(x.dtype))
    _multiply_into(padded[..., left : left + plan.length], x, gate, rows)
    if plan.circular and plan.number > 1:
        padded[..., :left] = padded[..., plan.length : plan.length + left]
        around = min(plan.lead, total - left - plan.length)
        padded[..., left + plan.length :][..., :around] = padded[..., left : left + around]
    return padded.unfold(-1, plan.size, plan.hop)


def _pieces(x: torch.Tensor, gate: torch.Tensor | None, rows: slice, plan: Plan) -> torch.Tensor:
    """x * gate as neighbouring blocks (B, D, number, hop), zeros after its end."""
    padded = x.new_zeros(*x.shape[:2], plan.number * plan.hop, dtype=_precise(x.dtype))
    _multiply_into(padded[..., : plan.length], x, gate, rows)
    return padded.unflatten(-1, (plan.number, plan.hop))


def _multiply_into(target: torch.Tensor, x: torch.Tensor, gate: torch.Tensor | None, rows: slice) -> None:
    target.copy_(x)
    if gate is not None:
        target *= gate[rows]


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
