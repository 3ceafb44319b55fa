"""`causal_conv1d` in plain torch: the meaning of the operator, and the oracle of every faster backend.

A sum of shifted copies: a library's depthwise convolution is several times slower, forward and backward, on
CPU. Inside, float32 or better.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn import functional as F

from genoseq_kernels.rows import rows_like


class Gradients(NamedTuple):
    """Gradients of a scalar; None for an input that was not given."""

    x: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor | None
    initial_states: torch.Tensor | None


def forward(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
) -> torch.Tensor:
    """The result (B, D, L), in the layout of `x`."""
    y = empty_like(x)
    weight, bias = _precise(weight, x), None if bias is None else _precise(bias, x)
    for rows in _blocks(x):
        inner = y[rows] if y.dtype == weight.dtype else empty_like(x[rows], weight.dtype)
        _convolve(inner, x[rows], weight, bias, _part(seq_idx, rows), _part(initial_states, rows))
        if silu:
            F.silu(inner, inplace=True)
        if y.dtype != weight.dtype:
            y[rows] = inner
    return y


def backward(
    grad: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
    silu: bool,
) -> Gradients:
    """Gradients of `forward`; what the activation was given is computed anew rather than kept."""
    precise, precise_bias = _precise(weight, x), None if bias is None else _precise(bias, x)
    grad_x = empty_like(x)
    grad_weight = torch.zeros_like(precise)
    grad_bias = torch.zeros_like(precise[:, 0])
    grad_initial = None if initial_states is None else torch.zeros_like(initial_states)
    for rows in _blocks(x):
        inside = _part(seq_idx, rows)
        before = _part(initial_states, rows)
        g, source = grad[rows].to(precise.dtype), x[rows].to(precise.dtype)
        if silu:
            inner = empty_like(source)
            _convolve(inner, source, precise, precise_bias, inside, before)
            g = torch.ops.aten.silu_backward(g, inner)
        if inside is not None:
            g = g * (inside >= 0).unsqueeze(1)
        target = grad_x[rows] if x.dtype == precise.dtype else empty_like(source)
        torch.mul(g, precise[:, -1:], out=target)
        grad_weight[:, -1] += _sum_product(g, source)
        grad_bias += g.sum((0, 2))
        for tap, later, earlier in _shifts(x, weight):
            seen = _same_sequence(g[..., later], inside, later, earlier)
            target[..., earlier].addcmul_(seen, precise[:, tap : tap + 1])
            grad_weight[:, tap] += _sum_product(seen, source[..., earlier])
        if grad_x.dtype != target.dtype:
            grad_x[rows] = target
        if before is not None:
            assert grad_initial is not None
            for tap, now, then in _reaching_back(x, weight):
                grad_initial[rows][..., then] += (g[..., now] * precise[:, tap : tap + 1]).to(before.dtype)
                grad_weight[:, tap] += _sum_product(g[..., now], before[..., then].to(g.dtype))
    return Gradients(
        x=grad_x,
        weight=grad_weight.to(weight.dtype),
        bias=None if bias is None else grad_bias.to(bias.dtype),
        initial_states=grad_initial,
    )


def final_states(x: torch.Tensor, initial_states: torch.Tensor | None, width: int) -> torch.Tensor:
    """The last `width` - 1 inputs (B, D, width - 1), zeros standing where there are none; a copy."""
    length, reach = x.shape[-1], width - 1
    if length >= reach:
        return x[..., length - reach :].clone()
    if initial_states is None:
        return F.pad(x, (reach - length, 0))
    return torch.cat([initial_states[..., length:].to(x.dtype), x], dim=-1)


def add_final_states_gradient(gradients: Gradients, grad: torch.Tensor) -> None:
    """Add what flows back through `final_states`, in place."""
    length, reach = gradients.x.shape[-1], grad.shape[-1]
    new = min(length, reach)
    gradients.x[..., length - new :] += grad[..., reach - new :].to(gradients.x.dtype)
    if gradients.initial_states is not None and new < reach:
        gradients.initial_states[..., new:] += grad[..., : reach - new].to(gradients.initial_states.dtype)


def update(
    x: torch.Tensor,
    conv_state: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    silu: bool,
    cache_seqlens: torch.Tensor | None,
    conv_state_indices: torch.Tensor | None,
) -> torch.Tensor:
    """`x` (B, D, L) after the inputs that `conv_state` (..., D, S) holds, which is brought up to date."""
    reach, room, length = weight.shape[1] - 1, conv_state.shape[-1], x.shape[-1]
    state = conv_state if conv_state_indices is None else conv_state[conv_state_indices.long()]
    if cache_seqlens is None:
        before = state[..., room - reach :]
        state_after = torch.cat([state, x.to(state.dtype)], dim=-1)[..., length:]
    else:
        slot = cache_seqlens.long()[:, None, None]
        before = state.gather(-1, _around(slot, -reach, 0, state))
        written = min(length, room)
        state_after = state.scatter(
            -1, _around(slot, length - written, length, state), x[..., length - written :].to(state.dtype)
        )
    y = forward(x, weight, bias, None, before, silu)
    if conv_state_indices is None:
        conv_state.copy_(state_after)
    else:
        conv_state[conv_state_indices.long()] = state_after
    return y


def _around(slot: torch.Tensor, start: int, end: int, state: torch.Tensor) -> torch.Tensor:
    """Indices (B, D, end - start) of the circular buffer, `slot` (B, 1, 1) being the next to be written."""
    steps = torch.arange(start, end, device=state.device)
    return ((slot + steps) % state.shape[-1]).expand(-1, state.shape[1], -1)


def is_channel_last(x: torch.Tensor) -> bool:
    """Whether channels lie next to each other in memory."""
    return x.stride(1) == 1 and x.stride(2) != 1


def empty_like(x: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An empty tensor of the shape and layout of `x` (B, D, L)."""
    dtype = dtype or x.dtype
    if is_channel_last(x):
        return torch.empty(x.shape[0], x.shape[2], x.shape[1], dtype=dtype, device=x.device).transpose(1, 2)
    return rows_like(x, dtype)


def _convolve(
    target: torch.Tensor,
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    seq_idx: torch.Tensor | None,
    initial_states: torch.Tensor | None,
) -> None:
    if bias is None:
        torch.mul(x, weight[:, -1:], out=target)
    else:
        torch.addcmul(bias.unsqueeze(-1), x, weight[:, -1:], out=target)
    for tap, later, earlier in _shifts(x, weight):
        source = _same_sequence(x[..., earlier], seq_idx, later, earlier)
        target[..., later].addcmul_(source, weight[:, tap : tap + 1])
    if initial_states is not None:
        for tap, now, then in _reaching_back(x, weight):
            target[..., now].addcmul_(initial_states[..., then].to(weight.dtype), weight[:, tap : tap + 1])
    if seq_idx is not None:
        target.mul_((seq_idx >= 0).unsqueeze(1))


def _shifts(x: torch.Tensor, weight: torch.Tensor) -> Iterator[tuple[int, slice, slice]]:
    """Tap, the positions it makes, and the earlier ones it makes them from; tap 0 is the farthest."""
    length, width = x.shape[-1], weight.shape[1]
    for lag in range(1, min(width, length)):
        yield width - 1 - lag, slice(lag, None), slice(0, length - lag)


def _reaching_back(x: torch.Tensor, weight: torch.Tensor) -> Iterator[tuple[int, slice, slice]]:
    """Tap, the positions at which it reaches before the sequence, and the initial states it meets there."""
    length, width = x.shape[-1], weight.shape[1]
    for lag in range(1, width):
        reached = min(lag, length)
        yield width - 1 - lag, slice(0, reached), slice(width - 1 - lag, width - 1 - lag + reached)


def _same_sequence(
    values: torch.Tensor, seq_idx: torch.Tensor | None, later: slice, earlier: slice
) -> torch.Tensor:
    """Values with zeros where the two positions are of different packed sequences."""
    if seq_idx is None:
        return values
    return values * (seq_idx[:, later] == seq_idx[:, earlier]).unsqueeze(1)


def _sum_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Sum of products over all but the channels, (D,)."""
    return torch.linalg.vecdot(a, b).sum(0)


def _precise(parameter: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return parameter.to(torch.promote_types(x.dtype, torch.float32))


def _part(x: torch.Tensor | None, rows: slice) -> torch.Tensor | None:
    return None if x is None else x[rows]


def _blocks(x: torch.Tensor) -> list[slice]:
    """Rows to convolve at a time: on CPU one, which stays in cache; elsewhere all."""
    batch = x.shape[0]
    return [slice(row, row + 1) for row in range(batch)] if x.device.type == "cpu" else [slice(0, batch)]
